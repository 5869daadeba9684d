"""A worker process: ``python -m fer_edge.archive.worker`` reads requests, one JSON object a line, and answers each with a line.

It imports what the device imports, nothing of pyarrow unless an input is in a bucket, and ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from fer_edge.startup import loaded, start_light
from fer_edge_runtime.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge.archive.annotator import Annotator, Piece


def main() -> None:
    """Answer until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; whoever started us decides
    answers = _own_stdout()
    os.environ.setdefault("OPENCV_FFMPEG_THREADS", "1")
    start_light()
    annotator: Annotator | None = None
    pieces: Iterator[Piece] = iter(())
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if request["do"] == "open":
                annotator = _open(request)
                answer = annotator.describe()
            else:
                if request["do"] == "begin":
                    from fer_edge.archive.inputs import Input

                    assert annotator is not None  # noqa: S101 opened before
                    pieces = annotator.pieces(Input(*request["input"]))
                piece = next(pieces, None)
                answer = {"end": True} if piece is None else piece._asdict()
        except FerEdgeError as error:
            answer = {"error": str(error), "exit_code": error.exit_code}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _open(request: dict[str, Any]) -> Annotator:
    from fer_edge.archive.annotator import Annotator
    from fer_edge.archive.settings import Settings

    annotator = Annotator(Settings(**request["settings"]), request["buckets"])
    loaded()
    return annotator


def _own_stdout() -> TextIO:
    """The pipe to whoever asks, for answers alone: what native code writes to standard output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
