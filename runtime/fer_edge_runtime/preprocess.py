"""From a face in a frame to the model's input: the one function that training, export and device share.

Two steps. `crop_faces` cuts the faces out in the training set's framing and at its resolution: a model trained on
48-pixel faces has never seen finer detail, so a camera face is brought down to 48 pixels first. `to_input` enlarges,
normalises and quantizes. FER2013 rows are already what the first step produces, so evaluation starts at the second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_edge_runtime.manifest import Framing, Preprocess, TensorSpec
    from fer_edge_runtime.types import Detection, Image

_INTERPOLATION = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
}
_MAX_OVERSAMPLING = 16


def preprocess_faces(
    frame: Image, detections: Sequence[Detection], *, spec: Preprocess, framing: Framing, tensor: TensorSpec
) -> NDArray[Any]:
    """Model input of every face in a frame.

    Args:
        frame: (H, W, 3) uint8, BGR.
        detections: N faces.
        spec: from the manifest.
        framing: of the detector that found them, ``spec.framing[detector]``.
        tensor: the artefact's input.

    Returns:
        (N, input_size, input_size, channels) in the tensor's dtype.
    """
    return to_input(crop_faces(frame, detections, spec=spec, framing=framing), spec, tensor)


def crop_faces(
    frame: Image, detections: Sequence[Detection], *, spec: Preprocess, framing: Framing
) -> NDArray[np.uint8]:
    """Faces as the training set would show them.

    Rotated until the eyes are level (``align = "eyes"``), framed, and averaged down to ``face_size``. Where the crop
    reaches outside the frame, the frame's border is repeated.

    Returns:
        (N, face_size, face_size) uint8 grey, or (N, face_size, face_size, 3) uint8 RGB.
    """
    color = spec.color == "rgb"
    crops = np.empty((len(detections), spec.face_size, spec.face_size, *((3,) if color else ())), np.uint8)
    for index, detection in enumerate(detections):
        crop = _crop(frame, detection, spec, framing)
        crops[index] = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB if color else cv2.COLOR_BGR2GRAY)
    return crops


def _crop(frame: Image, detection: Detection, spec: Preprocess, framing: Framing) -> Image:
    (centre_x, centre_y), side, angle = face_square(detection, framing, align=spec.align)
    # Sample near the frame's own resolution, then average: plain sampling would alias a large face.
    oversampling = min(_MAX_OVERSAMPLING, max(1, math.floor(side / spec.face_size + 0.5)))
    pixels = spec.face_size * oversampling
    step = side / pixels
    cos, sin = math.cos(angle) * step, math.sin(angle) * step
    middle = (pixels - 1) / 2
    # warpAffine refuses pictures of 32,768 pixels and more, so it gets only the window that the crop looks at.
    reach = (abs(cos) + abs(sin)) * pixels / 2 + 2
    left, right = _span(centre_x, reach, frame.shape[1])
    top, bottom = _span(centre_y, reach, frame.shape[0])
    window = frame[top:bottom, left:right]
    inverse = np.array(
        [
            [cos, -sin, centre_x - left - 0.5 - (cos - sin) * middle],
            [sin, cos, centre_y - top - 0.5 - (sin + cos) * middle],
        ]
    )
    crop = cv2.warpAffine(
        window,
        inverse,
        (pixels, pixels),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if oversampling > 1:
        crop = cv2.resize(crop, (spec.face_size, spec.face_size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def _span(centre: float, reach: float, limit: int) -> tuple[int, int]:
    """First and last (exclusive) pixel within ``reach`` of ``centre``; at least one pixel of the frame."""
    low = max(0, min(limit - 1, math.floor(centre - reach)))
    return low, max(low + 1, min(limit, math.ceil(centre + reach) + 1))


def face_square(detection: Detection, framing: Framing, *, align: str) -> tuple[tuple[float, float], float, float]:
    """The square that frames a face.

    Returns:
        ``(centre, side, angle)``: centre (x, y) and side in pixels of the frame, angle in radians by which the face
        leans clockwise (0 when the eyes are level or ``align`` is ``"none"``).
    """
    x1, y1, x2, y2 = detection.box
    box_side = math.sqrt(max(x2 - x1, 1.0) * max(y2 - y1, 1.0))
    angle = 0.0
    if align == "eyes":
        (right_x, right_y), (left_x, left_y) = detection.landmarks["right_eye"], detection.landmarks["left_eye"]
        angle = math.atan2(left_y - right_y, left_x - right_x)
    move_x, move_y = framing.offset_x * box_side, framing.offset_y * box_side
    centre = (
        (x1 + x2) / 2 + move_x * math.cos(angle) - move_y * math.sin(angle),
        (y1 + y2) / 2 + move_x * math.sin(angle) + move_y * math.cos(angle),
    )
    return centre, box_side * framing.scale, angle


def to_input(faces: NDArray[np.uint8], spec: Preprocess, tensor: TensorSpec) -> NDArray[Any]:
    """Enlarge, normalise and quantize faces.

    Args:
        faces: (N, face_size, face_size) uint8 grey or (N, face_size, face_size, 3) uint8 RGB.
        spec: from the manifest.
        tensor: the artefact's input: its dtype, scale and zero point.

    Returns:
        (N, input_size, input_size, channels) in the tensor's dtype; values outside its range saturate.
    """
    planes = 3 if faces.ndim == 4 else 1
    quantized = tensor.dtype != "float32"
    # One multiplication and one addition take a pixel to the tensor's grid. The zero point comes after the rounding: a pixel
    # often lies halfway between two steps, and int8 and uint8 inputs must round it alike.
    factor = 1 / (spec.std * tensor.scale) if quantized else 1 / spec.std
    shift = -spec.mean * factor
    values = np.empty((len(faces), spec.input_size, spec.input_size, planes), np.float32)
    for index, face in enumerate(faces):
        resized: NDArray[Any] = face.astype(np.float32)
        if spec.input_size != spec.face_size:
            size = (spec.input_size, spec.input_size)
            resized = cv2.resize(resized, size, interpolation=_INTERPOLATION[spec.enlarge])
        np.multiply(resized.reshape(values.shape[1:]), np.float32(factor), out=values[index])
    values += np.float32(shift)
    result: NDArray[Any] = values
    if quantized:
        limits = np.iinfo(tensor.dtype)
        np.rint(values, out=values)
        values += np.float32(tensor.zero_point)
        result = np.minimum(np.maximum(values, limits.min), limits.max).astype(tensor.dtype)
    if planes == spec.channels:
        return result
    return np.repeat(result, spec.channels, axis=-1)
