"""Training faces made to look like those that a camera and a detector give: small, blurred, compressed, dark.

FER2013's faces are web photographs. A face on a device is often smaller than 48 pixels, out of focus, moving, compressed by
the camera or seen in little light (these changes: Hendrycks and Dietterich, arXiv 1903.12261).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Face = NDArray[np.uint8]


def like_a_camera(faces: Face, share: float, random: np.random.Generator) -> Face:
    """The faces, each changed in one way with probability ``share``.

    Args:
        faces: (N, S, S) uint8, grey; not changed in place.
        share: probability in [0, 1].
        random: decides which faces, how and how strongly.
    """
    changed = faces.copy()
    for row in np.flatnonzero(random.random(len(faces)) < share).tolist():
        changed[row] = _CHANGES[random.integers(len(_CHANGES))](faces[row], random)
    return changed


def _small(face: Face, random: np.random.Generator) -> Face:
    """From 40 to 90 % of the side in pixels, enlarged again."""
    side = max(1, round(face.shape[0] * random.uniform(0.4, 0.9)))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _blurred(face: Face, random: np.random.Generator) -> Face:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), random.uniform(0.5, 1.6)), np.uint8)


def _moving(face: Face, random: np.random.Generator) -> Face:
    """Blurred along one axis: a head or a camera that moves."""
    length = int(random.integers(3, 6))
    size = (length, 1) if random.random() < 0.5 else (1, length)
    return np.asarray(cv2.blur(face, size), np.uint8)


def _compressed(face: Face, random: np.random.Generator) -> Face:
    _, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(10, 60))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _dark(face: Face, random: np.random.Generator) -> Face:
    """Little light: gamma, then the noise of an amplified sensor."""
    light = 255 * (face / 255) ** random.uniform(1.3, 3.0)
    return _clipped(light + random.normal(0, random.uniform(2, 10), face.shape))


def _noisy(face: Face, random: np.random.Generator) -> Face:
    return _clipped(face + random.normal(0, random.uniform(3, 20), face.shape))


def _clipped(values: NDArray[np.float64]) -> Face:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_CHANGES = (_small, _blurred, _moving, _compressed, _dark, _noisy)
