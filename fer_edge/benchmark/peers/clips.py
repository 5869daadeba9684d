"""The clips that every peer is given: faces of the embedded clip moving over a noise, the same at every run, as lossless pictures."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fer_edge.benchmark.scene import MARGIN, square_around
from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources import open_source

if TYPE_CHECKING:
    from fer_edge_runtime.types import Image

SEED = 7
SIZES = ((640, 480), (1280, 720))
FACES = (1, 4)
FRAMES = 30
CELL_SHARE = 0.85  # of its cell that the tile of a face takes at most
SWAY = 0.06  # of the cell: how far a tile moves to either side, and how much it grows and shrinks


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip on disk.

    Attributes:
        name: such as ``640x480, 4 faces``.
        paths: one PNG a frame.
        truth: for each frame the boxes (x1, y1, x2, y2) of its faces in pixels.
    """

    name: str
    paths: tuple[str, ...]
    truth: tuple[tuple[tuple[float, float, float, float], ...], ...]


def write_clips(folder: Path, frames: int = FRAMES) -> list[Clip]:
    """Draw all clips into a folder.

    Args:
        folder: exists.
        frames: of each clip.
    """
    portraits = _portraits(frames)
    return [_write(folder, portraits, width, height, faces) for width, height in SIZES for faces in FACES]


def first_picture(folder: Path) -> str:
    """The first frame of the embedded clip, whole, as a PNG: what a cold start has to label."""
    with open_source("demo") as source:
        frame = next(iter(source.frames()))
    path = folder / "first.png"
    cv2.imwrite(str(path), frame.image)
    return str(path)


def _portraits(count: int) -> list[Image]:
    """The face of the embedded clip with its margin, frame by frame."""
    detector = open_detector("full")
    found: list[Image] = []
    with open_source("demo") as source:
        for frame in itertools.islice(source.frames(), count):
            faces = detector.detect(frame.image)
            if not faces:
                raise SourceError(f"The embedded clip shows no face in its frame {frame.index}.")
            found.append(square_around(frame.image, faces[0].box))
    return found


def _write(folder: Path, portraits: list[Image], width: int, height: int, faces: int) -> Clip:
    random = np.random.default_rng((SEED, width, height, faces))
    background = _noise(random, width, height)
    phases = random.uniform(0, 2 * math.pi, (faces, 3))
    paths, truth = [], []
    for number in range(len(portraits)):
        image, boxes = background.copy(), []
        for place in range(faces):
            # Each face is at another moment of the embedded clip, and every second one is mirrored.
            portrait = portraits[(number + place * len(portraits) // faces) % len(portraits)]
            portrait = portrait[:, ::-1] if place % 2 else portrait
            turn = 2 * math.pi * number / len(portraits)
            boxes.append(_paste(image, portrait, _cell(width, height, faces, place), np.sin(turn + phases[place])))
        path = folder / f"{width}x{height}-{faces}-{number:03}.png"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        paths.append(str(path))
        truth.append(tuple(boxes))
    return Clip(f"{width}x{height}, {faces} face{'s' * (faces != 1)}", tuple(paths), tuple(truth))


def _noise(random: np.random.Generator, width: int, height: int) -> Image:
    """Smooth grey noise of several scales, so that a cascade meets edges as in a room; (height, width, 3) uint8."""
    total = np.zeros((height, width), np.float32)
    for cells in (4, 12, 36):
        grid = random.normal(0, 1, (cells * height // width + 1, cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * (40 / cells**0.5)
    grey = np.clip(112 + total, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _cell(width: int, height: int, faces: int, place: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of a face's share of the frame."""
    columns = math.ceil(math.sqrt(faces))
    rows = math.ceil(faces / columns)
    row, column = divmod(place, columns)
    return column * width // columns, row * height // rows, width // columns, height // rows


def _paste(
    image: Image, portrait: Any, cell: tuple[int, int, int, int], sway: Any
) -> tuple[float, float, float, float]:
    """Put a portrait into its cell and say where its face is."""
    left, top, width, height = cell
    largest = min(width, height)
    side = round(largest * CELL_SHARE * (1 - SWAY * (1 + float(sway[2])) / 2))
    room_x, room_y = (width - side) / 2, (height - side) / 2
    x = left + round(room_x + float(sway[0]) * min(room_x, SWAY * width))
    y = top + round(room_y + float(sway[1]) * min(room_y, SWAY * height))
    image[y : y + side, x : x + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    rim = side * MARGIN / (1 + 2 * MARGIN)
    return x + rim, y + rim, x + side - rim, y + side - rim
