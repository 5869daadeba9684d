"""Videos, cameras and streams: real files, broken ones, and cameras that misbehave by script."""

from __future__ import annotations

import functools
import http.server
import itertools
import re
import sys
import threading
import types

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedCapture, picture

from fer_edge_runtime.errors import ConfigError, SourceError
from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sources import DEMO_CLIP, display_url, open_source
from fer_edge_runtime.sources.base import display_name
from fer_edge_runtime.sources.camera import PiCapture, check_device, pi_hint
from fer_edge_runtime.sources.pattern import PatternSource
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.sources.video import VideoSource
from fer_edge_runtime.types import FrameResult

# Videos


def write_video(path, frames=20, fps=10.0, code="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), fps, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), i * 10 % 250, np.uint8))
    writer.release()


def test_demo_clip_is_whole_and_small():
    with open_source("demo") as source:
        frames = list(source.frames())
    assert DEMO_CLIP.stat().st_size <= 500_000
    assert (source.name, source.kind, source.fps, source.total) == ("demo", "video", 15.0, 90)
    assert len(frames) == 90
    assert frames[0].image.shape == (360, 480, 3)
    assert source.problems == []


@pytest.mark.parametrize(("name", "code"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_video_loses_no_frame_and_states_presentation_times(tmp_path, name, code):
    write_video(tmp_path / name, code=code)
    frames = list(open_source(str(tmp_path / name)).frames())
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    assert [round(frame.image.mean() / 10) for frame in frames] == list(range(20))


def test_video_that_breaks_midway_gives_the_frames_before_and_a_problem(tmp_path):
    write_video(tmp_path / "whole.avi", frames=100)
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(data[: len(data) // 2])
    source = open_source(str(tmp_path / "half.avi"))
    frames = list(source.frames())
    assert 10 < len(frames) < 90
    assert re.search(r"breaks off after \d+ of about 100 frames", source.problems[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"just text, really", "neither a picture nor a video"), (None, "cut off")],
)
def test_file_that_is_no_video_is_explained_without_noise(tmp_path, content, message, capfd):
    path = tmp_path / "clip.mp4"
    if content is None:
        write_video(path, code="mp4v")
        content = path.read_bytes()[:600]
    path.write_bytes(content)
    capfd.readouterr()
    with pytest.raises(SourceError, match=message):
        open_source(str(path))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([500, 600, 700], [0.0, 0.1, 0.2]),
        ([0, 0, 0], [0.0, 0.1, 0.2]),
        ([0, float("nan"), -5], [0.0, 0.1, 0.2]),
        ([0, 250, 260], [0.0, 0.25, 0.26]),
        ([0, 9e12, 9e12], [0.0, 0.1, 0.2]),
    ],
)
def test_video_time_falls_back_to_the_frame_rate_when_the_stated_one_is_senseless(positions, expected):
    capture = ScriptedCapture([picture()] * 3, fps=10.0, count=3, positions=positions)
    times = [frame.time_s for frame in VideoSource(capture, name="x").frames()]
    assert times == pytest.approx(expected)


def test_video_without_one_frame_is_an_error():
    with pytest.raises(SourceError, match="not one frame"):
        list(VideoSource(ScriptedCapture([]), name="x").frames())


# Slot


@given(st.lists(st.one_of(st.integers(), st.none()), max_size=30))
def test_slot_holds_at_most_one_item_and_keeps_the_order(steps):
    slot, put, got = Slot(), 0, []
    for step in steps:
        if step is None:
            item = slot.take(0)
            got += [] if item is None else [item]
        else:
            put += 1
            slot.put(put)
    rest = slot.take(0)
    got += [] if rest is None else [rest]
    assert got == sorted(got)
    assert slot.dropped == put - len(got)


# Cameras


def test_missing_camera_names_the_device_and_what_there_is(tmp_path):
    (tmp_path / "video2").touch()
    (tmp_path / "video10").touch()
    with pytest.raises(SourceError, match=r"camera:0.*video0 does not exist.*present: .*video2, .*video10") as caught:
        check_device(tmp_path / "video0", "camera:0", dev=tmp_path, model_file=tmp_path / "none")
    assert "picamera2" not in str(caught.value)


def test_missing_camera_on_a_raspberry_pi_points_to_picamera2(tmp_path):
    model = tmp_path / "model"
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    with pytest.raises(SourceError, match="picamera2:0"):
        check_device(tmp_path / "video0", "camera:0", dev=tmp_path, model_file=model)
    model.write_bytes(b"Radxa ROCK 5B\0")
    assert pi_hint(model) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /dev")
@pytest.mark.parametrize("spec", ["97", "camera:97", "/dev/video97", "/dev/v4l/by-id/usb-none"])
def test_camera_that_does_not_exist_fails_quietly_and_fast(spec, capfd):
    with pytest.raises(SourceError, match="no such camera"):
        open_source(spec)
    assert capfd.readouterr().err == ""


def test_unreachable_stream_is_explained_without_its_password(capfd):
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_source("http://admin:hunter2@127.0.0.1:9/stream?key=hunter2")
    assert "hunter2" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_picamera2_that_is_not_installed_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match=r"apt install python3-picamera2.*--system-site-packages"):
        open_source("picamera2:0")


class FakePiCamera:
    """What PiCapture uses of picamera2.Picamera2."""

    def __init__(self, index=0):
        self.calls = []

    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708"}]

    def create_video_configuration(self, main):
        return main

    def configure(self, main):
        self.calls.append(main)

    def start(self):
        self.calls.append("start")

    def capture_array(self, name):
        return np.zeros((480, 640, 3), np.uint8)

    def stop(self):
        self.calls.append("stop")

    def close(self):
        self.calls.append("close")


def test_picamera2_built_for_another_numpy_is_explained(tmp_path, monkeypatch):
    (tmp_path / "picamera2.py").write_text(
        "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match=r"numpy.dtype size changed.*pip install --upgrade simplejpeg"):
        open_source("picamera2:0")


def test_picamera2_gives_bgr_frames_and_is_given_back(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=FakePiCamera))
    with open_source("picamera2:0") as source:
        assert next(source.frames()).image.shape == (480, 640, 3)
    with pytest.raises(SourceError, match=r"finds 1 camera"):
        open_source("picamera2:1")
    camera = FakePiCamera()
    PiCapture(camera).release()
    assert camera.calls == [{"size": (640, 480), "format": "RGB888"}, "start", "stop", "close"]


def test_picamera2_that_does_not_start_or_stop_is_given_back_for_the_next_try(monkeypatch):
    made = []

    class Stubborn(FakePiCamera):
        def __init__(self, index=0):
            super().__init__(index)
            made.append(self)

        def start(self):
            if len(made) == 1:
                raise RuntimeError("camera frontend has timed out")

        def stop(self):
            raise RuntimeError("not running")

    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=Stubborn))
    with pytest.raises(SourceError, match="frontend has timed out"):
        open_source("picamera2:0")
    with open_source("picamera2:0") as source:
        next(source.frames())
    assert [camera.calls[-1] for camera in made] == ["close", "close"]


