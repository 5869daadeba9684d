"""Live sources: a thread reads the camera or stream, the frame loop takes the latest picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import Source
from fer_edge_runtime.sources.health import Progress, SourceHealth
from fer_edge_runtime.sources.picture import as_bgr
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.sources.video import Capture, stated_fps
from fer_edge_runtime.types import Frame, SourceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN_S = 20.0
# How often a waiting reader looks at the stop event.
POLL_S = 0.1
# How long a failed read waits for the next try.
RETRY_S = 0.05
JOIN_S = 0.8


def open_in_time(
    open_capture: Callable[[], Capture], *, name: str, stop: threading.Event | None = None, open_s: float = OPEN_S
) -> Capture:
    """Open a capture in a thread of its own, because drivers and networks can block for minutes.

    Args:
        open_capture: opens the device; raises SourceError when it cannot.
        name: for people and logs; no password.
        stop: gives up early; the capture returned then has no pictures.
        open_s: seconds that opening may take.

    Raises:
        SourceError: it cannot be opened, or not in time.
    """
    slot: Slot[Capture] = Slot()

    def attempt() -> None:
        try:
            capture = open_capture()
        except SourceError as error:
            slot.end(error)
        except Exception as error:  # a driver may raise anything; the caller gets a sentence
            slot.end(SourceError(f"{name}: cannot be opened: {error}"))
        else:
            if not slot.put(capture):
                capture.release()  # nobody waits any more

    threading.Thread(target=attempt, name=f"open {name}", daemon=True).start()
    until = time.monotonic() + open_s
    while (capture := slot.take(POLL_S)) is None:
        if stop is not None and stop.is_set():
            _give_up(slot)
            return _NoCapture()
        if time.monotonic() >= until:
            _give_up(slot)
            raise SourceError(f"{name}: it did not open within {open_s:g} s. Is it reachable?")
    return capture


def _give_up(slot: Slot[Capture]) -> None:
    """Close the slot, and the capture that may have arrived in the last moment."""
    slot.end()
    with suppress(EOFError, SourceError):
        if (capture := slot.take(0)) is not None:
            capture.release()


class _NoCapture:
    """Stands for a device that nobody waited for."""

    def read(self) -> tuple[bool, NDArray[Any] | None]:
        return False, None

    def get(self, prop: int, /) -> float:
        return 0.0

    def release(self) -> None:
        pass


class LiveSource(Source):
    """A camera or stream that never makes its reader late: old pictures are dropped and counted."""

    def __init__(
        self, capture: Capture, *, name: str, stop: threading.Event | None = None, stall_s: float = 5.0
    ) -> None:
        """Take over an open capture and start to read it.

        Args:
            capture: read and released by a thread of this source only.
            name: for people and logs; no password.
            stop: ends ``frames`` when set.
            stall_s: seconds without a new picture after which ``frames`` raises.
        """
        self.name = name
        self.kind: SourceKind = "live"
        self.fps: float | None = stated_fps(capture)
        self.total: int | None = None
        self.dropped = 0
        self.problems: list[str] = []
        self._capture = capture
        self._progress = Progress()
        self._stop = stop or threading.Event()
        self._stall_s = stall_s
        self._closing = threading.Event()
        self._slot: Slot[Frame] = Slot()
        # A daemon: a driver that hangs in read() must not keep the process alive.
        self._thread = threading.Thread(target=self._capture_loop, name=f"capture {name}", daemon=True)
        self._thread.start()

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """The latest picture each time; ``index`` and ``time_s`` are those of its capture."""
        return self._progress.follow(self._take_all(on_idle))

    def health(self) -> SourceHealth:
        """How it is doing."""
        return self._progress.health(self.dropped)

    def _take_all(self, on_idle: Callable[[], None] | None) -> Iterator[Frame]:
        while not (self._stop.is_set() or self._closing.is_set()):
            frame = self._take(on_idle)
            if frame is None:
                return
            self.dropped = self._slot.dropped
            yield frame

    def close(self) -> None:
        """Stop the capture thread, waiting less than a second for it."""
        self._closing.set()
        self._slot.end()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)

    def _take(self, on_idle: Callable[[], None] | None) -> Frame | None:
        """The next frame, or None when asked to stop; raises when nothing comes for ``stall_s``."""
        until = time.monotonic() + self._stall_s
        while not self._stop.is_set():
            try:
                frame = self._slot.take(min(POLL_S, self._stall_s))
            except EOFError:
                return None
            if frame is not None:
                return frame
            if on_idle is not None:
                on_idle()
            if time.monotonic() >= until:
                raise SourceError(
                    f"{self.name}: no new picture for {self._stall_s:g} s. Is it still plugged in, switched on and "
                    "reachable, and does no other program use it?"
                )
        return None

    def _capture_loop(self) -> None:
        """Body of the thread: read until told to stop, then release."""
        try:
            self._read_all()
            self._slot.end()
        except Exception as error:  # a driver may raise anything; the reader gets a sentence
            self._slot.end(SourceError(f"{self.name}: reading failed: {error}"))
        finally:
            self._capture.release()

    def _read_all(self) -> None:
        index, started_s = 0, 0.0
        while not (self._closing.is_set() or self._stop.is_set()):
            ok, image = self._capture.read()
            now_s = time.monotonic()
            if not ok or image is None or image.size == 0:
                # Whether this is a hiccup or the end, the reader's stall watchdog decides.
                self._closing.wait(RETRY_S)
                continue
            started_s = started_s or now_s
            self._slot.put(Frame(image=as_bgr(image), index=index, time_s=now_s - started_s, source=self.name))
            index += 1
