"""Candidates of a BlazeFace pass: suppressing, filtering, turning them into detections.

A candidate is a row of 17 float32 values: box x1, y1, x2, y2, six keypoints as x, y in pixels of the frame, score in [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_edge_runtime.types import Detection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Candidates = NDArray[np.float32]

KEYPOINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")

_COLUMNS = 17
_NMS_IOU = 0.3


def weighted_nms(candidates: Candidates, *, iou: float = _NMS_IOU) -> Candidates:
    """Average overlapping candidates by their scores instead of keeping only the best one.

    Averaging is what the BlazeFace paper calls blending: a face's box jitters less from frame to frame.

    Args:
        candidates: (N, 17) float32, box xyxy, keypoints and score.
        iou: candidates that overlap the best one by more than this are averaged into it.

    Returns:
        (M, 17) float32, best score first; each carries the score of its best candidate.
    """
    if len(candidates) < 2:
        return candidates
    rest = candidates[np.argsort(-candidates[:, 16], kind="stable")]
    merged = []
    while len(rest):
        near = _iou_with_first(rest) > iou
        near[0] = True
        group, rest = rest[near], rest[~near]
        weights = group[:, 16:]
        merged.append(np.append((group[:, :16] * weights).sum(axis=0) / weights.sum(), group[0, 16]))
    return np.asarray(merged, np.float32).reshape(-1, _COLUMNS)


def to_detections(candidates: Candidates, min_face: int) -> list[Detection]:
    """The candidates as detections, largest first, without those whose longer side is under ``min_face`` pixels."""
    found = []
    for row in candidates.tolist():
        x1, y1, x2, y2 = row[:4]
        if max(x2 - x1, y2 - y1) < min_face:
            continue
        points = zip(KEYPOINTS, zip(row[4:16:2], row[5:16:2], strict=True), strict=True)
        found.append(Detection(box=(x1, y1, x2, y2), score=row[16], landmarks=dict(points)))
    return sorted(found, key=lambda face: (face.box[0] - face.box[2]) * (face.box[3] - face.box[1]))


def sides(candidates: Candidates) -> NDArray[np.float32]:
    """Width of each box, in pixels."""
    return candidates[:, 2] - candidates[:, 0]


def outside(candidates: Candidates, faces: Candidates) -> Candidates:
    """The candidates whose centre lies in none of the faces."""
    centres = ((candidates[:, :2] + candidates[:, 2:4]) / 2)[:, np.newaxis]
    inside = (centres >= faces[:, :2]) & (centres <= faces[:, 2:4])
    fresh: Candidates = candidates[~np.any(np.all(inside, axis=2), axis=1)]
    return fresh


def _iou_with_first(boxes: Candidates) -> NDArray[np.float32]:
    x1, y1, x2, y2 = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
    width = np.maximum(np.minimum(x2, x2[0]) - np.maximum(x1, x1[0]), 0)
    height = np.maximum(np.minimum(y2, y2[0]) - np.maximum(y1, y1[0]), 0)
    common = width * height
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    overlap: NDArray[np.float32] = common / np.maximum(areas + areas[0] - common, np.float32(1e-9))
    return overlap


def no_candidates() -> Candidates:
    """An empty (0, 17) array."""
    return np.zeros((0, _COLUMNS), np.float32)