# Real loopback streams


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_finite_video_behind_http_loses_no_frame(tmp_path):
    write_video(tmp_path / "clip.avi", frames=40)
    handler = functools.partial(QuietFiles, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        with open_source(f"http://127.0.0.1:{server.server_port}/clip.avi") as source:
            indices = [frame.index for frame in source.frames()]
        server.shutdown()
        thread.join()
    assert source.kind == "video"
    assert indices == list(range(40))


def test_live_page_of_another_run_can_be_a_source():
    stop = threading.Event()
    with open_sinks(labels=(), kind="live", serve=PageOptions(port=0)) as sinks:

        def feed():
            with open_source("test-pattern:160x120@30", stop=stop) as pattern:
                for frame in pattern.frames():
                    sinks.write(frame, FrameResult(frame.source, frame.index, frame.time_s, ()))

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        with open_source(sinks.describe()[0] + "stream.mjpg") as source:
            frames = source.frames()
            seen = [next(frames) for _ in range(5)]
        stop.set()
        thread.join()
    assert source.kind == "live"
    assert seen[-1].image.shape == (120, 160, 3)
    assert all(before.time_s < after.time_s for before, after in itertools.pairwise(seen))


# Names


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("rtsp://user:secret@cam:554/1", "rtsp://***@cam:554/1"),
        ("rtsp://user:se@cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:se/cr?et#@cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:1/secret@cam/1", "rtsp://***@cam/1"),
        ("http://cam/v.cgi?user=a&password=secret", "http://cam/v.cgi?…"),
        ("http://host/@someone/live", "http://host/@someone/live"),
        ("RTSP://User:secret@CAM/1", "RTSP://***@CAM/1"),
        ("rtsp://user@cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:secret@[fe80::1%25eth0]:554/1", "rtsp://***@[fe80::1%25eth0]:554/1"),
        ("rtsp://[fe80::1]:554/1", "rtsp://[fe80::1]:554/1"),
        ("rtsp://user%3Asecret%40cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:se%40cr%2Fet@cam/1", "rtsp://***@cam/1"),
        ("rtsp://user:secret\\@cam/1", "rtsp://***@cam/1"),
        ("rtsp://cam:554/user=admin_password=secret_channel=1.sdp", "rtsp://cam:554/…"),
        ("rtsp://cam/live/token=secret/1?x", "rtsp://cam/live/…"),
        ("http://cam/live#token=secret", "http://cam/live?…"),
    ],
)
def test_display_url_never_shows_a_password(url, expected):
    assert display_url(url) == expected


@given(st.text(min_size=1).filter(lambda text: "@" not in text), st.sampled_from(["cam", "10.0.0.1:554"]))
def test_display_url_hides_any_password(password, host):
    shown = display_url(f"rtsp://user:QQQ{password}QQQ@{host}/live")
    assert "QQQ" not in shown


def test_display_name_is_one_printable_line():
    assert display_name("a\nb\x1b[31m\udce9") == "a\\x0ab\\x1b[31m\\xe9"


# Test pattern


def test_pattern_is_paced_by_the_clock_and_counts_what_was_missed():
    now = [0.0]
    source = PatternSource(64, 48, 10.0, clock=lambda: now[0])
    frames = source.frames()
    assert next(frames).index == 0
    now[0] = 0.55
    assert next(frames).index == 5
    assert source.dropped == 4
    assert source.kind == "live"


def test_pattern_without_pace_is_a_video_that_moves():
    with open_source("test-pattern:160x120@0") as source:
        frames = source.frames()
        first, second = next(frames), next(frames)
    assert source.kind == "video"
    assert first.image.shape == (120, 160, 3)
    assert (first.image != second.image).any()
    assert second.time_s == pytest.approx(1 / 30)
    assert list(frames) == []


@pytest.mark.parametrize("spec", ["test-pattern:1x1", "test-pattern:axb", "test-pattern:9999x9999", "test-pattern:"])
def test_pattern_that_cannot_be_drawn_is_a_config_error(spec):
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        open_source(spec)
