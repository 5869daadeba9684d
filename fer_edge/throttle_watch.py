"""Say once in a run that the machine slows itself down, so that nobody looks for the reason elsewhere, and ask less of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 30.0
# Where only a program tells (a Raspberry Pi 5 whose kernel has no file for it); it starts in milliseconds, but frames wait for it.
ASK_EVERY_S = 300.0
ASK_TIMEOUT_S = 1.0


class ThrottleWatch:
    """Looks now and then, from the frame loop: reading a few small files of the kernel, seldom asking a program, and that one never again once it gave no answer."""

    def __init__(
        self, warn: Callable[[str], None], *, ease: Callable[[bool], None] | None = None, root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """The first look comes after one interval, when a run is warm.

        Args:
            warn: takes a sentence when the machine first slows down, and another when that is first over.
            ease: called with True when it slows down, with False when that is over; without it the first sentence is the last look.
            root: where ``sys`` lies.
            clock: seconds, monotonic.
        """
        self._warn = warn
        self._root = root
        self._clock = clock
        self._ease = ease
        self._slowed = False
        self._said: set[bool] = set()
        self._ask = True
        self._due_s: float | None = clock() + LOOK_EVERY_S

    def look(self) -> None:
        """Look, when it is time, as long as there may be something to do or say."""
        now_s = self._clock()
        if self._due_s is None or now_s < self._due_s:
            return
        from fer_edge.throttle import ASKED, read_throttling

        found = read_throttling(self._root, ask=self._ask, timeout_s=ASK_TIMEOUT_S)
        self._ask = found.source == ASKED
        next_s = now_s + (ASK_EVERY_S if self._ask else LOOK_EVERY_S)
        self._due_s = next_s if found.known and (self._ease or not found.now) else None
        if bool(found.now) == self._slowed:
            return
        self._slowed = bool(found.now)
        if self._ease is not None:
            self._ease(self._slowed)
        if found.known and self._slowed not in self._said:
            self._said.add(self._slowed)
            self._warn(self._sentence(found.now))

    def _sentence(self, reasons: tuple[str, ...]) -> str:
        if not reasons:
            return "This machine no longer slows itself down: faces are detected as often as before."
        eased = " While it lasts, faces are detected half as often and followed in between." if self._ease else ""
        return (
            f"This machine slows itself down: {', '.join(reasons)}. Frames take longer; look at its power supply and "
            f"cooling, or lower the load with --detect-every 3 or --threads 1.{eased} This is said once."
        )
