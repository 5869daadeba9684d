"""Live sources over cameras that do what a script says: order, drops, pace, ends, and how they are opened."""

import itertools
import threading
import time
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedCapture, live, picture

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources import SourceState, open_source
from fer_edge_runtime.sources.live import LiveSource, open_in_time
from fer_edge_runtime.sources.slot import Slot


def test_live_source_drops_old_frames_and_counts_them():
    capture = ScriptedCapture([picture(seed=i) for i in range(6)])
    with live(capture, stall_s=5) as source:
        assert capture.drained.wait(5)
        frame = next(source.frames())
        health = source.health()
    assert frame.index == 5
    assert source.dropped == health.dropped == 5
    assert health.frames == 6
    assert capture.released.wait(5)


def test_live_source_survives_a_hiccup():
    with live(ScriptedCapture([picture(), None, None, picture(seed=1)]), stall_s=5) as source:
        capture = source.frames()
        first = next(capture)
        second = first if first.index == 1 else next(capture)
    assert (second.index, second.segment) == (1, 0)
    assert source.health().reconnects == 0


def test_camera_that_never_gives_a_picture_is_an_error_even_when_it_would_be_reopened():
    with live(ScriptedCapture([threading.Event()]), stall_s=0.3) as source:
        with pytest.raises(SourceError, match=r"porch: no new picture for 0\.6 s\. Is it still plugged in"):
            next(source.frames())
        assert source.health().state is SourceState.ERROR
        with pytest.raises(SourceError, match="no new picture"):
            next(source.frames())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([picture(), threading.Event()], r"no new picture for 0\.6 s"),
        ([picture()], "it gives no more pictures"),
        ([picture(), RuntimeError("bus fault")], "reading failed: bus fault"),
    ],
)
def test_without_reconnecting_every_way_to_fail_is_an_error(script, reason):
    with live(ScriptedCapture(script), reconnect=False) as source:
        frames = source.frames()
        assert next(frames).index == 0
        with pytest.raises(SourceError, match=f"^porch: {reason}"):
            next(frames)
        health = source.health()
    assert (health.state, health.reconnects) == (SourceState.ERROR, 0)
    assert "porch" not in health.reason


def test_live_source_ends_when_asked_to_stop():
    stop = threading.Event()
    with live(ScriptedCapture([picture()]), stop=stop, stall_s=60) as source:
        frames = source.frames()
        next(frames)
        stop.set()
        assert list(frames) == []


def test_close_from_another_thread_ends_the_frames():
    source = live(ScriptedCapture(), stall_s=60)
    closer = threading.Thread(target=source.close)
    closer.start()
    assert list(source.frames()) == []
    closer.join()
    assert source.health().state is SourceState.ENDED


# Back-pressure


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 3))
def test_memory_is_one_picture_however_the_reader_dawdles_and_the_order_stays(bursts, losses):
    """The producer runs freely between two reads; whatever it did, one picture waits and nothing comes twice or late."""
    slot, put, got = Slot(), 0, []
    for burst in bursts:
        for _ in range(burst):
            slot.put(np.full(1, put))
            put += 1
        item = slot.take(0)
        got += [] if item is None else [int(item[0])]
        if losses and burst > 20:
            slot.clear()
    waiting = slot.take(0) is not None
    assert got == sorted(set(got))
    assert put == len(got) + slot.dropped + waiting


def test_producer_a_hundred_times_faster_than_the_reader_neither_grows_nor_lags():
    pictures, made = [picture(480, 640, seed) for seed in range(2)], []

    class Fast(ScriptedCapture):
        def read(self):
            self.reads += 1
            time.sleep(0.0005)
            image = pictures[self.reads % 2].copy()
            made.append(weakref.ref(image))
            return True, image

    capture = Fast()
    with live(capture, stall_s=5, frozen_s=10) as source:
        frames = source.frames()
        got = [next(frames)]
        for _ in range(20):
            time.sleep(0.05)  # the model
            got.append(next(frames))
            got[-2] = replace(got[-2], image=None)
            assert capture.reads - got[-1].index <= 3, "the newest picture, not the next one"
            assert sum(image() is not None for image in made) <= 4, "read, waiting, compared, just captured"
        health = source.health()
    assert health.dropped > 20 * 20
    assert health.frames - health.dropped - len(got) in (0, 1)
    assert all(a.index < b.index and a.time_s < b.time_s for a, b in itertools.pairwise(got))


def test_slow_reader_loses_no_frame_of_a_file(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 200, (64, 48))
    for i in range(60):
        writer.write(np.full((48, 64, 3), i * 4, np.uint8))
    writer.release()
    seen = []
    with open_source(str(path)) as source:
        for frame in source.frames():
            time.sleep(0.01)
            seen.append(round(frame.image.mean() / 4))
        health = source.health()
    assert seen == list(range(60))
    assert (health.state, health.frames, health.dropped) == (SourceState.ENDED, 60, 0)


# Opening


def test_opening_that_hangs_is_given_up_and_a_late_first_capture_is_released():
    go_on, capture = threading.Event(), ScriptedCapture()

    def slow():
        go_on.wait(20)
        return capture

    with pytest.raises(SourceError, match="did not open within"):
        open_in_time(slow, name="x", open_s=0.05)
    go_on.set()
    assert capture.released.wait(5)


def test_opening_is_left_at_once_when_asked_to_stop():
    stop, hang = threading.Event(), threading.Event()
    stop.set()
    late = ScriptedCapture()

    def slow():
        hang.wait(20)
        return late

    capture = open_in_time(slow, name="x", stop=stop)
    assert list(LiveSource(slow, name="x", opened=capture, stop=stop).frames()) == []
    hang.set()
    assert late.released.wait(5)


def test_opening_that_raises_anything_becomes_a_sentence():
    def broken():
        raise RuntimeError("firmware")

    with pytest.raises(SourceError, match="cannot be opened: firmware"):
        open_in_time(broken, name="x")
