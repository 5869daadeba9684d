"""Video files: every frame, in order, at its presentation time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import Source, display_name, quiet_opencv
from fer_edge_runtime.sources.health import Progress, SourceHealth
from fer_edge_runtime.sources.picture import as_bgr
from fer_edge_runtime.types import Frame, SourceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALLBACK_FPS = 30.0


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used; anything with these three methods is a camera."""

    def read(self) -> tuple[bool, NDArray[Any] | None]:
        """Wait for the next picture, (H, W, 3) uint8 BGR; ``(False, None)`` when there is none."""
        ...

    def get(self, prop: int, /) -> float:
        """A property such as ``cv2.CAP_PROP_FPS``; 0 when unknown."""
        ...

    def release(self) -> None:
        """Close the device."""


def stated_fps(capture: Capture) -> float | None:
    """The frame rate that a capture states, when it is one that can be true."""
    import cv2

    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0.5 <= fps <= 1000 else None


def open_video(path: Path, *, name: str | None = None, stop: threading.Event | None = None) -> VideoSource:
    """Open a video file.

    Raises:
        SourceError: it cannot be read, is empty, cut off or not a video.
    """
    import cv2

    quiet_opencv()
    shown = name or display_name(str(path))
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror or error}.") from error
    if size == 0:
        raise SourceError(f"{shown}: the file is empty (0 bytes). Copy or download it again.")
    # An absolute path cannot be mistaken for a protocol such as "concat:" nor for an option.
    for backend in (cv2.CAP_FFMPEG, cv2.CAP_ANY):
        capture = cv2.VideoCapture(str(path.absolute()), backend)
        if capture.isOpened():
            return VideoSource(capture, name=shown, stop=stop)
        capture.release()
    raise SourceError(_why_not(shown, size, head))


def _why_not(name: str, size: int, head: bytes) -> str:
    """Why OpenCV could not open a file, as far as its first bytes tell."""
    if head[4:8] == b"ftyp":
        return (
            f"{name}: this MP4 file ({size:,} bytes) cannot be opened. It was probably cut off before its index was "
            "written, or its codec is not in this OpenCV; try: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    return (
        f"{name}: neither a picture nor a video that OpenCV can read: {size:,} bytes that start with "
        f"{head[:8].hex(' ')}. Give a picture, an .mp4, .avi, .mkv, .mov or .webm file, or a folder of pictures."
    )


class VideoSource(Source):
    """A video file (or anything else finite) that waits for its reader and loses no frame."""

    def __init__(self, capture: Capture, *, name: str, stop: threading.Event | None = None) -> None:
        """Take over an open capture."""
        import cv2

        self.name = name
        self.kind: SourceKind = "video"
        self.fps = stated_fps(capture)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.total: int | None = int(count) if 0 < count < 1e9 else None
        self.dropped = 0
        self.problems: list[str] = []
        self._capture = capture
        self._progress = Progress()
        self._stop = stop or threading.Event()
        self._closed = False
        self._lock = threading.Lock()

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """Every frame; one that breaks off midway ends the video and is recorded in ``problems``."""
        return self._progress.follow(self._read_all())

    def health(self) -> SourceHealth:
        """How far it is."""
        return self._progress.health()

    def _read_all(self) -> Iterator[Frame]:
        index, last_s, first_s = 0, 0.0, 0.0
        while not self._stop.is_set():
            with self._lock:
                if self._closed:
                    return
                ok, image = self._capture.read()
                stated_s = self._position_s()
            if not ok or image is None or image.size == 0:
                self._check_end(index)
                return
            if index == 0:
                first_s = stated_s or 0.0
                time_s = 0.0
            else:
                time_s = self._time_s(index, last_s, None if stated_s is None else stated_s - first_s)
            yield Frame(image=as_bgr(image), index=index, time_s=time_s, source=self.name)
            index, last_s = index + 1, time_s

    def _position_s(self) -> float | None:
        import cv2

        position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return position if math.isfinite(position) and position >= 0 else None

    def _time_s(self, index: int, last_s: float, stated_s: float | None) -> float:
        """The stated presentation time when it moves on sanely, else the index over the frame rate."""
        period_s = 1 / (self.fps or FALLBACK_FPS)
        if stated_s is not None and last_s < stated_s <= last_s + 3600:
            return stated_s
        return max(index * period_s, last_s + period_s)

    def _check_end(self, index: int) -> None:
        """Tell a video that ended from one that broke; the stated count is an estimate in some containers."""
        if index == 0:
            raise SourceError(
                f"{self.name}: it opens as a video, but not one frame can be decoded. It is damaged, or it is an "
                "address whose server allows no seeking: then download it first."
            )
        if self.total is not None and index < self.total - max(2, self.total // 50):
            problem = f"{self.name}: breaks off after {index} of about {self.total} frames; the file is damaged."
            self.problems.append(problem)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._capture.release()
