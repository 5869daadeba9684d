"""A moving test picture, for trying the machinery without a camera."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.sources.base import Source
from fer_edge_runtime.sources.health import Progress, SourceHealth
from fer_edge_runtime.types import Frame, SourceKind

if TYPE_CHECKING:
    from fer_edge_runtime.types import Image

_SPEC = re.compile(r"test-pattern(?::(\d{2,4})[x×](\d{2,4}))?(?:@(\d{1,3}(?:\.\d+)?))?")
UNPACED_FPS = 30.0


class PatternSource(Source):
    """Colour bars with a moving disc, without end and without a face.

    ``test-pattern:WIDTHxHEIGHT@FPS``, by default ``640x480@30``. It is live and paced: a slow reader misses frames,
    which are counted in ``dropped``. With ``@0`` it is a video as fast as it is read, stamped 30 a second.
    """

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        fps: float = 30.0,
        *,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the still part of the picture."""
        self.name = f"test-pattern:{width}x{height}@{fps:g}"
        self.kind: SourceKind = "live" if fps else "video"
        self.fps: float | None = fps or UNPACED_FPS
        self.total: int | None = None
        self.dropped = 0
        self.problems: list[str] = []
        self._size = width, height
        self._period_s = 1 / fps if fps else 0.0
        self._stop = stop or threading.Event()
        self._closed = threading.Event()
        self._clock = clock
        self._progress = Progress(clock)
        self._bars: Image = _bars(width, height)

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """Frames until stopped."""
        return self._progress.follow(self._draw_all(on_idle))

    def health(self) -> SourceHealth:
        """How far it is."""
        return self._progress.health(self.dropped)

    def _draw_all(self, on_idle: Callable[[], None] | None) -> Iterator[Frame]:
        started_s, index = self._clock(), 0
        while not (self._stop.is_set() or self._closed.is_set()):
            elapsed_s = self._clock() - started_s
            if self._period_s:
                due = int(elapsed_s / self._period_s)
                if due < index:
                    self._stop.wait(min(index * self._period_s - elapsed_s, 0.1))
                    if on_idle is not None:
                        on_idle()
                    continue
                self.dropped += due - index
                index = due
            time_s = index * self._period_s if self._period_s else index / UNPACED_FPS
            yield Frame(
                image=self._draw(index, time_s), index=index, time_s=time_s, source=self.name,
                captured_s=started_s + time_s if self._period_s else None,
            )  # fmt: skip
            index += 1

    def close(self) -> None:
        """End ``frames``."""
        self._closed.set()

    def _draw(self, index: int, time_s: float) -> Image:
        """The picture at a time: a disc that bounces, and the frame's number."""
        import cv2

        width, height = self._size
        radius = max(3, min(width, height) // 8)
        image = self._bars.copy()
        centre = (
            radius + _bounce(time_s * width * 0.31, width - 2 * radius),
            radius + _bounce(time_s * height * 0.43, height - 2 * radius),
        )
        cv2.circle(image, centre, radius, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(image, centre, radius, (40, 40, 40), max(1, radius // 12), cv2.LINE_AA)
        scale = min(width, height) / 480
        place = (int(12 * scale), height - int(14 * scale))
        cv2.putText(image, f"{index:06d}", place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
        return image


def open_pattern(spec: str, *, stop: threading.Event | None = None) -> PatternSource:
    """Read ``test-pattern[:WIDTHxHEIGHT][@FPS]``.

    Raises:
        ConfigError: the specification cannot be read, or the size is out of range.
    """
    found = _SPEC.fullmatch(spec)
    width, height = (int(found[1] or 640), int(found[2] or 480)) if found else (0, 0)
    if found is None or not (16 <= width <= 7680 and 16 <= height <= 4320):
        raise ConfigError(
            f"{spec}: write test-pattern:WIDTHxHEIGHT@FPS, from 16x16 to 7680x4320, such as test-pattern:640x480@30."
        )
    fps = float(found[3] or 30)
    return PatternSource(width, height, fps if fps >= 0.1 else 0.0, stop=stop)


def _bars(width: int, height: int) -> Image:
    """(H, W, 3) uint8 BGR: eight vertical colour bars over a grey ramp."""
    import numpy as np

    colours = np.array(
        [
            (200, 200, 200),
            (0, 190, 190),
            (190, 190, 0),
            (0, 180, 0),
            (180, 0, 180),
            (0, 0, 180),
            (180, 0, 0),
            (30, 30, 30),
        ],
        np.uint8,
    )
    image = np.repeat(colours[(np.arange(width) * 8) // width][np.newaxis], height, axis=0)
    ramp = np.linspace(0, 160, width).astype(np.uint8)
    image[height * 4 // 5 :] = ramp[np.newaxis, :, np.newaxis]
    return image


def _bounce(distance: float, span: int) -> int:
    """Where something is that runs to and fro over ``span`` pixels."""
    if span <= 0:
        return 0
    at = int(distance) % (2 * span)
    return at if at < span else 2 * span - at
