"""How a source is doing: one small record for the summary, the page, metrics and watchdogs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from fer_edge_runtime.types import Frame

# A driver that has held a device for so long will not let go of it before the process ends.
WEDGED_S = 300.0


class SourceState(StrEnum):
    """Where a source is in its life; the values are what metrics and JSON show."""

    NOT_STARTED = "not_started"
    """No picture came yet."""
    RUNNING = "running"
    """Pictures come."""
    STALLED = "stalled"
    """It is open, but there is no new picture: none comes, or always the same one."""
    RECONNECTING = "reconnecting"
    """It failed and is being opened again, or waits for the next try."""
    ENDED = "ended"
    """It is finished or was closed."""
    ERROR = "error"
    """It failed and is not tried again."""


class SourceHealth(NamedTuple):
    """A source at one moment; counters only grow.

    Attributes:
        state: see ``SourceState``.
        since_frame_s: seconds since the last new picture; None before the first.
        frames: pictures that came, those that nobody read included.
        dropped: pictures that a live source delivered and nobody read.
        stalls: times that pictures stopped coming.
        frozen: times that the picture stopped changing.
        reconnects: times that it was opened again with success.
        odd: pictures that could not be used: empty, or of a shape or type that is none.
        resized: times that the pictures changed their size.
        abandoned: threads that hang in a driver at this moment.
        reason: why it is not running, as words without a password; empty while it is.
        retry_in_s: seconds until the next try, while one is waited for.
    """

    state: SourceState
    since_frame_s: float | None = None
    frames: int = 0
    dropped: int = 0
    stalls: int = 0
    frozen: int = 0
    reconnects: int = 0
    odd: int = 0
    resized: int = 0
    abandoned: int = 0
    reason: str = ""
    retry_in_s: float | None = None

    @property
    def wedged(self) -> bool:
        """Whether only a new process can help: a thread hangs in the driver, keeps the device, and no picture came for minutes."""
        return self.abandoned > 0 and self.state is SourceState.RECONNECTING and (self.since_frame_s or 0.0) > WEDGED_S

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, seconds rounded to 0.01."""
        values = {"state": str(self.state), **{k: v for k, v in self._asdict().items() if k != "state"}}
        return {key: round(value, 2) if isinstance(value, float) else value for key, value in values.items()}


class Progress:
    """The health of a source that is read from its beginning to its end: pictures, a video, the test pattern."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has been read."""
        self._clock = clock
        self._state = SourceState.NOT_STARTED
        self._frames = 0
        self._last_s: float | None = None
        self._reason = ""

    def follow(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Hand frames on and take note of them, of their end and of an error."""
        try:
            for frame in frames:
                self._state = SourceState.RUNNING
                self._frames += 1
                self._last_s = self._clock()
                yield frame
            self._state = SourceState.ENDED
        except Exception as error:
            self._state, self._reason = SourceState.ERROR, str(error)
            raise

    def health(self, dropped: int = 0) -> SourceHealth:
        """The record; safe from any thread."""
        last_s = self._last_s
        since_s = None if last_s is None else self._clock() - last_s
        return SourceHealth(self._state, since_s, self._frames, dropped, reason=self._reason)
