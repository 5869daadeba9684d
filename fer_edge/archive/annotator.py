"""The function that every input goes through, on one machine and on a cluster alike: open, find faces, name expressions."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2

from fer_edge import __version__
from fer_edge.archive.buckets import Buckets
from fer_edge.archive.inputs import Input
from fer_edge.archive.settings import Settings
from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.sources.base import display_name, quiet_opencv
from fer_edge_runtime.sources.picture import MAX_BYTES, decode_image, read_picture
from fer_edge_runtime.sources.video import open_video
from fer_edge_runtime.stream import STREAM_SCAN_EVERY, StreamRecognizer

if TYPE_CHECKING:
    from fer_edge_runtime.sources import Source
    from fer_edge_runtime.types import Face, Image

# A piece is answered after so many rows or so long, so that memory stays small and a hang is told from work.
PIECE_ROWS = 500
PIECE_S = 2.0

Row = list[Any]


class Piece(NamedTuple):
    """A part of what one input gave.

    Attributes:
        rows: values of `fer_edge.archive.table.MEASURED`, then a probability a label.
        frames: frames that were looked at for it.
        problem: why the input, or its rest, cannot be read; the last piece then.
    """

    rows: list[Row]
    frames: int
    problem: str | None = None


class Annotator:
    """A recognizer with one thread, for one input after the other."""

    def __init__(self, settings: Settings, buckets: dict[str, str]) -> None:
        """Load the model.

        Raises:
            FerEdgeError: as `Recognizer.load` does.
        """
        quiet_opencv()
        cv2.setNumThreads(1)
        self._settings = settings
        self._buckets = Buckets(buckets)
        self._pictures = self._load(scan_every=1)

    def describe(self) -> dict[str, Any]:
        """What runs; equal wherever the same inputs give the same rows."""
        manifest = self._pictures.bundle.manifest
        return {
            "fer_edge": __version__,
            "model": manifest.name,
            "model_version": manifest.version,
            "manifest_sha256": hashlib.sha256(manifest.to_json().encode()).hexdigest(),
            "artefact": self._pictures.artefact.path,
            "artefact_sha256": self._pictures.artefact.sha256,
            "labels": list(self._pictures.labels),
            "runs": self._pictures.describe(),
        }

    def pieces(self, item: Input) -> Iterator[Piece]:
        """Everything that an input gives; never raises because of the input."""
        try:
            yield from self._picture(item) if item.kind == "picture" else self._video(item)
        except SourceError as error:
            yield Piece([], 0, str(error).replace(display_name(item.path), item.source, 1))
        except MemoryError:
            yield Piece([], 0, f"{item.source}: there is not enough memory for it.")

    def _load(self, scan_every: int) -> Recognizer:
        given = self._settings
        return Recognizer.load(
            given.model, engine=given.engine, device="cpu", threads=1, detector=given.detector, min_face=given.min_face,
            largest=given.largest, scan_every=scan_every, require_signature=given.require_signature,
        )  # fmt: skip

    def _picture(self, item: Input) -> Iterator[Piece]:
        if "://" in item.path:
            image = decode_image(self._buckets.read(item.path, MAX_BYTES), name=item.source)
        else:
            image = read_picture(Path(item.path))
        faces = self._pictures(image)
        yield Piece(_rows(faces, image, None, None) or [_no_face(image)], 1)

    def _video(self, item: Input) -> Iterator[Piece]:
        if "://" not in item.path:
            with open_video(Path(item.path), name=item.source) as source:
                yield from self._frames(source)
            return
        # Without a name: whatever ends this process, nothing of it stays on the disk.
        with tempfile.TemporaryFile() as file:
            begin = time.monotonic()
            for _ in self._buckets.download(item.path, file):
                if time.monotonic() - begin > PIECE_S:
                    yield Piece([], 0)
                    begin = time.monotonic()
            with open_video(Path(f"/proc/self/fd/{file.fileno()}"), name=item.source) as source:
                yield from self._frames(source)

    def _frames(self, source: Source) -> Iterator[Piece]:
        """Faces of a video, tracked and smoothed; one row without a face when there is none in all of it."""
        # A recognizer of its own: where the search for small faces stood after the last video must not matter.
        stream = StreamRecognizer(
            self._load(scan_every=STREAM_SCAN_EVERY), "video", detect_every=self._settings.detect_every
        )
        rows: list[Row] = []
        frames, any_face, begin = 0, False, time.monotonic()
        first: Image | None = None
        for frame in source.frames():
            first = frame.image if first is None else first
            result = stream.process(frame)
            rows += _rows(result.faces, frame.image, frame.index, round(frame.time_s, 4))
            frames += 1
            any_face = any_face or bool(result.faces)
            if len(rows) >= PIECE_ROWS or time.monotonic() - begin > PIECE_S:
                yield Piece(rows, frames)
                rows, frames, begin = [], 0, time.monotonic()
        if not any_face and first is not None:
            rows.append(_no_face(first))
        yield Piece(rows, frames, "; ".join(source.problems) or None)


def _rows(faces: list[Face] | tuple[Face, ...], image: Image, frame: int | None, time_s: float | None) -> list[Row]:
    height, width = image.shape[:2]
    rows = []
    for number, face in enumerate(faces):
        known = face.as_json()
        rows.append(
            [
                frame, time_s, width, height, number, known["track"], *known["box"], known["detection_score"],
                known["label"], known["score"], *known["scores"].values(),
            ]
        )  # fmt: skip
    return rows


def _no_face(image: Image) -> Row:
    height, width = image.shape[:2]
    return [None, None, width, height]
