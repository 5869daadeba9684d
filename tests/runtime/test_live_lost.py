"""Live sources that are lost and come back, or are not there yet."""

import itertools
import threading
import time

import pytest
from scripted import DEADLINE_S, Cameras, ScriptedCapture, live, picture, until

from fer_edge_runtime.errors import ConfigError, SourceError
from fer_edge_runtime.sources import LiveOptions, SourceState, open_source
from fer_edge_runtime.sources.live import MAX_ABANDONED, LiveSource
from fer_edge_runtime.sources.reconnect import Backoff


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
