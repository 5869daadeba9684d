"""Take turns: every round gives each participant one turn, so that whatever changes on the machine meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Turn = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Limit:
    """When to stop, at the end of a round.

    Attributes:
        rounds: so many; None for no limit.
        seconds: after so many; None for no limit. The first round always runs.
    """

    rounds: int | None = None
    seconds: float | None = None

    def reached(self, rounds: int, seconds: float) -> bool:
        """Whether either limit is met after so many rounds and seconds."""
        return (self.rounds is not None and rounds >= self.rounds) or (
            self.seconds is not None and seconds >= self.seconds
        )


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """The items starting with another one each time, so that none always follows the same neighbour's warm cache first."""
    first = number % len(items) if items else 0
    return [*items[first:], *items[:first]]


def take_turns(
    turns: Sequence[Turn], limit: Limit, *, after_round: Callable[[int, float], None], clock: Callable[[], float] = time.perf_counter,
) -> int:  # fmt: skip
    """Run whole rounds until the limit is reached.

    Args:
        turns: one call each per round.
        limit: when to stop.
        after_round: told how many rounds and seconds are done.
        clock: seconds, monotonic.

    Returns:
        How many rounds were run.
    """
    begin, done = clock(), 0
    while done == 0 or not limit.reached(done, clock() - begin):
        for turn in rotated(turns, done):
            turn()
        done += 1
        after_round(done, clock() - begin)
    return done
