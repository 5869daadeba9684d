"""Synthetic frames with a known number of faces: one face of a real frame, tiled on grey."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer_edge_runtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fer_edge_runtime.detect import Detector
    from fer_edge_runtime.types import Frame, Image

GREY = 96
MARGIN = 0.7  # of the face's side, on every side: a detector wants hair and shoulders around a face
SCENE_MARGIN = 0.4  # less, so that sixteen faces of a frame are large enough for the detector's look at the whole of it
LARGEST_SHARE = 0.6  # of the frame's height that one face with its margin takes


class Scene(NamedTuple):
    """What a synthetic frame holds and how often the detector looks at it.

    Attributes:
        width, height: pixels.
        faces: how many.
        every: the detector runs on every N-th frame.
    """

    width: int = 640
    height: int = 480
    faces: int = 1
    every: int = 1


def face_of(frames: Iterable[Frame], detector: Detector) -> Image:
    """The largest face of the first frame that has one, with its margin: (S, S, 3) uint8 BGR.

    Raises:
        SourceError: no frame shows a face.
    """
    name = "The clip"
    for frame in frames:
        name = frame.source
        found = detector.detect(frame.image)
        if found:
            return square_around(frame.image, found[0].box, SCENE_MARGIN)
    raise SourceError(f"{name}: no frame shows a face, so there is nothing to tile. Give a clip with a face to --clip.")


def square_around(image: Image, box: tuple[float, float, float, float], margin: float = MARGIN) -> Image:
    """A box with its margin, made square: (S, S, 3) uint8, edges repeated where it leaves the picture."""
    x1, y1, x2, y2 = box
    side = round(max(x2 - x1, y2 - y1) * (1 + 2 * margin))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    padded = cv2.copyMakeBorder(image, side, side, side, side, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(padded[top + side : top + 2 * side, left + side : left + 2 * side])


def draw_scene(face: Image, scene: Scene) -> Image:
    """Tiles of one face in a grid.

    Args:
        face: (S, S, 3) uint8 BGR.
        scene: its width, height and number of faces.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    frame = np.full((scene.height, scene.width, 3), GREY, np.uint8)
    columns = min(scene.faces, math.ceil(math.sqrt(scene.faces * scene.width / scene.height)))
    rows = math.ceil(scene.faces / columns)
    side = min(scene.width // columns, scene.height // rows, round(LARGEST_SHARE * scene.height))
    tile = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    for place in range(scene.faces):
        row, column = divmod(place, columns)
        left = (2 * column + 1) * scene.width // (2 * columns) - side // 2
        top = (2 * row + 1) * scene.height // (2 * rows) - side // 2
        frame[top : top + side, left : left + side] = tile
    return frame
