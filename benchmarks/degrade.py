"""FER2013 faces as a camera or a careless detector would give them: fixed changes, each a pure function of faces and seed.

Noise, blur, brightness, contrast, compression and pixelation after Hendrycks and Dietterich (arXiv 1903.12261); crops that are
turned, moved or of another size stand for a detector's errors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

SEED = 7
Faces = NDArray[np.uint8]
"""(N, S, S) uint8, grey."""


def degraded(faces: Faces, change: str) -> Faces:
    """The faces under one of `CHANGES`; the same change of the same faces gives the same pixels."""
    random = np.random.default_rng([SEED, list(CHANGES).index(change)])
    return np.stack([CHANGES[change](face, random) for face in faces])


def _noise(face: Faces, random: np.random.Generator, *, sigma: float) -> Faces:
    return _clipped(face + random.normal(0, sigma, face.shape))


def _blur(face: Faces, random: np.random.Generator, *, sigma: float) -> Faces:
    return cv2.GaussianBlur(face, (0, 0), sigma)


def _brightness(face: Faces, random: np.random.Generator, *, offset: float) -> Faces:
    return _clipped(face.astype(np.float64) + offset)


def _low_light(face: Faces, random: np.random.Generator) -> Faces:
    return _clipped(255 * (face / 255) ** 2.5 + random.normal(0, 6, face.shape))


def _contrast(face: Faces, random: np.random.Generator, *, factor: float) -> Faces:
    return _clipped(127.5 + (face - 127.5) * factor)


def _moved(
    face: Faces, random: np.random.Generator, *, degrees: float = 0, x: float = 0, y: float = 0, scale: float = 1
) -> Faces:
    """Turned about the middle, then moved by shares of the side; over 1 the face fills more of the crop. Edges repeat."""
    side = face.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, scale)
    matrix[:, 2] += (x * side, y * side)
    return cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _jpeg(face: Faces, random: np.random.Generator, *, quality: int) -> Faces:
    _, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def _small(face: Faces, random: np.random.Generator, *, side: int) -> Faces:
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape, interpolation=cv2.INTER_LINEAR)


def _clipped(values: NDArray[np.float64]) -> Faces:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Faces, np.random.Generator], Faces]] = {
    "noise σ 8": partial(_noise, sigma=8),
    "noise σ 16": partial(_noise, sigma=16),
    "blur σ 1 px": partial(_blur, sigma=1),
    "blur σ 1.5 px": partial(_blur, sigma=1.5),
    "60 grey levels darker": partial(_brightness, offset=-60),
    "60 grey levels brighter": partial(_brightness, offset=60),
    "low light (γ 2.5, noise σ 6)": _low_light,
    "half the contrast": partial(_contrast, factor=0.5),
    "turned 15° left": partial(_moved, degrees=15),
    "turned 15° right": partial(_moved, degrees=-15),
    "moved 10 % right": partial(_moved, x=0.1),
    "moved 10 % down": partial(_moved, y=0.1),
    "crop 15 % too wide": partial(_moved, scale=0.85),
    "crop 15 % too narrow": partial(_moved, scale=1.15),
    "JPEG quality 15": partial(_jpeg, quality=15),
    "faces of 24 pixels": partial(_small, side=24),
}
