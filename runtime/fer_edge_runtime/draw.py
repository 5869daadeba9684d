"""Draw faces on a picture: a box and a label for each, a bar chart of the scores for the largest."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_edge_runtime.types import UNCERTAIN, Box, Face

if TYPE_CHECKING:
    from fer_edge_runtime.types import Image

Colour = tuple[int, int, int]
Rect = tuple[int, int, int, int]

# BGR; told apart in the usual kinds of colour blindness by lightness as well as by hue.
_COLOURS: dict[str, Colour] = {
    "ang": (60, 70, 235),
    "con": (120, 160, 205),
    "dis": (90, 175, 80),
    "fea": (220, 110, 165),
    "hap": (60, 205, 255),
    "neg": (60, 70, 235),
    "neu": (215, 215, 200),
    "pos": (60, 205, 255),
    "sad": (245, 150, 70),
    "sur": (205, 125, 255),
}
_OTHERS: tuple[Colour, ...] = ((200, 190, 60), (130, 200, 130), (90, 150, 240), (210, 150, 210))
_GREY: Colour = (165, 165, 165)
_DARK: Colour = (28, 26, 24)
_WHITE: Colour = (255, 255, 255)
_SMALLEST_TEXT = 0.3


def label_colour(label: str) -> Colour:
    """The BGR colour of a label, the same in every picture; grey for ``uncertain``."""
    if label == UNCERTAIN:
        return _GREY
    known = _COLOURS.get(label[:3].lower())
    return known or _OTHERS[zlib.crc32(label.encode()) % len(_OTHERS)]


def annotate(
    image: Image,
    faces: Sequence[Face],
    *,
    bars: bool = True,
    landmarks: bool = True,
) -> Image:
    """Draw the faces on a copy of a picture.

    Lines and text grow with the picture. A face whose expression is uncertain gets a grey dashed box.

    Args:
        image: (H, W, 3) uint8, BGR; left as it is.
        faces: in any order; boxes may reach outside the picture.
        bars: a bar chart of the largest face's scores, where there is room beside the faces.
        landmarks: a dot for each.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    canvas = image.copy()
    height, width = canvas.shape[:2]
    unit = min(height, width) / 480
    by_size = sorted(faces, key=_area)
    taken: list[Rect] = []
    tags: list[Rect] = []
    for face in by_size:
        if landmarks:
            _draw_landmarks(canvas, face, unit)
        taken.append(_draw_box(canvas, face, unit))
    for face in by_size:
        tags.append(_draw_tag(canvas, face, unit, tags))
    if bars and by_size and by_size[-1].scores:
        _draw_bars(canvas, by_size[-1], unit, taken + tags)
    return canvas


def _area(face: Face) -> float:
    x1, y1, x2, y2 = face.box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def _inside(box: Box, canvas: Image) -> Rect:
    """A box in whole pixels inside the picture."""
    height, width = canvas.shape[:2]
    x1, x2 = (int(min(max(round(x), 0), width - 1)) for x in (box[0], box[2]))
    y1, y2 = (int(min(max(round(y), 0), height - 1)) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _draw_landmarks(canvas: Image, face: Face, unit: float) -> None:
    import cv2

    # A dot must stay small on a small face in a large picture.
    radius = max(1, round(min(2.5 * unit, (face.box[2] - face.box[0]) / 40)))
    colour = label_colour(face.label)
    for x, y in face.landmarks.values():
        centre = (round(min(max(x, -1e6), 1e6)), round(min(max(y, -1e6), 1e6)))
        cv2.circle(canvas, centre, radius + 1, _DARK, -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, colour, -1, cv2.LINE_AA)


def _draw_box(canvas: Image, face: Face, unit: float) -> Rect:
    """A box with a dark rim, so that it shows on any background."""
    import cv2

    rect = _inside(face.box, canvas)
    x1, y1, x2, y2 = rect
    line = max(1, round(2 * unit))
    if face.label == UNCERTAIN:
        _dashed(canvas, rect, line, max(4, round(9 * unit)))
        return rect
    cv2.rectangle(canvas, (x1, y1), (x2, y2), _DARK, line + max(1, round(1.2 * unit)) * 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), label_colour(face.label), line, cv2.LINE_AA)
    return rect


def _dashed(canvas: Image, rect: Rect, line: int, dash: int) -> None:
    import cv2

    x1, y1, x2, y2 = rect
    for colour, thickness in ((_DARK, line + 2), (_GREY, line)):
        for x in range(x1, x2, 2 * dash):
            for y in (y1, y2):
                cv2.line(canvas, (x, y), (min(x + dash, x2), y), colour, thickness, cv2.LINE_AA)
        for y in range(y1, y2, 2 * dash):
            for x in (x1, x2):
                cv2.line(canvas, (x, y), (x, min(y + dash, y2)), colour, thickness, cv2.LINE_AA)


