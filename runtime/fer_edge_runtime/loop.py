"""The frame loop: source → recognizer → sinks, with what each stage costs."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fer_edge_runtime.sinks.base import ClosedPipe

if TYPE_CHECKING:
    from fer_edge_runtime.sinks import Sinks
    from fer_edge_runtime.sources import Source, SourceHealth
    from fer_edge_runtime.stream import StreamRecognizer
    from fer_edge_runtime.types import FrameResult

STAGE_WINDOW = 1000


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        frames: frames processed.
        frames_with_faces: frames in which at least one face was found.
        dropped: frames that a live source delivered while the loop was busy.
        seconds: from the first frame asked for to the last one written.
        labels: label -> number of faces that showed it.
        tracks: identities seen.
        stages_ms: stage -> median milliseconds over the last 1000 frames.
        source: how the source was doing at the end: stalls, reconnects and other counters.
        output_failures: times that an output failed and the others went on without it.
        ended: why the loop ended: ``source ended``, ``stopped``, ``frame limit`` or ``reader gone``.
    """

    frames: int = 0
    frames_with_faces: int = 0
    dropped: int = 0
    seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    tracks: int = 0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    source: SourceHealth | None = None
    output_failures: int = 0
    ended: str = "source ended"


def run_loop(
    source: Source, stream: StreamRecognizer, sinks: Sinks, *, stop: threading.Event, max_frames: int | None = None,
    on_result: Callable[[FrameResult], None] | None = None, on_idle: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Summary:  # fmt: skip
    """Process frames until the source ends, ``stop`` is set, ``max_frames`` are done or nobody reads the results.

    Args:
        source: gives the frames; opened and closed by the caller.
        stream: turns a frame into a result.
        sinks: take the results; opened and closed by the caller.
        stop: set by a signal handler.
        max_frames: None for no limit.
        on_result: called after each frame was written, with all its stages.
        on_idle: called about ten times a second while a live source has no new frame.
        clock: seconds, monotonic.

    Raises:
        SourceError: the source failed; OutputError: a sink did, and the others cannot go on without it.
    """
    summary = Summary()
    stages: dict[str, deque[float]] = {}
    highest_track = 0
    frames = source.frames(on_idle=on_idle)
    begin = clock()
    while True:
        if max_frames is not None and summary.frames >= max_frames:
            summary.ended = "frame limit"
            break
        asked = clock()
        frame = None if stop.is_set() else next(frames, None)
        if frame is None:
            summary.ended = "stopped" if stop.is_set() else "source ended"
            break
        received = clock()
        result = stream.process(frame)
        try:
            before_sinks = clock()
            sinks.write(frame, result)
            written = clock()
        except ClosedPipe:
            summary.ended = "stopped" if stop.is_set() else "reader gone"
            break
        write_ms = (written - before_sinks) * 1e3 - sinks.draw_ms
        read_ms = (received - asked) * 1e3
        sinks.took({"read": read_ms, "draw": sinks.draw_ms, "write": write_ms})
        costs = {"read": read_ms, **result.stages_ms, "draw": sinks.draw_ms, "write": write_ms}
        for name, cost_ms in costs.items():
            stages.setdefault(name, deque(maxlen=STAGE_WINDOW)).append(cost_ms)
        summary.frames += 1
        summary.frames_with_faces += bool(result.faces)
        summary.labels.update(face.label for face in result.faces)
        highest_track = max((highest_track, *(face.track or 0 for face in result.faces)))
        if on_result is not None:
            on_result(result._replace(stages_ms=costs))
    summary.seconds = clock() - begin
    summary.tracks = highest_track
    summary.dropped = source.dropped
    summary.source = source.health()
    summary.output_failures = sinks.failures
    summary.stages_ms = {name: _median(costs_ms) for name, costs_ms in stages.items()}
    return summary


def _median(values: Iterable[float]) -> float:
    """The upper median. ``numpy.median`` and ``statistics`` would each cost more to import than a frame to process."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
