"""Live sources: cameras that misbehave by script, are lost and come back; what the frame loop sees of it."""

import functools
import itertools
import os
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Cameras, ScriptedCapture, picture

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sinks.media import VideoSink
from fer_edge_runtime.sources import LiveOptions, SourceState, open_source
from fer_edge_runtime.sources.camera import lasting_name
from fer_edge_runtime.sources.live import MAX_ABANDONED, LiveSource, open_in_time
from fer_edge_runtime.sources.reconnect import Backoff
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.stream import StreamRecognizer
from fer_edge_runtime.types import Frame, FrameResult

DEADLINE_S = 10


def live(*tries, stop=None, open_s=20.0, reopen_frozen=False, first_wait_s=0.01, **options):
    """A source over scripted cameras, opened like a user's: the first one now, the others when they are needed."""
    cameras = Cameras(*tries)
    options = LiveOptions(**{"stall_s": 0.6, "frozen_s": 0.0, **options})
    return LiveSource(
        cameras, name="porch", opened=None if options.wait else cameras(), stop=stop, options=options,
        reopen_frozen=reopen_frozen, open_s=open_s, backoff=Backoff(first_wait_s, 4 * first_wait_s, spread=lambda: 1.0),
    )  # fmt: skip


def until(source, condition, *, into=None):
    """Read on until the health fulfils the condition; that health. The frames are gathered in ``into``."""
    give_up_s, health = time.monotonic() + DEADLINE_S, source.health()

    class Enough(Exception):  # noqa: N818
        pass

    def look():
        nonlocal health
        health = source.health()
        assert time.monotonic() < give_up_s, health
        if condition(health):
            raise Enough

    with suppress(Enough):
        for frame in source.frames(on_idle=look):
            if into is not None:
                into.append(frame)
            look()
    return health


# As before: order, drops, strictness, ends


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


# Lost and found


@pytest.mark.parametrize(
    "failure",
    [None, threading.Event(), RuntimeError("bus fault")],
    ids=["reads fail", "read hangs", "read raises"],
)
def test_camera_that_fails_is_opened_again_and_its_frames_go_on(failure):
    said = []
    bad = ScriptedCapture([picture(), picture(seed=1), failure] if failure else [picture(), picture(seed=1)])
    good = ScriptedCapture([picture(seed=2)], then="run")
    gone = SourceError("porch: no such camera.")
    with live(bad, gone, gone, good, say=said.append) as source:
        seen = []
        frames = source.frames(on_idle=lambda: seen.append(source.health()))
        got = [next(frames) for _ in range(4)]
        while got[-1].segment == 0:
            got.append(next(frames))
        got.append(next(frames))
        health = source.health()
    assert [frame.segment for frame in got] == sorted(frame.segment for frame in got)
    assert {frame.segment for frame in got} == {0, 1}
    assert all(a.index < b.index and a.time_s < b.time_s for a, b in itertools.pairwise(got))
    assert (health.state, health.reconnects, health.reason) == (SourceState.RUNNING, 1, "")
    assert SourceState.RECONNECTING in {h.state for h in seen}
    assert any(h.retry_in_s is not None for h in seen)
    assert len(said) == 3, said
    assert said[0].startswith("porch: ")
    assert "Trying again in 0.01 s" in said[0]
    assert said[1] == "porch: no such camera. Still trying."
    assert said[2].startswith("porch: pictures again after ")


def test_model_never_sees_anything_while_there_is_no_picture():
    bad = ScriptedCapture([picture(), None])
    with live(bad, SourceError("porch: gone")) as source:
        got = []
        until(source, lambda health: health.state is SourceState.RECONNECTING and "gone" in health.reason, into=got)
    assert len(got) == 1


