"""YuNet, run by OpenCV's ``FaceDetectorYN`` from an ONNX file that the user supplies.

It keeps the frame's resolution, so it finds faces from about 10 pixels on, and takes longer on larger frames. Its box
is tighter than BlazeFace's and higher than wide. The file comes from the OpenCV Zoo (``face_detection_yunet``, MIT).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_edge_runtime.detect.blazeface import check_frame
from fer_edge_runtime.detect.letterbox import halve
from fer_edge_runtime.errors import BundleError, ConfigError, SourceError
from fer_edge_runtime.types import Detection

if TYPE_CHECKING:
    from fer_edge_runtime.types import Image

LANDMARKS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
MIN_SCORE = 0.8
"""Default threshold: on pictures of a cat the best score was 0.68, faces of 24 px scored 0.89 and more."""

_NMS_IOU = 0.3
_TOP_K = 5000
_MAX_SIDE = 1920  # memory grows with the frame; larger ones are halved until they fit
_MIN_SIDE = 32  # the coarsest stride; smaller frames are padded
_MAX_BYTES = 64 * 2**20


class YuNet:
    """Finds faces with YuNet. Not safe for use by several threads at once."""

    name = "yunet"

    def __init__(self, path: str | Path, *, min_face: int = 24, min_score: float | None = None) -> None:
        """Load the network.

        Args:
            path: the ONNX file.
            min_face: faces whose box has a longer side under this many pixels of the frame are dropped, ≥ 1.
            min_score: threshold in (0, 1); None takes `MIN_SCORE`.

        Raises:
            BundleError: the file is no YuNet network that OpenCV can read.
            ConfigError: an argument is out of range.
            SourceError: the file cannot be opened.
        """
        score = MIN_SCORE if min_score is None else min_score
        if not 0 < score < 1:
            raise ConfigError(f"The detector's min_score must be between 0 and 1, both excluded; received {score}.")
        if min_face < 1:
            raise ConfigError(f"The detector's min_face must be at least 1 pixel; received {min_face}.")
        self._path = Path(path).expanduser()
        self._min_face = min_face
        self._min_score = score
        self._size = (320, 320)
        self._network = _open(self._path, score)
        self._probe()

    def detect(self, frame: Image) -> list[Detection]:
        """See `fer_edge_runtime.detect.Detector.detect`."""
        check_frame(frame)
        height, width = frame.shape[:2]
        if max(height, width) < self._min_face:
            return []
        small, reduction = halve(frame, _reduction_scale(height, width))
        found = [_to_detection(row, reduction) for row in self._rows(_pad(small))]
        found = [face for face in found if max(_sides(face)) >= self._min_face]
        return sorted(found, key=lambda face: -_sides(face)[0] * _sides(face)[1])

    def describe(self) -> str:
        """One line: what runs, from which size and score on."""
        return (
            f"YuNet {self._path.name} on OpenCV {cv2.__version__} "
            f"(score ≥ {self._min_score:g}, faces ≥ {self._min_face} px)"
        )

    def _rows(self, frame: Image) -> list[list[float]]:
        size = (frame.shape[1], frame.shape[0])
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size
        _, rows = self._network.detect(frame)
        if rows is None:
            return []
        finite = rows[np.isfinite(rows).all(axis=1)]
        kept: list[list[float]] = finite.tolist()
        return kept

    def _probe(self) -> None:
        """Run it once, because OpenCV accepts any network and fails at the first picture."""
        try:
            self._rows(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise BundleError(_not_yunet(self._path, error)) from error


def _open(path: Path, score: float) -> cv2.FaceDetectorYN:
    if not hasattr(cv2, "FaceDetectorYN"):
        raise ConfigError(f"OpenCV {cv2.__version__} has no FaceDetectorYN; YuNet needs OpenCV 4.5.4 or newer.")
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise SourceError(
            f"The YuNet network {path} cannot be opened ({error.strerror}). Download face_detection_yunet_*.onnx from "
            "https://github.com/opencv/opencv_zoo and pass its path as yunet:PATH."
        ) from error
    if not path.is_file():
        raise SourceError(f"The YuNet network {path} is not a file; pass the path of the ONNX file as yunet:PATH.")
    if not 0 < size_bytes <= _MAX_BYTES:
        raise BundleError(f"{path} holds {size_bytes} bytes; a YuNet network has between 1 byte and {_MAX_BYTES}.")
    try:
        return cv2.FaceDetectorYN.create(str(path), "", (320, 320), score, _NMS_IOU, _TOP_K)
    except cv2.error as error:
        raise BundleError(_not_yunet(path, error)) from error


def _not_yunet(path: Path, error: cv2.error) -> str:
    reason = " ".join(str(error).split())
    return (
        f"{path} is not a YuNet network that OpenCV {cv2.__version__} can run; download face_detection_yunet_*.onnx "
        f"from https://github.com/opencv/opencv_zoo again ({reason[:160]})."
    )


def _reduction_scale(height: int, width: int) -> float:
    """A power of two that brings the longer side to `_MAX_SIDE` or less; 1 where it is."""
    scale = 1.0
    while max(height, width) * scale > _MAX_SIDE:
        scale /= 2
    return scale


def _pad(frame: Image) -> Image:
    """At least `_MIN_SIDE` pixels a side, black at the right and below."""
    bottom, right = max(0, _MIN_SIDE - frame.shape[0]), max(0, _MIN_SIDE - frame.shape[1])
    if not bottom and not right:
        return np.ascontiguousarray(frame)
    return np.pad(frame, ((0, bottom), (0, right), (0, 0)))


def _to_detection(row: list[float], reduction: int) -> Detection:
    """A row of YuNet's output: x, y, width, height, five points as x, y, score."""
    x, y, width, height, *points, score = (value * reduction for value in row)
    landmarks = dict(zip(LANDMARKS, zip(points[0::2], points[1::2], strict=True), strict=True))
    return Detection((x, y, x + width, y + height), min(1.0, max(0.0, score / reduction)), landmarks)


def _sides(face: Detection) -> tuple[float, float]:
    x1, y1, x2, y2 = face.box
    return x2 - x1, y2 - y1
