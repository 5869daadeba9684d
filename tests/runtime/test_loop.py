"""The frame loop: what ends it, what it counts."""

import threading

import numpy as np
import pytest

from fer_edge_runtime.loop import run_loop
from fer_edge_runtime.sinks import Sinks
from fer_edge_runtime.sinks.base import ClosedPipe, Sink
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.stream import StreamRecognizer


class Collector(Sink):
    """Keeps results; says that nobody reads any more after ``limit`` of them."""

    def __init__(self, limit=None):
        self.results, self.limit = [], limit

    @property
    def needs_drawing(self):
        return False

    def write(self, frame, result):
        if self.limit is not None and len(self.results) >= self.limit:
            raise ClosedPipe("gone")
        self.results.append(result)


@pytest.fixture
def run(recognizer):
    """Run the loop over a source; returns summary and results."""

    def go(spec="demo", *, limit=None, max_frames=None, stop=None, on_result=None):
        stop = stop or threading.Event()
        collector = Collector(limit)
        with open_source(spec, stop=stop) as source:
            stream = StreamRecognizer(recognizer, source.kind)
            summary = run_loop(
                source, stream, Sinks([collector]), stop=stop, max_frames=max_frames, on_result=on_result
            )
        return summary, collector.results

    return go


def test_demo_clip_is_one_happy_track_in_every_frame(run):
    summary, results = run()
    assert summary.ended == "source ended"
    assert summary.frames == summary.frames_with_faces == len(results) >= 60
    assert {len(result.faces) for result in results} == {1}
    assert {face.track for result in results for face in result.faces} == {1}
    assert summary.tracks == 1
    assert summary.labels["happy"] >= 0.95 * summary.frames
    assert [result.frame for result in results] == list(range(len(results)))
    assert summary.stages_ms["total"] > 0
    assert {"read", "detect", "align", "classify", "draw", "write"} <= set(summary.stages_ms)


def test_frame_limit_ends_the_loop(run):
    summary, results = run(max_frames=5)
    assert (summary.frames, len(results), summary.ended) == (5, 5, "frame limit")


def test_closed_reader_ends_the_loop(run):
    summary, results = run(limit=3)
    assert (summary.frames, len(results), summary.ended) == (3, 3, "reader gone")


def test_stop_event_ends_an_endless_source(run):
    stop = threading.Event()
    summary, results = run(
        "test-pattern", stop=stop, on_result=lambda result: stop.set() if result.frame >= 4 else None
    )
    assert summary.ended == "stopped"
    assert 1 <= len(results) <= 10
    assert all(result.faces == () for result in results)


def test_stop_before_the_first_frame_gives_an_empty_summary(run):
    stop = threading.Event()
    stop.set()
    summary, results = run(stop=stop)
    assert (summary.frames, results) == (0, [])


def test_results_are_plain_json(run):
    import json

    _, results = run(max_frames=1)
    record = json.loads(json.dumps(results[0].as_json()))
    assert record["schema"] == 1
    assert set(record) == {"schema", "source", "frame", "time_s", "faces"}
    face = record["faces"][0]
    assert {"box", "track", "label", "score", "scores", "landmarks"} <= set(face)
    assert np.isfinite(face["box"]).all()