def test_frame_that_nobody_took_before_the_loss_is_not_shown_after_it():
    hang, taken = threading.Event(), threading.Event()
    script = [picture(), taken.wait, picture(seed=1), hang]
    with live(ScriptedCapture(script), SourceError("porch: gone"), stall_s=20) as source:
        assert next(source.frames()).index == 0
        taken.set()
        give_up_s = time.monotonic() + DEADLINE_S
        while source.health().frames < 2:
            assert time.monotonic() < give_up_s
        source._lose(source._session, "gone")
        until(source, lambda health: health.reason == "gone" and health.retry_in_s is None, into=(got := []))
        assert (got, source.health().dropped) == ([], 1)
    hang.set()


def test_threads_that_hang_are_left_behind_up_to_a_limit_and_picked_up_when_they_return():
    said, hangs = [], [threading.Event() for _ in range(MAX_ABANDONED)]
    captures = [ScriptedCapture([picture(seed=i), hang]) for i, hang in enumerate(hangs)]
    with live(*captures, ScriptedCapture(then="run"), say=said.append, stall_s=0.3) as source:
        waiting = until(source, lambda health: "tries hang in the driver" in health.reason)
        assert waiting.abandoned == MAX_ABANDONED
        assert source._open_capture.opened == MAX_ABANDONED
        hangs[1].set()
        back = until(source, lambda health: health.state is SourceState.RUNNING)
        assert back.abandoned == MAX_ABANDONED - 1
        begun_s = time.monotonic()
        source.close()
        assert time.monotonic() - begun_s < 1
    assert captures[1].released.is_set()
    assert sum("hang in the driver" in line for line in said) == 1
    for hang in hangs:
        hang.set()


def test_reopening_that_hangs_is_given_up_and_a_late_capture_is_released():
    hang, late = threading.Event(), ScriptedCapture()

    class Slow(Cameras):
        def __call__(self):
            if self.opened == 1:
                self.opened += 1
                hang.wait(20)
                return late
            return super().__call__()

    cameras = Slow(ScriptedCapture([picture()]), ScriptedCapture(then="run"))
    with LiveSource(
        cameras, name="porch", options=LiveOptions(stall_s=0.6), open_s=0.2, backoff=Backoff(0.01, 0.01)
    ) as source:
        got = []
        until(source, lambda health: health.reconnects == 1, into=got)
        hang.set()
        assert late.released.wait(5)
    assert {frame.segment for frame in got} == {0, 1}


def test_camera_that_is_not_there_yet_is_waited_for():
    said = []
    gone = SourceError("porch: no such camera.")
    with live(gone, gone, gone, ScriptedCapture(then="run"), wait=True, say=said.append) as source:
        assert source.health().state is SourceState.NOT_STARTED
        assert source.health().since_frame_s is None
        frame = next(source.frames())
        health = source.health()
    assert (frame.time_s, frame.segment) == (0.0, 0)
    assert (health.state, health.reconnects) == (SourceState.RUNNING, 0)
    assert len(said) == 2
    assert "no such camera. Trying again" in said[0]
    assert "it is there, after" in said[1]


def test_only_cameras_and_streams_can_be_waited_for():
    from fer_edge_runtime.errors import ConfigError

    for source in ("film.mp4", "demo", "test-pattern@5"):
        with pytest.raises(ConfigError, match="--wait-for-source waits for cameras and streams"):
            open_source(source, live=LiveOptions(wait=True))
    with open_source("camera:97", live=LiveOptions(wait=True)) as source:
        assert source.health().state is SourceState.NOT_STARTED


def test_waiting_ends_at_once_when_asked_to_stop():
    stop = threading.Event()
    with live(SourceError("porch: gone"), wait=True, stop=stop, first_wait_s=30) as source:
        threading.Timer(0.1, stop.set).start()
        begun_s = time.monotonic()
        assert list(source.frames()) == []
    assert time.monotonic() - begun_s < 2


# Pictures that are none, of another size, or frozen


