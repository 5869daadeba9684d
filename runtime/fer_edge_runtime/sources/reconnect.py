"""When a live source counts as stalled, when it is opened again, and what there is to say about it.

No thread and no camera here, and the clock is given: `live.LiveSource` tells what happens, this module decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from fer_edge_runtime.sources.health import SourceState

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
# A connection that held for so long was a good one: the next outage starts with short waits again.
STEADY_S = 30.0
# After this share of ``stall_s`` a source is called stalled; nothing is done about it yet.
_STALLED_SHARE = 0.4
# A still scene in a thrifty stream may freeze all night.
FREEZES_SAID = 5
# A camera that changes its mind all day fills no disk with notes about it.
MAX_NOTES = 16


class LiveOptions(NamedTuple):
    """How patient to be with a camera or stream.

    Attributes:
        reconnect: open it again, for as long as it takes, when it fails after it has given pictures.
        wait: also wait for one that is not there at the start.
        stall_s: seconds without a picture after which it is opened again, > 0.
        frozen_s: seconds of pictures that are the same to the last bit after which they are left out; 0 never.
        say: takes what people should know, a sentence at a time.
    """

    reconnect: bool = True
    wait: bool = False
    stall_s: float = 5.0
    frozen_s: float = 10.0
    say: Callable[[str], None] | None = None

    def stalled_s(self, fps: float | None) -> float:
        """Seconds without a picture after which the source counts as stalled, and a face as another one."""
        return min(self.stall_s, max(_STALLED_SHARE * self.stall_s, 2 / fps if fps else 0.0))


class Backoff:
    """Waits that double from try to try, up to a longest one, each spread so that many devices do not try in step."""

    def __init__(
        self, first_s: float = FIRST_RETRY_S, longest_s: float = LONGEST_RETRY_S, *, spread: Callable[[], float] | None = None
    ) -> None:  # fmt: skip
        """Start with the first wait; ``spread`` gives factors around 1, by default 0.75 to 1.25 at random."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._spread = spread or _spread
        self._tries = 0

    def next_s(self) -> float:
        """Seconds to wait now."""
        wait_s = self._first_s * 2.0 ** min(self._tries, 30)
        self._tries += 1
        return min(self._longest_s, wait_s * self._spread())

    def reset(self) -> None:
        """Start over."""
        self._tries = 0


def _spread() -> float:
    import random

    return random.uniform(0.75, 1.25)


class Connection:
    """State and back-off of one live source; all methods but ``state`` belong to the frame loop's thread.

    Attributes:
        stalls: times that pictures stopped coming.
        frozen: times that the picture stopped changing.
        reconnects: times that pictures came again after the source was lost.
        reason: why there is no new picture; empty while there are.
    """

    def __init__(
        self, name: str, options: LiveOptions, *, backoff: Backoff | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        """Nothing was opened yet."""
        self.stalls = self.frozen = self.reconnects = 0
        self.reason = ""
        self._name = name
        self._options = options
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._state = SourceState.NOT_STARTED
        self._stalled_s = options.stalled_s(None)
        self._retry_at_s: float | None = None
        self._steady_since_s: float | None = None
        self._last_s: float | None = None
        self._lost_s: float | None = None
        self._is_frozen = False
        self._said: set[str] = set()
        self._said_ever: set[str] = set()

    @property
    def state(self) -> SourceState:
        """Where it is now; a running source without a picture for a while is stalled."""
        if self._state is SourceState.RUNNING and self.since_s > self._stalled_s:
            return SourceState.STALLED
        return self._state

    @property
    def since_s(self) -> float:
        """Seconds since the last new picture; 0 before the first."""
        return 0.0 if self._last_s is None else max(0.0, self._clock() - self._last_s)

    @property
    def retry_in_s(self) -> float | None:
        """Seconds until the next try, 0 when it is due; None when none is waited for."""
        at_s = self._retry_at_s
        return None if at_s is None else max(0.0, at_s - self._clock())

    @property
    def has_run(self) -> bool:
        """Whether it ever gave a picture."""
        return self._last_s is not None

    def opening(self) -> None:
        """A try begins."""
        self._retry_at_s = None

    def picture(self, at_s: float, fps: float | None = None) -> None:
        """A new picture was captured at that time of the clock."""
        self._stalled_s = self._options.stalled_s(fps)
        if self._lost_s is not None:
            self.reconnects += self.has_run
            back = "pictures again" if self.has_run else "it is there,"
            self._say(f"{back} after {seconds(at_s - self._lost_s)}.")
        elif self._is_frozen and self.frozen <= FREEZES_SAID:
            self._say(f"the picture changes again after {seconds(self.since_s)}.")
        if self._steady_since_s is None:
            self._steady_since_s = at_s
        self._state, self._last_s, self._lost_s = SourceState.RUNNING, at_s, None
        self._is_frozen = False
        self.reason = ""
        self._said.clear()

    def quiet(self) -> None:
        """No picture came just now; counts a stall when that lasts."""
        if self._state is SourceState.RUNNING and self.since_s > self._stalled_s:
            self._state = SourceState.STALLED
            self.stalls += 1
            self.reason = "no new picture"

    def freeze(self, lasted_s: float) -> bool:
        """The pictures that come are all the same; True when this is news."""
        self._state = SourceState.STALLED
        if self._is_frozen:
            return False
        self._is_frozen = True
        self.frozen += 1
        self.reason = "the picture does not change"
        if self.frozen > FREEZES_SAID:
            return True
        self._say(
            f"not one bit of the picture has changed for {seconds(lasted_s)}: a frozen camera, a covered lens or a still "
            "screen. It is not looked at until it changes (--frozen-after 0 looks all the same)."
        )
        return True

    def lost(self, reason: str) -> bool:
        """It failed; True when it will be tried again, False when the run has to end with this reason."""
        if self._state is SourceState.ENDED:
            return True
        now_s = self._clock()
        self.reason = reason
        if not (self._options.reconnect if self.has_run else self._options.wait):
            self._state = SourceState.ERROR
            return False
        if self._lost_s is None:
            self._lost_s = now_s if self._last_s is None else self._last_s
        if self._steady_since_s is not None and now_s - self._steady_since_s >= STEADY_S:
            self._backoff.reset()
        self._steady_since_s = None
        wait_s = self._backoff.next_s()
        self._retry_at_s = now_s + wait_s
        if self.has_run:
            self._state = SourceState.RECONNECTING
        self._tell_why(reason, wait_s)
        return True

    def end(self) -> None:
        """It was closed."""
        if self._state is not SourceState.ERROR:
            self._state, self._retry_at_s = SourceState.ENDED, None

    def _tell_why(self, reason: str, wait_s: float) -> None:
        """Every reason once an outage, not every try."""
        if reason in self._said:
            return
        then = "Still trying."
        if not self._said:
            then = (
                f"Trying again in {seconds(wait_s)}, then ever less often, but at least every {LONGEST_RETRY_S:.0f} s."
            )
        self._said.add(reason)
        self._say(f"{reason}{'' if reason.endswith(('.', '?')) else '.'} {then}")

    def say_once(self, sentence: str) -> None:
        """Tell people, unless it was said before in this run."""
        if sentence not in self._said_ever and len(self._said_ever) < MAX_NOTES:
            self._said_ever.add(sentence)
            self._say(sentence)

    def _say(self, sentence: str) -> None:
        if self._options.say is not None:
            self._options.say(f"{self._name}: {sentence}")


def seconds(value: float) -> str:
    """Such as ``2 s``, ``0.4 s`` or ``3 min``."""
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.0f} s" if value >= 1 else f"{value:.1g} s"
