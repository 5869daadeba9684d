"""The latest annotated frame, between the frame loop and the page's server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fer_edge_runtime.types import FrameResult

if TYPE_CHECKING:
    from fer_edge_runtime.types import Image

JPEG_QUALITY = 80
# A phone shows no more, and a larger picture costs the device its frame rate.
LONGEST_SIDE = 1280


class Hub:
    """One writer, one thread that encodes each picture once for all viewers, and only when there is one."""

    def __init__(self) -> None:
        """No frame yet."""
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._number = 0
        self._image: Image | None = None
        self._result: FrameResult | None = None
        self._viewers = 0
        self._closed = False
        self._jpeg: tuple[int, bytes] = (0, b"")

    @property
    def viewers(self) -> int:
        """How many want pictures."""
        return self._viewers

    @property
    def result(self) -> FrameResult | None:
        """The latest result."""
        return self._result

    @property
    def closed(self) -> bool:
        """Whether no more frames come."""
        return self._closed

    def publish(self, image: Image | None, result: FrameResult) -> None:
        """Store a frame.

        Args:
            image: (H, W, 3) uint8 BGR, annotated, not changed afterwards; None when there is no viewer.
            result: what was found in it.
        """
        with self._changed:
            self._number += 1
            self._result = result
            self._image = image
            self._changed.notify_all()

    def close(self) -> None:
        """Wake and dismiss the viewers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextmanager
    def viewer(self, limit: int) -> Iterator[bool]:
        """Be counted as a viewer; gives False when there are ``limit`` already."""
        with self._changed:
            admitted = self._viewers < limit
            self._viewers += admitted
            self._changed.notify_all()
        try:
            yield admitted
        finally:
            with self._changed:
                self._viewers -= admitted

    def wait_viewer(self) -> bool:
        """Until somebody wants pictures; False when the hub closes instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._viewers > 0)
            return not self._closed

    def wait_jpeg(self, after: int, timeout_s: float) -> tuple[int, bytes] | None:
        """The number and JPEG of a frame newer than ``after``; None when none comes in time or the hub closes."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._number > after and self._image is not None), timeout_s
            )
            number, image = self._number, self._image
            if self._closed or image is None or number <= after:
                return None
        with self._encoding:
            if self._jpeg[0] < number:
                self._jpeg = (number, _encode(image))
            return self._jpeg


def _encode(image: Image) -> bytes:
    import cv2

    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    ok, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes() if ok else b""