@pytest.mark.parametrize(
    "garbage",
    [
        np.zeros((0, 0, 3), np.uint8), np.zeros((24, 32, 7), np.uint8), np.zeros(12, np.uint8),
        np.zeros((24, 32, 3), np.int32), np.full((24, 32, 3), np.nan) + 1j,
    ],
    ids=["empty", "seven channels", "one row", "int32", "complex"],
)  # fmt: skip
def test_garbage_is_counted_left_out_and_said_once(garbage):
    said = []
    script = [picture(), garbage, garbage, picture(seed=1)]
    with live(ScriptedCapture(script, then="run"), say=said.append) as source:
        until(source, lambda health: health.frames > 5)
        health = source.health()
    assert (health.odd, health.reconnects) == (2, 0)
    assert len(said) == 1
    assert "shape or type that is none" in said[0]


def test_nothing_but_garbage_is_a_loss():
    garbage = ScriptedCapture([picture()] + [np.zeros((0, 0, 3), np.uint8)] * 10**6)
    with live(garbage, ScriptedCapture(then="run")) as source:
        health = until(source, lambda health: health.reconnects == 1)
    assert health.odd > 10


@pytest.mark.parametrize("odd", [picture()[:, :, 0], np.dstack([picture(), picture()[:, :, :1]]), picture().astype(np.uint16) * 256])  # fmt: skip
def test_grey_alpha_and_16_bits_become_bgr(odd):
    with live(ScriptedCapture([odd])) as source:
        image = next(source.frames()).image
    assert (image.shape, image.dtype) == ((24, 32, 3), np.uint8)


def test_another_size_begins_a_new_segment_and_is_said():
    said, taken = [], threading.Semaphore(0)
    images = [picture(), picture(48, 64), picture(48, 64, seed=1), picture()]
    script = [step for image in images for step in (image, taken.acquire)]
    with live(ScriptedCapture(script), stall_s=5, say=said.append) as source:
        got = []
        for frame in itertools.islice(source.frames(), 4):
            got.append(frame)
            taken.release()
        assert source.health().resized == 2
    assert [frame.segment for frame in got] == [0, 1, 1, 2]
    assert said == [
        "porch: its pictures are 64×48 now, no longer 32×24.",
        "porch: its pictures are 32×24 now, no longer 64×48.",
    ]


def test_frozen_picture_is_left_out_until_it_changes():
    said, still = [], picture(seed=7)
    capture = ScriptedCapture([picture()] + [0.02, still] * 30, then="run")
    with live(capture, frozen_s=0.15, stall_s=1, say=said.append) as source:
        frozen = until(source, lambda health: health.frozen)
        assert (frozen.state, frozen.reason) == (SourceState.STALLED, "the picture does not change")
        back = until(source, lambda health: health.state is SourceState.RUNNING)
        assert 2 < frozen.frames < 25
        assert (back.frozen, back.reconnects) == (1, 0)
    assert len(said) == 2


@pytest.mark.parametrize("sensor", [True, False])
def test_frozen_sensor_is_opened_again_once_and_a_stream_never(sensor):
    still = picture(seed=7)
    frozen = [ScriptedCapture([0.005, still] * 400) for _ in range(3)]
    source = live(*frozen, frozen_s=0.05, stall_s=1, reopen_frozen=sensor)
    with source:
        until(source, lambda health: health.state is SourceState.STALLED)
        begun_s = time.monotonic()
        last = until(source, lambda health: time.monotonic() - begun_s > 0.5)
    assert source._open_capture.opened == (2 if sensor else 1)
    assert (last.state, last.frozen) == (SourceState.STALLED, 1)


def test_own_freeze_detection_costs_little_on_a_real_sensor():
    from fer_edge_runtime.sources.frozen import FreezeDetector

    detector, noise = FreezeDetector(10), np.random.default_rng(0)
    images = [noise.integers(0, 255, (720, 1280, 3), np.uint8) for _ in range(2)]
    begun_s = time.perf_counter()
    for i in range(100):
        detector.frozen_for(images[i % 2], i)
    assert time.perf_counter() - begun_s < 0.5, "5 ms a frame; it takes some microseconds"


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


