"""Scale a frame onto a network's square input without distorting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.types import Image

_PADDING = 0.0  # mid-grey; black padding lowered the scores of small faces by 0.1 to 0.2


class Transform(NamedTuple):
    """Where a letterboxed frame lies: ``input = frame * scale + (left, top)``, per axis, in pixels."""

    scale_x: float
    scale_y: float
    left: int
    top: int


def letterbox(frame: Image, canvas: NDArray[np.float32], scale: float) -> Transform:
    """Scale a frame, keep its aspect ratio, centre it on a grey canvas and convert it to the network's colours.

    Args:
        frame: (H, W, 3) uint8 BGR.
        canvas: (h, w, 3) float32, overwritten with RGB in [-1, 1].
        scale: canvas pixels per frame pixel; every side keeps at least one pixel.

    Returns:
        How to get back from canvas pixels to frame pixels.
    """
    height, width = frame.shape[:2]
    new_width = min(canvas.shape[1], max(1, round(width * scale)))
    new_height = min(canvas.shape[0], max(1, round(height * scale)))
    small, reduction = halve(frame, scale)
    used_height, used_width = small.shape[0] * reduction, small.shape[1] * reduction
    if small.shape[:2] != (new_height, new_width):
        interpolation = cv2.INTER_AREA if scale * reduction < 0.5 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(small, (new_width, new_height), interpolation=interpolation), np.uint8)
    rgb = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    left, top = (canvas.shape[1] - new_width) // 2, (canvas.shape[0] - new_height) // 2
    if (new_height, new_width) != canvas.shape[:2]:
        canvas.fill(_PADDING)
    inside = canvas[top : top + new_height, left : left + new_width]
    np.multiply(rgb, np.float32(1 / 127.5), out=inside)
    inside -= 1
    return Transform(new_width / used_width, new_height / used_height, left, top)


def halve(frame: Image, scale: float) -> tuple[Image, int]:
    """Average 2x2 blocks as long as the picture stays at least as large as the scale asks for.

    Halving by area and a last bilinear step of less than 2 costs an eighth of OpenCV's general area resize, which was a
    third of the full-range network's own time. An odd last row or column is left out.

    Args:
        frame: (H, W, 3) uint8.
        scale: wanted size over the frame's size.

    Returns:
        The smaller picture and the whole number by which its sides were divided.
    """
    reduction = 1
    while scale * reduction <= 0.5 and min(frame.shape[:2]) >= 2:
        height, width = frame.shape[0] // 2, frame.shape[1] // 2
        even = frame[: 2 * height, : 2 * width]
        frame = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        reduction *= 2
    return frame, reduction
