"""Live sources: a thread reads the camera or stream, the frame loop takes the latest picture and sees to its health."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import Source
from fer_edge_runtime.sources.frozen import FreezeDetector
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.sources.reconnect import Backoff, Connection, LiveOptions
from fer_edge_runtime.sources.session import Session, Shot
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.sources.video import stated_fps
from fer_edge_runtime.types import Frame, SourceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.sources.video import Capture

OPEN_S = 20.0
# How often a waiting reader looks at the stop event.
POLL_S = 0.1
JOIN_S = 0.8
# Threads that may hang in a driver at a time; no further one is started until one of them returns.
MAX_ABANDONED = 3


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


class _Totals(NamedTuple):
    """What the sessions so far gave together."""

    frames: int = 0
    dropped: int = 0
    odd: int = 0
    resized: int = 0
    segments: int = 0

    def plus(self, session: Session | None) -> _Totals:
        if session is None:
            return self
        given = (session.count, session.slot.dropped, session.odd, session.resized, session.part)
        return _Totals(*(total + more for total, more in zip(self, given, strict=True)))


class LiveSource(Source):
    """A camera or stream that never makes its reader late, and that is opened again when it fails.

    Old pictures are dropped and counted. A thread that hangs in a driver is left behind, and a new one takes over.
    `session.Session` captures, `reconnect.Connection` decides, in the reader's thread, inside ``frames``.
    """

    def __init__(
        self,
        open_capture: Callable[[], Capture],
        *,
        name: str,
        opened: Capture | None = None,
        stop: threading.Event | None = None,
        options: LiveOptions | None = None,
        reopen_frozen: bool = False,
        open_s: float = OPEN_S,
        backoff: Backoff | None = None,
    ) -> None:
        """Start to read, in a thread of its own.

        Args:
            open_capture: opens the device, in that thread; raises SourceError when it cannot.
            name: for people and logs; no password.
            opened: the first capture, when it is open already.
            stop: ends ``frames`` when set.
            options: how patient to be.
            reopen_frozen: open it again, once, when its picture freezes: for sensors, which are never that still.
            open_s: seconds that opening may take.
            backoff: the waits between tries.
        """
        self.name = name
        self.kind: SourceKind = "live"
        self.fps: float | None = None if opened is None else stated_fps(opened)
        self.total: int | None = None
        self.dropped = 0
        self.problems: list[str] = []
        self._open_capture = open_capture
        self._stop = stop or threading.Event()
        self._options = options or LiveOptions()
        self._reopen_frozen = reopen_frozen
        self._open_s = open_s
        self._connection = Connection(name, self._options, backoff=backoff)
        self._freeze = FreezeDetector(self._options.frozen_s)
        self._closing = threading.Event()
        self._switching = threading.Lock()
        self._before = _Totals()
        self._abandoned: list[Session] = []
        self._first_s: float | None = None
        self._size: tuple[int, int] | None = None
        self._session: Session | None = None
        self._begin(open_capture if opened is None else lambda: opened)

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """The latest picture each time; ``index`` and ``time_s`` are those of its capture, and go on after a gap."""
        while not (self._stop.is_set() or self._closing.is_set()):
            frame = self._next()
            if frame is not None:
                yield frame
            elif on_idle is not None:
                on_idle()

    def health(self) -> SourceHealth:
        """State and counters at this moment; safe from any thread."""
        with self._switching:
            totals, connection = self._before.plus(self._session), self._connection
            return SourceHealth(
                state=connection.state, since_frame_s=connection.since_s if connection.has_run else None,
                frames=totals.frames, dropped=totals.dropped, stalls=connection.stalls, frozen=connection.frozen,
                reconnects=connection.reconnects, odd=totals.odd, resized=totals.resized,
                abandoned=sum(session.alive for session in self._abandoned),
                reason=connection.reason, retry_in_s=connection.retry_in_s,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the device, waiting less than a second for it."""
        with self._switching:
            self._closing.set()
            session = self._session
            self._connection.end()
        if session is not None:
            session.dismiss()
            session.join(JOIN_S)

    def _begin(self, open_capture: Callable[[], Capture]) -> None:
        with self._switching:
            if not self._closing.is_set():
                self._connection.opening()
                self._session = Session(open_capture, name=self.name, options=self._options, freeze=self._freeze)

    def _next(self) -> Frame | None:
        """A new frame, or None after a short while without one.

        Raises:
            SourceError: it failed and is not to be opened again.
        """
        session = self._session
        if session is None:
            self._wait_for_retry()
            return None
        try:
            shot = session.slot.take(POLL_S)
        except EOFError:  # closed from another thread
            return None
        except SourceError as error:
            self._lose(session, str(error))
            return None
        if session.odd:
            self._connection.say_once("it gives pictures of a shape or type that is none; they are left out.")
        if shot is not None:
            return self._frame(shot, session)
        late = self._why_late(session)
        if late:
            self._lose(session, late)
        elif session.frozen_s:
            self._freeze_up(session)
        else:
            self._connection.quiet()
        return None

    def _frame(self, shot: Shot, session: Session) -> Frame:
        self._connection.picture(shot.at_s, session.fps)
        height, width = shot.image.shape[:2]
        if self._size is not None and self._size != (width, height):
            self._connection.say_once(
                f"its pictures are {width}×{height} now, no longer {self._size[0]}×{self._size[1]}."
            )
        self._size = width, height
        self.fps = self.fps or session.fps
        self.dropped = self._before.dropped + session.slot.dropped
        self._first_s = shot.at_s if self._first_s is None else self._first_s
        return Frame(
            image=shot.image, index=self._before.frames + shot.number, time_s=shot.at_s - self._first_s, source=self.name,
            segment=self._before.segments + shot.part, captured_s=shot.at_s,
        )  # fmt: skip

    def _why_late(self, session: Session) -> str:
        """Why a session is given up although it did not fail by itself; empty while it is not."""
        now_s = time.monotonic()
        if session.opened_s is None:
            late = now_s - session.begun_s >= self._open_s
            return f"{self.name}: it did not open within {self._open_s:g} s. Is it reachable?" if late else ""
        # The first picture of a stream may have to wait for a key frame.
        limit_s = self._options.stall_s * (1 if session.heard_s else 2)
        if now_s - (session.heard_s or session.opened_s) < limit_s:
            return ""
        return (
            f"{self.name}: no new picture for {limit_s:g} s. Is it still plugged in, switched on and reachable, and does no "
            "other program use it?"
        )

    def _freeze_up(self, session: Session) -> None:
        begins = self._connection.freeze(session.frozen_s)
        if begins and self._reopen_frozen and self._options.reconnect:
            self._lose(session, f"{self.name}: its picture is frozen, so it is opened again")

    def _lose(self, session: Session, reason: str) -> None:
        """Leave a session behind; the next one begins after a wait.

        Raises:
            SourceError: there is to be no next one.
        """
        session.dismiss()
        session.slot.clear()
        with self._switching:
            totals = self._before.plus(session)
            self._before = totals._replace(segments=totals.segments + (session.count > 0))
            self._session = None
            self._abandoned = [old for old in (*self._abandoned, session) if old.alive]
        self.dropped = totals.dropped
        if not self._connection.lost(reason.removeprefix(f"{self.name}: ")):
            raise SourceError(reason)

    def _wait_for_retry(self) -> None:
        """Wait a moment, and begin the next session when it is time."""
        connection = self._connection
        if connection.state is SourceState.ERROR:
            raise SourceError(f"{self.name}: {connection.reason}")
        self._closing.wait(min(POLL_S, connection.retry_in_s or 0.0))
        if connection.retry_in_s:
            return
        hanging = sum(session.alive for session in self._abandoned)
        if hanging < MAX_ABANDONED:
            self._begin(self._open_capture)
        else:
            connection.lost(
                f"{hanging} tries hang in the driver; a further one is made when one of them returns. Pulling the plug or "
                "starting fer-edge again may help"
            )
