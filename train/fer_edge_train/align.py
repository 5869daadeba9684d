"""Straighten faces before training, with the detector and the cropping that the device uses."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.detect import Detector, open_detector
from fer_edge_runtime.errors import ConfigError, DataError, OutputError, SourceError
from fer_edge_runtime.manifest import Framing, Preprocess
from fer_edge_runtime.preprocess import crop_faces
from fer_edge_runtime.sources.picture import read_picture
from fer_edge_train.data import usable
from fer_edge_train.faces import FACE_SIZE, Rows
from fer_edge_train.framing import FER2013_FRAMING, MIN_SCORE, central_detection, face_canvas
from fer_edge_train.readers import PARTS

CLOSE_UP = 128  # pixels: a picture this small is a face already; larger ones are looked at as they are first
SIZES = (24, 512)
UNDETECTED = "undetected.txt"

Progress = Callable[[int, int], None]


def align_faces(
    images: NDArray[np.uint8], detector: str, *, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Straighten faces that are cut out already.

    Args:
        images: (N, 48, 48) uint8.
        detector: ``full``, ``short`` or ``yunet:PATH``.
        progress: receives faces done and faces in all.

    Returns:
        (N, 48, 48) uint8 with level eyes in FER2013's framing, those without a visible face unchanged; (N,) which were found.
    """
    aligner = Aligner(detector, images.shape[1])
    aligned, found = images.copy(), np.zeros(len(images), np.bool_)
    for row, image in enumerate(images):
        face = aligner.close_up(image)
        if face is not None:
            aligned[row], found[row] = face, True
        progress(row + 1, len(images))
    return aligned, found


