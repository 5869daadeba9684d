"""Cover the heads of a picture, so that whoever sees the picture cannot tell who they were.

A covered head is not blurred but replaced: the area becomes a soft gradient between four colours, which are taken from its
corners, beside the head. Blurred and pixelated faces can be recognised by a network that was trained on such faces
(McPherson, Shokri, Shmatikov 2016, arXiv 1609.00408), and a video shows them in many positions; of what is not in the picture
there is nothing to restore. The area grows with the face's box, so that the strength does not depend on the size of the face.

A face that no detector finds is not covered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fer_edge_runtime.types import Box, Frame, FrameResult, Image

# Beyond the box on each side, in its longer side. A box reaches from the forehead to the chin; hair, ears and a head that
# leans to one side lie within.
MARGIN = 0.5
# A face that is found no longer stays covered for so long, and for so many frames where those come slowly.
HOLD_S = 0.5
HOLD_FRAMES = 5


class _Seen(NamedTuple):
    """Where a head was, when, and in which frame."""

    box: Box
    time_s: float
    frame: int


class Anonymizer:
    """Covers the heads of a source's frames; remembers those that were there a moment ago."""

    def __init__(self, *, stream: bool) -> None:
        """Start with nobody.

        Args:
            stream: the frames follow each other; pictures of a folder do not, so nothing is remembered between them.
        """
        self._stream = stream
        self._tracks: dict[int, _Seen] = {}
        self._others: list[_Seen] = []
        self._segment = 0
        self._frames = 0

    def cover(self, frame: Frame, result: FrameResult) -> Frame:
        """The frame with every head covered, its own and those of the last half second; the one given stays as it is."""
        boxes = [face.box for face in result.faces] + list(result.others)
        if self._stream:
            boxes = self._remember(frame, result)
        return replace(frame, image=covered(frame.image, boxes))

    def _remember(self, frame: Frame, result: FrameResult) -> list[Box]:
        if frame.segment != self._segment:
            self._segment = frame.segment
            self._tracks, self._others = {}, []
        self._frames += 1
        # A track's head has moved on to its new place; who has no number is covered in all places of the last moment.
        self._tracks |= {
            face.track: _Seen(face.box, frame.time_s, self._frames) for face in result.faces if face.track is not None
        }
        unnumbered = [face.box for face in result.faces if face.track is None]
        self._others += [_Seen(box, frame.time_s, self._frames) for box in (*unnumbered, *result.others)]
        self._tracks = {track: seen for track, seen in self._tracks.items() if self._holds(seen, frame)}
        self._others = [seen for seen in self._others if self._holds(seen, frame)]
        return [seen.box for seen in (*self._tracks.values(), *self._others)]

    def _holds(self, seen: _Seen, frame: Frame) -> bool:
        return self._frames - seen.frame <= HOLD_FRAMES or frame.time_s - seen.time_s <= HOLD_S


def covered(image: Image, boxes: list[Box]) -> Image:
    """A copy of a picture, (H, W, 3) uint8 BGR, with the heads around these boxes covered."""
    import cv2

    canvas = image.copy()
    areas = [area for box in boxes if (area := head_area(box, image)) is not None]
    for x1, y1, x2, y2 in areas:
        corners = _corner_colours(image[y1:y2, x1:x2])
        canvas[y1:y2, x1:x2] = cv2.resize(corners, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    return canvas


def head_area(box: Box, image: Image) -> tuple[int, int, int, int] | None:
    """The area that is covered for a face's box, in whole pixels inside the picture; None when the head is outside."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    margin = MARGIN * max(x2 - x1, y2 - y1)
    left, right = (int(np.clip(x, 0, width)) for x in (np.floor(x1 - margin), np.ceil(x2 + margin)))
    top, bottom = (int(np.clip(y, 0, height)) for y in (np.floor(y1 - margin), np.ceil(y2 + margin)))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _corner_colours(area: Image) -> Image:
    """The mean colours of the four corners, (2, 2, 3) uint8."""
    height, width = area.shape[:2]
    tall, wide = max(1, height // 10), max(1, width // 10)
    rows, columns = (slice(None, tall), slice(-tall, None)), (slice(None, wide), slice(-wide, None))
    means = [[area[row, column].mean(axis=(0, 1)) for column in columns] for row in rows]
    return np.asarray(np.round(means), np.uint8)