# What remembers faces


def test_face_after_a_gap_is_another_one(recognizer, astronaut):
    stream = StreamRecognizer(recognizer, "live", detect_every=3)
    tracks = []
    for index, segment in enumerate([0, 0, 0, 0, 1, 1, 2]):
        result = stream.process(Frame(astronaut, index, index / 10, "porch", segment))
        assert len(result.faces) == 1, "the detector looks at the first frame of a segment"
        tracks.append(result.faces[0].track)
        if index in (4, 6):
            assert result.fps == 0.0
    assert tracks == [1, 1, 1, 1, 2, 2, 3]


def test_latency_runs_from_the_capture_and_only_for_live_sources(recognizer, astronaut):
    stream = StreamRecognizer(recognizer, "live")
    with live(ScriptedCapture(then="run")) as source:
        frame = next(source.frames())
    assert 0 <= time.monotonic() - frame.captured_s < 5
    late = replace(frame, captured_s=time.monotonic() - 2.0)
    assert 2000 <= stream.process(late).stages_ms["latency"] < 4000
    assert "latency" not in stream.process(Frame(astronaut, 1, 0.1, "film")).stages_ms


def test_driver_that_never_lets_go_ends_the_run_only_where_somebody_starts_it_again(monkeypatch, tmp_path):
    from fer_edge.pulse import Pulse
    from fer_edge_runtime.notify import Notifier
    from fer_edge_runtime.sources import health

    monkeypatch.setattr(health, "WEDGED_S", 0.5)
    hang = threading.Event()
    with live(ScriptedCapture([picture(), hang]), SourceError("porch: busy")) as source:
        alone = Pulse(source, lambda result: None, None, print)
        begun_s = time.monotonic()

        def idle():
            alone.idle()
            if time.monotonic() - begun_s > 1:
                source.close()

        assert len(list(source.frames(on_idle=idle))) == 1
        assert source.health().abandoned == 1
    with live(ScriptedCapture([picture(), hang]), SourceError("porch: busy")) as source:
        watched = Pulse(source, lambda result: None, Notifier(str(tmp_path / "manager"), watchdog_s=None), print)
        with watched, pytest.raises(SourceError, match="porch: its driver hangs and keeps the device"):
            list(source.frames(on_idle=watched.idle))
    hang.set()


