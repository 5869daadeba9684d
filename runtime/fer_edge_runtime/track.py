"""Follows faces from frame to frame, so that each keeps its number and needs a detector only now and then.

On frames where the detector ran, `Tracker.update` matches its boxes with the known tracks, first by overlap (IoU), then,
for fast motion, by distance relative to the face's size. On the frames in between, `Tracker.predict` moves each box with
its track's own velocity; the velocity decays and the motion is bounded, so that a box never runs away.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.types import Detection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fer_edge_runtime.types import Box

_VELOCITY_GAIN = 0.5  # weight of the newest motion; the rest is history, which calms the jitter of boxes
_DAMPING = 0.9  # of the velocity, per predicted frame
_MAX_SHIFT = 1.0  # predicted motion since the last detection, in face sides
_MAX_GROWTH = 1.5  # predicted growth (or its inverse) since the last detection
_MAX_SIZE_RATIO = 2.0  # two boxes whose sides differ by more are not matched by distance
_EPSILON = 1e-6


class Track(NamedTuple):
    """A face that is being followed.

    Attributes:
        id: from 1 upwards, never used twice by one tracker.
        detection: where the face is; on predicted frames box and landmarks are moved, the score is the last one.
        age_frames: frames since the track began, 0 in its first.
        missed_frames: frames since the detector last saw it, 0 where it did so in this frame.
    """

    id: int
    detection: Detection
    age_frames: int
    missed_frames: int


class _Motion(NamedTuple):
    """Per frame: the centre's shift in pixels and the side's growth as a natural logarithm."""

    x: float = 0.0
    y: float = 0.0
    growth: float = 0.0


@dataclass(slots=True)
class _State:
    """What the tracker remembers of a face; the only thing here that changes."""

    id: int
    seen: Detection
    now: Detection
    motion: _Motion
    age_frames: int = 0
    missed_frames: int = 0
    missed_runs: int = 0

    def advance(self) -> None:
        """Go one frame further without a detection."""
        self.age_frames += 1
        self.missed_frames += 1
        self.now = _extrapolate(self.seen, self.motion, self.missed_frames)

    def see(self, detection: Detection) -> None:
        """Take over what the detector found in the frame that `advance` has just reached."""
        step = _motion_between(self.seen.box, detection.box, self.missed_frames)
        self.motion = _blend(self.motion, step)
        self.seen = self.now = detection
        self.missed_frames = self.missed_runs = 0

    def track(self) -> Track:
        return Track(self.id, self.now, self.age_frames, self.missed_frames)


class Tracker:
    """Gives faces numbers that stay with them through a video. Not safe for use by several threads at once.

    Call exactly one of `update` and `predict` per frame.
    """

    def __init__(self, *, iou_threshold: float = 0.3, max_distance: float = 1.0, max_missed: int = 10) -> None:
        """Start without tracks.

        Args:
            iou_threshold: a box and a track that overlap at least this much match, in (0, 1].
            max_distance: boxes and tracks left over match when their centres are at most this far apart, in face
                sides; 0 turns this off.
            max_missed: detector runs in a row that may miss a face before its number is given up, ≥ 0.

        Raises:
            ConfigError: an argument is out of range.
        """
        if not 0 < iou_threshold <= 1:
            raise ConfigError(f"The tracker's iou_threshold must be above 0 and at most 1; received {iou_threshold}.")
        if not 0 <= max_distance < math.inf:
            raise ConfigError(f"The tracker's max_distance must be 0 or more face sides; received {max_distance}.")
        if max_missed < 0:
            raise ConfigError(f"The tracker's max_missed must be 0 or more detector runs; received {max_missed}.")
        self._iou_threshold = iou_threshold
        self._max_distance = max_distance
        self._max_missed = max_missed
        self._ids = itertools.count(1)
        self._states: list[_State] = []

    def remembered_ids(self) -> frozenset[int]:
        """Numbers of the tracks followed or still remembered; any other number will not come back."""
        return frozenset(state.id for state in self._states)

    def update(self, detections: Sequence[Detection]) -> list[Track]:
        """Take over what the detector found in this frame.

        Args:
            detections: the frame's faces; boxes are finite.

        Returns:
            One track per detection, in the same order.
        """
        for state in self._states:
            state.advance()
        matches = self._match(detections)
        current = []
        for index, detection in enumerate(detections):
            if index in matches:
                state = matches[index]
                state.see(detection)
            else:
                state = _State(next(self._ids), detection, detection, _Motion())
            current.append(state)
        seen = {state.id for state in current}
        missing = [state for state in self._states if state.id not in seen]
        for state in missing:
            state.missed_runs += 1
        self._states = current + [state for state in missing if state.missed_runs <= self._max_missed]
        return [state.track() for state in current]

    def predict(self) -> list[Track]:
        """Where the faces should be in a frame that the detector did not look at.

        Returns:
            The tracks that the last detector run saw, in its order.
        """
        for state in self._states:
            state.advance()
        return [state.track() for state in self._states if not state.missed_runs]

    def reset(self) -> None:
        """Forget every face, as for a new scene; the numbers go on where they were."""
        self._states = []

    def _match(self, detections: Sequence[Detection]) -> dict[int, _State]:
        """Best pair first: by overlap, then by distance; a face the last run saw comes before a remembered one."""
        by_overlap = []
        by_distance = []
        for (index, detection), state in itertools.product(enumerate(detections), self._states):
            overlap = iou(detection.box, state.now.box)
            if overlap >= self._iou_threshold:
                by_overlap.append((-overlap, index, state))
                continue
            distance, ratio = _distance(detection.box, state.now.box)
            if distance <= self._max_distance and ratio <= _MAX_SIZE_RATIO and self._max_distance > 0:
                by_distance.append((distance, index, state))
        return _greedy(itertools.chain(_ranked(by_overlap), _ranked(by_distance)))


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]; 0 when a box is empty."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    union = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1]) - common
    return min(1.0, common / union) if union > 0 else 0.0


def _ranked(pairs: list[tuple[float, int, _State]]) -> list[tuple[float, int, _State]]:
    return sorted(pairs, key=lambda pair: (pair[2].missed_runs > 0, pair[0], pair[1], pair[2].id))


def _greedy(pairs: Iterable[tuple[float, int, _State]]) -> dict[int, _State]:
    matches: dict[int, _State] = {}
    taken: set[int] = set()
    for _, index, state in pairs:
        if index not in matches and state.id not in taken:
            matches[index] = state
            taken.add(state.id)
    return matches


def _geometry(box: Box) -> tuple[float, float, float]:
    """Centre x, centre y and side (the square root of the area), in pixels."""
    width, height = max(box[2] - box[0], _EPSILON), max(box[3] - box[1], _EPSILON)
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, math.sqrt(width * height)


def _distance(first: Box, second: Box) -> tuple[float, float]:
    """Distance of the centres in mean sides, and the larger side over the smaller one."""
    x1, y1, side1 = _geometry(first)
    x2, y2, side2 = _geometry(second)
    return 2 * math.hypot(x2 - x1, y2 - y1) / (side1 + side2), max(side1, side2) / min(side1, side2)


def _motion_between(before: Box, after: Box, frames: int) -> _Motion:
    x1, y1, side1 = _geometry(before)
    x2, y2, side2 = _geometry(after)
    return _Motion((x2 - x1) / frames, (y2 - y1) / frames, math.log(side2 / side1) / frames)


def _blend(old: _Motion, new: _Motion) -> _Motion:
    def mix(before: float, after: float) -> float:
        return before + _VELOCITY_GAIN * (after - before)

    return _Motion(mix(old.x, new.x), mix(old.y, new.y), mix(old.growth, new.growth))


def _extrapolate(seen: Detection, motion: _Motion, frames: int) -> Detection:
    """The detection moved by as many frames; both the shift and the growth are bounded."""
    steps = _DAMPING * (1 - _DAMPING**frames) / (1 - _DAMPING)
    x, y, side = _geometry(seen.box)
    shift = math.hypot(motion.x, motion.y) * steps
    bound = min(1.0, _MAX_SHIFT * side / max(shift, _EPSILON))
    dx, dy = motion.x * steps * bound, motion.y * steps * bound
    limit = math.log(_MAX_GROWTH)
    growth = math.exp(min(limit, max(-limit, motion.growth * steps)))

    def move(point: tuple[float, float]) -> tuple[float, float]:
        return x + dx + (point[0] - x) * growth, y + dy + (point[1] - y) * growth

    box = (*move(seen.box[:2]), *move(seen.box[2:]))
    return seen._replace(box=box, landmarks={name: move(point) for name, point in seen.landmarks.items()})
