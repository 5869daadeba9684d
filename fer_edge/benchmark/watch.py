"""The machine while one measures on it: looked at before, now and then in between, and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_edge.benchmark.machine import Machine, State, describe_machine, read_state, remarks
from fer_edge.throttle import Throttling, read_throttling, throttled_between

LOOK_EVERY_S = 1.0


class Watch:
    """Its first look is at its making.

    Attributes:
        machine: what stays the same.
        before: what changes, as it was then.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        """Look.

        Args:
            root: where ``proc`` and ``sys`` lie.
            clock: seconds, monotonic.
        """
        self._root, self._clock = root, clock
        self._next_s = 0.0
        self._seen: list[Throttling] = []
        self.machine: Machine = describe_machine(root)
        self.before: State = read_state(root)
        self._throttling = read_throttling(root)

    def look(self) -> None:
        """At the throttling flags; between two rounds, however short they are."""
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + LOOK_EVERY_S
            self._seen.append(read_throttling(self._root))

    def as_json(self) -> dict[str, Any]:
        """The last look, and the record's part: whether the figures count, why not, what makes them less sure, and the machine."""
        after, throttling = read_state(self._root), read_throttling(self._root)
        reasons = throttled_between(self._throttling, self._seen, throttling)
        return {
            "valid": not reasons, "invalid_because": reasons, "remarks": remarks(self.machine, self.before, after),
            "machine": {
                **asdict(self.machine), "throttling_known_from": self._throttling.source,
                "before": _state(self.before, self._throttling), "after": _state(after, throttling),
            },
        }  # fmt: skip


def _state(state: State, throttling: Throttling) -> dict[str, Any]:
    return state.as_json() | {
        "throttled": list(throttling.now) if throttling.known else None, "throttled_earlier": list(throttling.counted),
    }  # fmt: skip