@pytest.mark.parametrize("size", [(64, 128), (200, 100), (50, 50), (97, 129)])
def test_saved_video_keeps_its_size_and_the_shape_of_what_is_in_it(tmp_path, size):
    path = tmp_path / "out.avi"
    width, height = 128, 96
    circle = np.zeros((height, width, 3), np.uint8)
    sink = VideoSink(path, fps=10, live=True)
    sink.write(Frame(circle, 0, 0.0, "porch"), FrameResult("porch", 0, 0.0, ()))
    other = np.zeros((*size, 3), np.uint8)
    side = min(size) // 2
    cv2.rectangle(other, (size[1] // 2 - side // 2, size[0] // 2 - side // 2), (size[1] // 2 + side // 2, size[0] // 2 + side // 2), (255, 255, 255), -1)  # fmt: skip
    for i in range(1, 5):
        sink.write(Frame(other, i, i / 10, "porch", 1), FrameResult("porch", i, i / 10, ()))
    sink.close()
    capture = cv2.VideoCapture(str(path))
    images = [image for ok, image in iter(capture.read, (False, None)) if ok]
    assert {image.shape for image in images} == {(height, width, 3)}
    rows, columns = np.nonzero(images[-1][:, :, 1] > 127)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert tall == pytest.approx(wide, abs=2), "a square stays one"
    assert (rows.min() + rows.max()) / 2 == pytest.approx(height / 2, abs=2)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(width / 2, abs=2)


def test_saved_video_runs_as_fast_as_life_also_after_an_outage_and_shows_nothing_before_its_time(tmp_path):
    path = tmp_path / "out.avi"
    sink = VideoSink(path, fps=10, live=True)
    for number, time_s in enumerate([0.0, 0.5, 100.0, 100.5, 108.5]):
        grey = np.full((48, 64, 3), 50 * number, np.uint8)
        sink.write(Frame(grey, number, time_s, "porch"), FrameResult("porch", number, time_s, ()))
    sink.close()
    capture = cv2.VideoCapture(str(path))
    shown = [round(image.mean() / 50) for ok, image in iter(capture.read, (False, None)) if ok]
    assert shown == [0] * 5 + [1] + [2] * 5 + [3] * 80 + [4]


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


# Cameras that come back


@pytest.fixture
def plug_in(tmp_path):
    """Plays udev: a camera's device file, its links and its serial number, if it has one."""

    def plug(number, *, port, serial=None):
        (tmp_path / f"video{number}").touch()
        for kind, name in [
            ("by-id", f"usb-Cam_{serial or 'twin'}-video-index0"),
            ("by-path", f"usb-0:{port}-video-index0"),
        ]:
            link = tmp_path / "v4l" / kind / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../video{number}")
        usb = tmp_path / "sys" / "usb" / port
        (usb / f"{port}:1.0").mkdir(parents=True, exist_ok=True)
        if serial:
            (usb / "serial").write_text(serial)
        device = tmp_path / "sys" / "class" / "video4linux" / f"video{number}"
        device.mkdir(parents=True, exist_ok=True)
        (device / "device").unlink(missing_ok=True)
        (device / "device").symlink_to(usb / f"{port}:1.0")
        return tmp_path / f"video{number}"

    return plug


def test_camera_has_a_lasting_name_its_own_or_that_of_its_port(plug_in, tmp_path):
    own, twin, other = plug_in(0, port="1", serial="42"), plug_in(2, port="2"), plug_in(4, port="3")
    name = functools.partial(lasting_name, dev=tmp_path, sys_root=tmp_path / "sys")
    assert name(own).name == "usb-Cam_42-video-index0"
    assert name(twin).name == "usb-0:2-video-index0", "its by-id name leads to its twin"
    assert name(other).name == "usb-0:3-video-index0"
    assert name(tmp_path / "video1") is None
    assert lasting_name(own, dev=tmp_path / "none", sys_root=tmp_path) is None


def test_camera_that_comes_back_under_another_number_is_followed(plug_in, tmp_path, monkeypatch):
    from fer_edge_runtime.sources import camera

    opened = []
    monkeypatch.setattr(camera, "DEV", tmp_path)
    monkeypatch.setattr(camera, "SYS", tmp_path / "sys")
    monkeypatch.setattr(
        camera, "_open_device", lambda at, name: opened.append(at if isinstance(at, int) else at.resolve().name)
    )
    first = plug_in(0, port="1", serial="42")
    porch = camera._Camera(0, "porch")
    porch.open()
    first.unlink()
    porch.open()
    plug_in(4, port="7", serial="42")
    porch.open()
    assert opened == [0, 0, "video4"]


@pytest.mark.camera
@pytest.mark.skipif("FER_EDGE_TEST_V4L2_DEVICE" not in os.environ, reason="FER_EDGE_TEST_V4L2_DEVICE names no camera")
def test_real_camera_gives_pictures_and_can_be_had_again():
    device = os.environ["FER_EDGE_TEST_V4L2_DEVICE"]
    for _ in range(2):
        with open_source(device) as source:
            frames = source.frames()
            got = [next(frames) for _ in range(20)]
            health = source.health()
        assert all(a.time_s < b.time_s for a, b in itertools.pairwise(got))
        assert (health.state, health.reconnects, health.odd, health.frozen) == (SourceState.RUNNING, 0, 0, 0)
        assert health.frames >= 20
