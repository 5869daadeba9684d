"""Golden vectors: a few crops and what each artefact answered, so that a device can prove it computes the same.

FER2013's pictures carry no licence, so none is used: the crops come from the public-domain clip inside the package, cut
out by the device's own preprocessing and varied, with a gradient and seeded noise as the extremes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_export.errors import ExportError
from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.engines import Engine
from fer_edge_runtime.manifest import Artefact, Preprocess
from fer_edge_runtime.preprocess import crop_faces, to_input
from fer_edge_runtime.sources import open_source

GOLDEN_NAME = "golden.npz"
TOLERANCE = 0.05  # XNNPACK, built-in and ARM kernels differ from one another by a few steps of 1/256
DETECTOR = "full"

_Pixels = NDArray[np.uint8]


def golden_crops(spec: Preprocess, *, seed: int, frame: _Pixels | None = None) -> _Pixels:
    """Faces in the training set's framing.

    Args:
        spec: of the bundle; its framing cuts the face out.
        seed: of the noise crop.
        frame: (H, W, 3) uint8 BGR with one face; None takes the first frame of the embedded clip.

    Returns:
        (6, face_size, face_size) uint8 grey, or (…, 3) RGB for a colour model.

    Raises:
        ExportError: no face is found in the frame.
    """
    frame = read_demo_frame() if frame is None else frame
    faces = open_detector(DETECTOR).detect(frame)
    if not faces:
        raise ExportError("The detector finds no face in the picture that golden vectors are made from.")
    (face,) = crop_faces(frame, faces[:1], spec=spec, framing=spec.framing[DETECTOR])
    crops = [vary(face) for vary in _VARIATIONS]
    ramp = np.linspace(0, 255, face.shape[1]).astype(np.uint8)
    crops.append(np.broadcast_to(ramp.reshape(1, -1, *([1] * (face.ndim - 2))), face.shape))
    crops.append(np.random.default_rng(seed).integers(0, 256, face.shape, np.uint8))
    return np.ascontiguousarray(np.stack(crops))


def read_demo_frame() -> _Pixels:
    """(H, W, 3) uint8 BGR: the first frame of the clip inside the package."""
    with open_source("demo") as source:
        return next(iter(source.frames())).image


def expected_scores(engine: Engine, artefact: Artefact, crops: _Pixels, spec: Preprocess) -> NDArray[np.float32]:
    """(N, classes) float32 probabilities, one face at a time: exactly how a bundle replays them.

    Raises:
        ExportError: a second replay does not give the same bits.
    """
    inputs = to_input(crops, spec, artefact.input)

    def replay() -> NDArray[np.float32]:
        return np.concatenate([engine.run(inputs[i : i + 1]) for i in range(len(inputs))]).astype(np.float32)

    first = replay()
    if not np.array_equal(first, replay()):
        raise ExportError(f"{artefact.path}: two replays of the golden vectors differ on {engine.describe().line()}.")
    return first


def pack_golden(crops: _Pixels, expected: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of ``golden.npz``: ``crops`` and one array per artefact's file name."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"crops": crops, **expected}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _turned(face: _Pixels) -> _Pixels:
    """Leaning by 15 degrees."""
    side = face.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 15, 1.0)
    return np.asarray(cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _darker(face: _Pixels) -> _Pixels:
    return np.maximum(face.astype(np.int16) - 60, 0).astype(np.uint8)


_VARIATIONS: tuple[Callable[[_Pixels], _Pixels], ...] = (
    lambda face: face,
    lambda face: face[:, ::-1],
    _darker,
    _turned,
)
