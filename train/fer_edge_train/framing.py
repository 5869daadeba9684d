"""Fit how a detector's box relates to the training set's framing, so that a camera face is cut out as the model knows it.

A training face has no frame around it. Each one is enlarged, put in the middle of a larger canvas whose border repeats
and blurs the face's own edge, and shown to the detector; where the detector's box lies against the known square gives
one measurement of scale and offset. The median over many faces is the framing that the bundle's manifest carries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_runtime.manifest import Framing, Preprocess
from fer_edge_runtime.preprocess import crop_faces
from fer_edge_runtime.types import Detection

ENLARGE = 4
BORDER = 0.75  # of the enlarged face's side, on every side
MIN_FACES = 20
MIN_SCORE = 0.3  # lower than on a device: the face is known to be there, and easy faces alone would bias the fit

# Measured on 2,000 FER2013 training faces (seed 7, min_score 0.3; found 1776, 1949, 1972); used where a data set shows no faces that a detector finds.
FER2013_FRAMING = {
    "full": Framing(scale=1.1337, offset_x=0.0064, offset_y=-0.0455),
    "short": Framing(scale=1.0803, offset_x=0.0033, offset_y=-0.0418),
    "yunet": Framing(scale=1.1033, offset_x=0.0017, offset_y=0.0089),
}


class FaceDetector(Protocol):
    """What `fer_edge_runtime.detect.open_detector` returns, as far as it is needed here."""

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in a (H, W, 3) uint8 BGR frame."""


@dataclass(frozen=True, slots=True)
class FramingFit:
    """A fitted framing and how far to trust it.

    Attributes:
        framing: medians over the faces found.
        tried: training faces shown to the detector.
        found: those in which it found a face over the middle of the canvas.
        spread: median absolute deviation of ``(scale, offset_x, offset_y)``.
        error: mean absolute difference, in grey levels of 255, between the original faces and the same faces
            detected and cut out again with this framing (median over faces).
        correlation: of the pixels of the two (median over faces).
    """

    framing: Framing
    tried: int
    found: int
    spread: tuple[float, float, float]
    error: float
    correlation: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for a manifest's provenance."""
        return {
            "faces_tried": self.tried,
            "faces_found": self.found,
            "spread": {key: round(v, 4) for key, v in zip(("scale", "offset_x", "offset_y"), self.spread, strict=True)},
            "round_trip": {"mean_abs_error": round(self.error, 2), "correlation": round(self.correlation, 4)},
        }


def fit_framing(
    faces: NDArray[np.uint8],
    detector: FaceDetector,
    *,
    sample: int = 2000,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FramingFit:
    """The framing that turns a detector's boxes into the squares of a training set.

    Args:
        faces: (N, 48, 48) uint8 grey TRAINING faces; any square size.
        detector: an open detector.
        sample: faces to show it, drawn without replacement.
        seed: of the draw.
        progress: called with faces done and faces in all.

    Raises:
        DataError: the detector finds fewer than 20 faces, so nothing can be fitted.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(faces))[:sample])
    found: list[tuple[int, Detection]] = []
    for done, row in enumerate(rows.tolist(), 1):
        detection = central_detection(detector.detect(face_canvas(faces[row])), faces.shape[1])
        if detection is not None:
            found.append((row, detection))
        progress(done, len(rows))
    if len(found) < MIN_FACES:
        raise DataError(
            f"The detector finds a face in {len(found)} of {len(rows)} training pictures; at least {MIN_FACES} are needed to learn "
            "how the training set frames a face."
        )
    measured = np.array([measure(detection, faces.shape[1]) for _, detection in found])
    centre = np.median(measured, axis=0)
    spread = np.median(np.abs(measured - centre), axis=0)
    framing = Framing(*(round(float(value), 4) for value in centre))
    error, correlation = round_trip(faces, found, framing)
    return FramingFit(framing, len(rows), len(found), tuple(spread.tolist()), error, correlation)


def face_canvas(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame with the face in its middle.

    Args:
        face: (S, S) uint8, grey.

    Returns:
        (T, T, 3) uint8 BGR, T = 10·S: the face enlarged four times, around it its own edge repeated, mirrored and blurred.
    """
    side = face.shape[0] * ENLARGE
    border = round(side * BORDER)
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    canvas = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
    canvas = cv2.GaussianBlur(canvas, (0, 0), side / 24)
    canvas[border : border + side, border : border + side] = large
    return np.asarray(cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR), np.uint8)


def central_detection(detections: list[Detection], face_size: int) -> Detection | None:
    """The most certain detection whose box holds the middle of the canvas of a face of ``face_size`` pixels."""
    middle = face_size * ENLARGE * (0.5 + BORDER)

    def holds_middle(box: tuple[float, float, float, float]) -> bool:
        return box[0] < middle < box[2] and box[1] < middle < box[3]

    central = [detection for detection in detections if holds_middle(detection.box)]
    return max(central, key=lambda detection: detection.score, default=None)


def measure(detection: Detection, face_size: int) -> tuple[float, float, float]:
    """``(scale, offset_x, offset_y)`` that would turn this detection into exactly the training square: `face_square` inverted."""
    x1, y1, x2, y2 = detection.box
    box_side = math.sqrt((x2 - x1) * (y2 - y1))
    (right_x, right_y), (left_x, left_y) = detection.landmarks["right_eye"], detection.landmarks["left_eye"]
    angle = math.atan2(left_y - right_y, left_x - right_x)
    cos, sin = math.cos(angle), math.sin(angle)
    side = face_size * ENLARGE
    middle = side * (0.5 + BORDER)
    move_x, move_y = middle - (x1 + x2) / 2, middle - (y1 + y2) / 2
    return side / box_side, (move_x * cos + move_y * sin) / box_side, (move_y * cos - move_x * sin) / box_side


def round_trip(
    faces: NDArray[np.uint8], found: list[tuple[int, Detection]], framing: Framing, *, limit: int = 200
) -> tuple[float, float]:
    """Cut detected faces out of their canvases again and compare with the originals.

    Returns:
        Median over at most ``limit`` faces of the mean absolute difference (grey levels) and of the pixels' correlation.
    """
    size = faces.shape[1]
    spec = Preprocess("grey", size, size, 1, "linear", "eyes", 0.0, 1.0, {})
    errors, correlations = [], []
    for row, detection in found[:limit]:
        (crop,) = crop_faces(face_canvas(faces[row]), [detection], spec=spec, framing=framing)
        a, b = faces[row].astype(np.float64).ravel(), crop.astype(np.float64).ravel()
        errors.append(float(np.abs(a - b).mean()))
        if a.std() > 0 and b.std() > 0:
            correlations.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.median(errors)), float(np.median(correlations)) if correlations else 0.0