class Aligner:
    """Finds the face of a picture and cuts it out as the device does: level eyes, FER2013's framing, grey."""

    def __init__(self, detector: str, size: int) -> None:
        """Open the detector.

        Args:
            detector: ``full``, ``short`` or ``yunet:PATH``.
            size: side of the faces in pixels.

        Raises:
            ConfigError: an unknown detector or a size out of range.
        """
        if not SIZES[0] <= size <= SIZES[1]:
            raise ConfigError(f"The size of a face must be {SIZES[0]} to {SIZES[1]} pixels; received {size}.")
        self._size = size
        self._framing: Framing = FER2013_FRAMING.get(detector.partition(":")[0], FER2013_FRAMING["full"])
        self._spec = Preprocess("grey", size, size, 1, "linear", "eyes", 0.0, 1.0, {})
        self._anywhere: Detector = open_detector(detector)
        # The canvas shows faces of about 170 pixels and the face is known to be there: see `fer_edge_train.framing`.
        self._central: Detector = open_detector(detector, min_face=64, min_score=MIN_SCORE)

    def largest(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The largest face of a (H, W, 3) uint8 BGR picture of any size as (size, size) uint8, or None."""
        if max(picture.shape[:2]) > CLOSE_UP:
            found = self._anywhere.detect(picture)
            if found:
                return crop_faces(picture, found[:1], spec=self._spec, framing=self._framing)[0]
        return self.close_up(_small_square(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)))

    def close_up(self, face: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The face that fills a small (S, S) uint8 picture, which has no margin for the detector, or None."""
        canvas = face_canvas(face)
        detection = central_detection(self._central.detect(canvas), face.shape[0])
        if detection is None:
            return None
        return crop_faces(canvas, [detection], spec=self._spec, framing=self._framing)[0]

    def whole(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole picture as (size, size) uint8, as a reader would take it."""
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return np.asarray(cv2.resize(grey, (self._size, self._size), interpolation=cv2.INTER_AREA), np.uint8)


def _small_square(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of any shape as a square of at most `CLOSE_UP` pixels, its edges repeated."""
    side = max(grey.shape)
    top, left = (side - grey.shape[0]) // 2, (side - grey.shape[1]) // 2
    bottom, right = side - grey.shape[0] - top, side - grey.shape[1] - left
    square = cv2.copyMakeBorder(grey, top, bottom, left, right, cv2.BORDER_REPLICATE)
    if side > CLOSE_UP:
        square = cv2.resize(square, (CLOSE_UP, CLOSE_UP), interpolation=cv2.INTER_AREA)
    return np.asarray(square, np.uint8)


@dataclass(frozen=True, slots=True)
class Aligned:
    """What `align_dataset` did.

    Attributes:
        written: pictures in the new folder.
        undetected: places of the pictures in which no face was found.
        unreadable: place and reason of those that could not be read.
    """

    written: int
    undetected: list[str]
    unreadable: list[tuple[str, str]]


def align_dataset(
    path: Path, out: Path, *, detector: str, size: int = FACE_SIZE, keep_undetected: bool = False,
    skip_bad: bool = False, progress: Progress,
) -> Aligned:  # fmt: skip
    """Write a data set as class folders of aligned grey PNG faces; the folder appears when it is complete.

    Class folders keep their structure and names. The rows of a parquet or CSV file go to ``train``, ``validation`` and
    ``test``, named by their row.

    Args:
        path: class folders with pictures of any size, or a parquet or CSV file.
        out: new or empty folder.
        detector: see `Aligner`.
        size: side of the faces in pixels.
        keep_undetected: write pictures without a face too, resized as a whole; otherwise they are left out. They are
            listed in ``undetected.txt`` either way.
        skip_bad: leave out pictures and rows that cannot be read; otherwise they are refused.
        progress: receives pictures done and pictures in all.

    Raises:
        OutputError: ``out`` holds files or cannot be written.
        DataError: pictures or rows cannot be read, and see `read_rows`.
        ConfigError: see `Aligner`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty; name a new folder with --out.")
    aligner = Aligner(detector, size)
    rows = usable(path, skip_bad=skip_bad)
    partial = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        result = _write_all(rows, path, partial, aligner, keep_undetected, skip_bad, progress)
        if result.undetected:
            (partial / UNDETECTED).write_text("\n".join(result.undetected) + "\n")
        partial.replace(out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def _write_all(
    rows: Rows, path: Path, folder: Path, aligner: Aligner, keep_undetected: bool, skip_bad: bool, progress: Progress
) -> Aligned:  # fmt: skip
    total = len(rows.places)
    written, undetected, unreadable = 0, [], list(rows.broken)
    folder.mkdir(parents=True)
    for row, target in enumerate(_targets(rows, path)):
        place = rows.places[row]
        try:
            picture = read_picture(path / place) if path.is_dir() else rows.faces.images[row]
        except SourceError as error:  # such as one of more pixels than the runtime accepts
            if not skip_bad:
                raise DataError(f"{error} Mend it, or leave such pictures out with --skip-bad.") from error
            unreadable.append((place, str(error)))
            continue
        face = aligner.largest(picture) if path.is_dir() else aligner.close_up(picture)
        if face is None:
            undetected.append(place)
        if face is not None or keep_undetected:
            file = folder / target
            file.parent.mkdir(parents=True, exist_ok=True)
            encoded = cv2.imencode(".png", aligner.whole(picture) if face is None else face)[1]
            file.write_bytes(encoded.tobytes())
            written += 1
        progress(row + 1, total)
    return Aligned(written, undetected, unreadable)


def _targets(rows: Rows, path: Path) -> Iterator[Path]:
    """The file of every row below the new folder; two pictures of one name keep their suffixes."""
    if path.is_dir():
        stems = Counter(Path(place).with_suffix("") for place in rows.places)
        for place in map(Path, rows.places):
            clash = stems[place.with_suffix("")] > 1
            yield place.with_name(f"{place.name}.png") if clash else place.with_suffix(".png")
        return
    faces = rows.faces
    for position, usage, label in zip(rows.positions, faces.usage, faces.labels, strict=True):
        yield Path(PARTS[str(usage)][0]) / faces.names[label] / f"{position:06}.png"