def _tag_text(face: Face) -> str:
    track = f"#{face.track} " if face.track is not None else ""
    return f"{track}{face.label}" + ("" if face.label == UNCERTAIN else f" {face.score:.0%}")


def _text_size(text: str, scale: float) -> tuple[int, int, int]:
    """Width, height above the base line and depth below it, in pixels."""
    import cv2

    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, _weight(scale))
    (_, height), depth = cv2.getTextSize("Hg", cv2.FONT_HERSHEY_SIMPLEX, scale, _weight(scale))
    return width, height, depth


def _weight(scale: float) -> int:
    return max(1, round(scale * 1.4))


def _put(canvas: Image, text: str, place: tuple[int, int], scale: float, colour: Colour) -> None:
    import cv2

    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, _weight(scale), cv2.LINE_AA)


def _draw_tag(canvas: Image, face: Face, unit: float, others: Sequence[Rect]) -> Rect:
    """The label on its colour: above the box, below it or inside it, in the picture and clear of other labels."""
    import cv2

    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = _inside(face.box, canvas)
    text, scale = _tag_text(face), max(0.6 * unit, 0.4)
    pad = max(2, round(5 * unit))
    wide = _text_size(text, scale)[0] + 2 * pad
    # Not much wider than its face, so that tags of neighbours stay apart, but legible.
    scale = min(scale, max(0.4, scale * 1.8 * (x2 - x1) / wide), scale * width / wide)
    if scale < _SMALLEST_TEXT:
        return x1, y1, x1, y1
    wide, above, below = _text_size(text, scale)
    wide, tall = wide + 2 * pad, above + below + pad
    left = max(0, min(x1 - max(1, round(unit)), width - wide))
    inside = min(y1, max(0, height - tall))
    places = [(left, top, left + wide, top + tall) for top in (y1 - tall, y2, inside) if 0 <= top <= height - tall]
    clear = (place for place in places if not any(_overlap(place, other) for other in others))
    top = next(clear, places[0] if places else (0, 0))[1]
    colour = label_colour(face.label)
    cv2.rectangle(canvas, (left, top), (left + wide - 1, top + tall - 1), colour, -1)
    ink = _DARK if _luminance(colour) > 110 else _WHITE
    _put(canvas, text, (left + pad, top + pad // 2 + above), scale, ink)
    return left, top, left + wide, top + tall


def _overlap(one: Rect, other: Rect) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _luminance(colour: Colour) -> float:
    blue, green, red = colour
    return 0.114 * blue + 0.587 * green + 0.299 * red


def _draw_bars(canvas: Image, face: Face, unit: float, taken: Sequence[Rect]) -> None:
    """A panel with one bar a label, when it fits without covering a face."""
    import cv2

    scale = 0.45 * unit
    if scale < _SMALLEST_TEXT:
        return
    pad, bar = round(8 * unit), round(70 * unit)
    names = max(_text_size(label, scale)[0] for label in face.scores)
    number, above, below = _text_size("100%", scale)
    row = above + below + round(5 * unit)
    size = (names + bar + number + 4 * pad, row * len(face.scores) + 2 * pad - round(5 * unit))
    place = _free_place(canvas, face, size, taken, round(10 * unit))
    if place is None:
        return
    left, top = place
    panel = canvas[top : top + size[1], left : left + size[0]]
    panel[:] = cv2.addWeighted(panel, 0.28, panel * 0, 0.72, 0)
    for i, (label, score) in enumerate(face.scores.items()):
        y = top + pad + i * row
        x = left + 2 * pad + names
        chosen = label == face.label
        _put(canvas, label, (left + pad, y + above), scale, _WHITE if chosen else (205, 205, 205))
        cv2.rectangle(canvas, (x, y + 1), (x + bar, y + above), (70, 66, 62), -1)
        filled = round(bar * min(max(score, 0.0), 1.0))
        if filled:
            cv2.rectangle(canvas, (x, y + 1), (x + filled, y + above), label_colour(label), -1)
        percent = f"{score:.0%}"
        right = x + bar + pad + number - _text_size(percent, scale)[0]
        _put(canvas, percent, (right, y + above), scale, _WHITE if chosen else (205, 205, 205))


def _free_place(
    canvas: Image, face: Face, size: tuple[int, int], taken: Sequence[Rect], gap: int
) -> tuple[int, int] | None:
    """The first place beside the face, or in a corner, where a panel covers no face and no tag."""
    height, width = canvas.shape[:2]
    wide, tall = size
    x1, y1, x2, _ = _inside(face.box, canvas)
    beside = max(gap, min(y1, height - tall - gap))
    right, bottom = width - wide - gap, height - tall - gap
    places = [(x2 + gap, beside), (x1 - gap - wide, beside)]
    places += [(gap, bottom), (right, bottom), (right, gap), (gap, gap)]
    for left, top in places:
        if left < 0 or top < 0 or left + wide > width or top + tall > height:
            continue
        if not any(_overlap((left, top, left + wide, top + tall), other) for other in taken):
            return left, top
    return None
