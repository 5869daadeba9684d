"""An archive's worker process: ``python -m fer_edge.archive.worker``.

It imports what the device imports, and nothing of pyarrow unless an input is in a bucket.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fer_edge.startup import loaded, start_light
from fer_edge.worker.answers import answer_requests

if TYPE_CHECKING:
    from fer_edge.archive.annotator import Annotator, Piece


def main() -> None:
    """Answer until there are no more requests."""
    os.environ.setdefault("OPENCV_FFMPEG_THREADS", "1")
    start_light()
    annotator: Annotator | None = None
    pieces: Iterator[Piece] = iter(())

    def answer(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        nonlocal annotator, pieces
        if action == "open":
            annotator = _open(**arguments)
            return annotator.describe()
        if action == "begin":
            from fer_edge.archive.inputs import Input

            assert annotator is not None  # noqa: S101 opened before
            pieces = annotator.pieces(Input(*arguments["input"]))
        piece = next(pieces, None)
        return {"end": True} if piece is None else piece._asdict()

    answer_requests(answer)


def _open(settings: dict[str, Any], buckets: dict[str, str]) -> Annotator:
    from fer_edge.archive.annotator import Annotator
    from fer_edge.archive.settings import Settings

    annotator = Annotator(Settings(**settings), buckets)
    loaded()
    return annotator


if __name__ == "__main__":
    main()
