"""One connection to a camera or stream: a thread that opens it and reads it until it fails or is dismissed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.picture import MAX_PIXELS, as_bgr
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.sources.video import Capture, stated_fps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.sources.frozen import FreezeDetector
    from fer_edge_runtime.sources.reconnect import LiveOptions
    from fer_edge_runtime.types import Image

# How long a failed read waits for the next try.
RETRY_S = 0.05


class Shot(NamedTuple):
    """A picture as it was captured.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        number: of this picture in its session, from 0.
        at_s: when it came, on the monotonic clock.
        part: of the session, see there.
    """

    image: Image
    number: int
    at_s: float
    part: int


class Session:
    """Reads one capture into a slot. Only its own thread touches the capture, because a driver may hang at any call.

    Attributes:
        slot: the latest picture; ends with the reason why the session did.
        begun_s: when opening began; all times are of ``time.monotonic``.
        opened_s: when it was open; None before.
        heard_s: when the last picture came, whether new or not.
        fps: frames per second that the capture states.
        frozen_s: seconds for which the picture has been the same to the last bit; 0 while it is not.
        count: pictures put into the slot.
        odd: pictures left out because they were none.
        resized: changes of size.
        part: interruptions and changes of size so far: faces before and after one are not the same.
        size: (width, height) of the last picture.
    """

    def __init__(
        self, open_capture: Callable[[], Capture], *, name: str, options: LiveOptions, freeze: FreezeDetector
    ) -> None:
        """Start the thread; a daemon, so that a driver that hangs cannot keep the process alive."""
        self.slot: Slot[Shot] = Slot()
        self.begun_s = time.monotonic()
        self.opened_s: float | None = None
        self.heard_s: float | None = None
        self.fps: float | None = None
        self.frozen_s = 0.0
        self.count = self.odd = self.resized = self.part = 0
        self.size = (0, 0)
        self._open_capture = open_capture
        self._name = name
        self._options = options
        self._freeze = freeze
        self._last_s: float | None = None
        self._dismissed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs; when dismissed, it hangs."""
        return self._thread.is_alive()

    def dismiss(self) -> None:
        """Ask the thread to let go of the capture; does not wait for it."""
        self._dismissed.set()
        self.slot.end()

    def join(self, timeout_s: float) -> None:
        """Wait a moment for the thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        capture: Capture | None = None
        try:
            capture = self._open()
            self._read_all(capture)
            self.slot.end()
        except SourceError as error:
            self.slot.end(error)
        except Exception as error:  # a driver may raise anything; the reader gets a sentence
            self.slot.end(SourceError(f"{self._name}: reading failed: {error}"))
        finally:
            if capture is not None:
                with suppress(Exception):
                    capture.release()

    def _open(self) -> Capture:
        try:
            capture = self._open_capture()
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(f"{self._name}: cannot be opened: {error}") from error
        self.fps = stated_fps(capture)
        self.opened_s = time.monotonic()
        return capture

    def _read_all(self, capture: Capture) -> None:
        failing_since_s: float | None = None
        while not self._dismissed.is_set():
            ok, image = capture.read()
            now_s = time.monotonic()
            if self._dismissed.is_set():
                return
            if ok and image is not None:
                failing_since_s = None
                self._take_in(image, now_s)
                continue
            # Shorter is a hiccup. A stream that ended or a camera that is gone fails at once, every time.
            failing_since_s = now_s if failing_since_s is None else failing_since_s
            if now_s - failing_since_s >= self._options.stalled_s(None):
                raise SourceError(f"{self._name}: it gives no more pictures: unplugged, switched off or ended")
            self._dismissed.wait(RETRY_S)

    def _take_in(self, raw: NDArray[Any], now_s: float) -> None:
        image = _usable(raw)
        if image is None:
            self.odd += 1
            return
        self.heard_s = now_s
        self.frozen_s = self._freeze.frozen_for(image, now_s)
        if self.frozen_s:
            return
        self._note_break((image.shape[1], image.shape[0]), now_s)
        if self.slot.put(Shot(image, self.count, now_s, self.part)):
            self.count += 1

    def _note_break(self, size: tuple[int, int], now_s: float) -> None:
        """A face after a gap, or in a picture of another size, is not the one before it."""
        resized = self.count > 0 and size != self.size
        gap = self._last_s is not None and now_s - self._last_s > self._options.stalled_s(self.fps)
        self.resized += resized
        self.part += resized or gap
        self.size, self._last_s = size, now_s


def _usable(raw: NDArray[Any]) -> Image | None:
    """The picture as (H, W, 3) uint8 BGR; None when it is none."""
    if raw.size > 4 * MAX_PIXELS:
        return None
    try:
        return as_bgr(raw)
    except (SourceError, AttributeError):
        return None
