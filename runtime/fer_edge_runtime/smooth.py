"""Calms the label of a face in a video: averages over time, switches late, and says so when it does not know.

All rules use seconds, so a label behaves the same at 5 and at 60 frames per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.types import UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray


class SmoothedLabel(NamedTuple):
    """What to show for a face.

    Attributes:
        label: one of the labels, or ``"uncertain"``.
        score: averaged probability of ``label``; of the most likely label while ``label`` is ``"uncertain"``.
        probabilities: (classes,) float32, averaged, read-only, in the labels' order; sums to 1.
    """

    label: str
    score: float
    probabilities: NDArray[np.float32]


@dataclass(slots=True)
class _State:
    """What is remembered of one track; ``leader`` is who would replace ``shown``, and since when it has been ahead."""

    mean: NDArray[np.float64]
    time_s: float
    shown: int
    uncertain: bool
    leader: int
    leader_since_s: float


class Smoother:
    """Averages the probabilities of each track and decides which label to show."""

    def __init__(
        self,
        labels: Sequence[str],
        *,
        time_constant_s: float = 0.4,
        switch_margin: float = 0.10,
        hold_s: float = 1.0,
        uncertain_below: float = 0.35,
        uncertain_margin: float = 0.05,
    ) -> None:
        """Start without tracks.

        Args:
            labels: names of the classes, in the order of the probabilities; ≥ 1.
            time_constant_s: seconds after which an old observation weighs 1/e (37 %) in the exponential average; a
                sudden change has gone half-way after 0.69 of it. 0 turns the averaging off.
            switch_margin: the shown label is replaced at once when another's averaged probability exceeds its own
                by at least this much, in [0, 1].
            hold_s: seconds for which another label must have been ahead without a break to replace it with a smaller
                lead. ``math.inf`` leaves only the margin.
            uncertain_below: the label is ``"uncertain"`` once no averaged probability reaches this, in [0, 1]. 0 turns
                it off.
            uncertain_margin: and stays so until one reaches ``uncertain_below`` plus this, in [0, 1].

        Raises:
            ConfigError: an argument is out of range.
        """
        self._labels = tuple(labels)
        self._time_constant_s = time_constant_s
        self._switch_margin = switch_margin
        self._hold_s = hold_s
        self._uncertain_below = uncertain_below
        self._certain_from = min(1.0, uncertain_below + uncertain_margin)
        self._states: dict[int, _State] = {}
        if not self._labels:
            raise ConfigError("The smoother needs at least one label; received none.")
        for name, value in (("time_constant_s", time_constant_s), ("hold_s", hold_s)):
            if not value >= 0:
                raise ConfigError(f"The smoother's {name} must be 0 seconds or more; received {value}.")
        if math.isinf(time_constant_s):
            raise ConfigError("The smoother's time_constant_s must be finite; received inf.")
        shares = ("switch_margin", switch_margin), ("uncertain_below", uncertain_below)
        for name, value in (*shares, ("uncertain_margin", uncertain_margin)):
            if not 0 <= value <= 1:
                raise ConfigError(f"The smoother's {name} must be between 0 and 1; received {value}.")

    def update(self, track_id: int, probabilities: NDArray[np.float32], time_s: float) -> SmoothedLabel:
        """Take in one observation of one face.

        Probabilities that are negative, not finite or all zero say nothing: they are left out and the track keeps what
        it shows (a new track begins with equal probabilities). A clock that stands still or goes backwards, as when a
        video starts over, counts as no time passed; the average stays and goes on from the new time.

        Args:
            track_id: whose face.
            probabilities: (classes,) float, need not sum to exactly 1.
            time_s: when the frame was taken, in seconds, on any one clock.

        Returns:
            What to show in this frame.

        Raises:
            ConfigError: the number of probabilities is not that of the labels, or the time is not finite.
        """
        if np.shape(probabilities) != (len(self._labels),):
            shape = np.shape(probabilities)
            raise ConfigError(f"The smoother needs {len(self._labels)} probabilities per face; received shape {shape}.")
        if not math.isfinite(time_s):
            raise ConfigError(f"The smoother needs a finite time in seconds; received {time_s}.")
        observed = _normalised(probabilities)
        state = self._states.get(track_id)
        if state is None:
            self._states[track_id] = state = self._begin(observed, time_s)
        else:
            self._advance(state, observed, time_s)
        return self._shown(state)

    def forget(self, ids_alive: Collection[int]) -> None:
        """Drop every track whose number is not among these (`Tracker.remembered_ids`)."""
        alive = frozenset(ids_alive)
        self._states = {track: state for track, state in self._states.items() if track in alive}

    def __len__(self) -> int:
        """How many tracks are remembered."""
        return len(self._states)

    def _begin(self, observed: NDArray[np.float64] | None, time_s: float) -> _State:
        mean = np.full(len(self._labels), 1 / len(self._labels)) if observed is None else observed
        top = int(mean.argmax())
        return _State(mean, time_s, top, bool(mean[top] < self._uncertain_below), top, time_s)

    def _advance(self, state: _State, observed: NDArray[np.float64] | None, time_s: float) -> None:
        passed_s = time_s - state.time_s
        if passed_s < 0:
            state.leader_since_s += passed_s
        if observed is not None or passed_s < 0:
            state.time_s = time_s
        if observed is None:
            return
        weight = 1.0
        if self._time_constant_s > 0:
            weight = -math.expm1(-max(0.0, passed_s) / self._time_constant_s)
        state.mean = state.mean + weight * (observed - state.mean)
        self._decide(state)

    def _decide(self, state: _State) -> None:
        top = int(state.mean.argmax())
        if state.uncertain:
            state.shown = top  # no label is on show that would need protection
        if top != state.leader:
            state.leader, state.leader_since_s = top, state.time_s
        lead = state.mean[top] - state.mean[state.shown]
        if lead >= self._switch_margin or state.time_s - state.leader_since_s >= self._hold_s:
            state.shown = top
        needed = self._certain_from if state.uncertain else self._uncertain_below
        state.uncertain = bool(state.mean[top] < needed)

    def _shown(self, state: _State) -> SmoothedLabel:
        probabilities = state.mean.astype(np.float32)
        probabilities.setflags(write=False)
        if state.uncertain:
            return SmoothedLabel(UNCERTAIN, float(probabilities.max()), probabilities)
        return SmoothedLabel(self._labels[state.shown], float(probabilities[state.shown]), probabilities)


def _normalised(probabilities: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Probabilities that sum to 1, or None when they say nothing."""
    values = np.asarray(probabilities, np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        return None
    total = values.sum()
    return values / total if total > 0 else None
