"""Sources: real files of every kind, broken ones, and cameras that misbehave by script."""

from __future__ import annotations

import re
import struct
import sys
import threading
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge_runtime.errors import ConfigError, SourceError
from fer_edge_runtime.sources import DEMO_CLIP, display_url, open_source
from fer_edge_runtime.sources import picture as picture_module
from fer_edge_runtime.sources.base import display_name
from fer_edge_runtime.sources.camera import PiCapture, check_device, pi_hint
from fer_edge_runtime.sources.header import read_header
from fer_edge_runtime.sources.live import LiveSource, open_in_time
from fer_edge_runtime.sources.pattern import PatternSource
from fer_edge_runtime.sources.picture import as_bgr, decode_image
from fer_edge_runtime.sources.slot import Slot
from fer_edge_runtime.sources.video import VideoSource


def picture(height=24, width=32, seed=0):
    small = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def encode(image, suffix=".png"):
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


# Pictures


@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".jpg", "JPEG"), (".png", "PNG"), (".bmp", "BMP"), (".webp", "WebP"), (".tiff", "TIFF"), (".ppm", "PNM")],
)
def test_decode_reads_the_size_of_each_format_before_decoding(suffix, name):
    data = encode(picture(), suffix)
    header = read_header(data)
    assert (header.format, header.width, header.height, header.damage) == (name, 32, 24, "")
    assert decode_image(data, name="x").shape == (24, 32, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.full((5, 7), 100, np.uint8),
        np.full((5, 7, 3), 100 * 257, np.uint16),
        np.full((5, 7, 4), 100, np.uint8),
        np.full((5, 7), 100 * 257, np.uint16),
    ],
)
def test_decode_brings_grey_16_bit_and_transparent_pictures_to_bgr(image):
    decoded = decode_image(encode(image), name="x")
    assert decoded.shape == (5, 7, 3)
    assert decoded.dtype == np.uint8
    assert (decoded == 100).all()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), 7),
        (np.full((2, 3, 1), 7, np.uint8), 7),
        (np.full((2, 3, 4), 7, np.uint8), 7),
        (np.full((2, 3, 3), 7 * 257, np.uint16), 7),
        (np.full((2, 3, 3), 1.5, np.float32), 255),
        (np.full((2, 3, 3), np.nan, np.float64), 0),
        (np.full((4, 6, 3), 7, np.uint8)[::2, ::2], 7),
    ],
)
def test_as_bgr_normalises(image, expected):
    found = as_bgr(image)
    assert found.shape == (2, 3, 3)
    assert found.flags.c_contiguous
    assert (found == expected).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(5, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2, 3), np.int32),
    ],
)
def test_as_bgr_refuses_what_is_no_picture(image):
    with pytest.raises(SourceError, match="Received"):
        as_bgr(image)


def test_decode_honours_the_exif_orientation():
    data = encode(picture(20, 40), ".jpg")
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert decode_image(turned, name="x").shape == (40, 20, 3)


def test_decode_is_not_fooled_by_a_thumbnail_in_a_truncated_jpeg():
    data = encode(picture(200, 200), ".jpg")
    thumbnail = b"thumb\xff\xd9"
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with pytest.raises(SourceError, match="cut off"):
        decode_image(data[:2] + segment + data[2:-20], name="x")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_decode_says_that_a_truncated_picture_is_damaged(suffix, share, capfd):
    data = encode(picture(64, 64), suffix)
    with pytest.raises(SourceError, match=r"cut off|damaged|not a picture"):
        decode_image(data[: int(len(data) * share)], name="half.jpg")
    if suffix in (".jpg", ".png"):
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.jpg: the file is empty \(0 bytes\)"),
        (b"hello world, this is text", r"not a picture: 25 bytes that start with 68 65 6c"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 90, "HEIC"),
        (b"\xff\xd8\xff\xe0", "cut off"),
    ],
)
def test_decode_names_what_it_found(data, message):
    with pytest.raises(SourceError, match=message):
        decode_image(data, name="x.jpg")


def test_decode_refuses_a_png_that_declares_ten_gigabytes():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with pytest.raises(SourceError, match="60000×60000"):
        decode_image(data, name="bomb.png")


def test_decode_refuses_too_many_bytes(monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_BYTES", 100)
    with pytest.raises(SourceError, match="MiB"):
        decode_image(encode(picture()), name="x")


_SEEDS = [encode(picture(), suffix) for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm")]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from(_SEEDS).flatmap(
            lambda seed: st.tuples(st.integers(0, len(seed) - 1), st.binary(min_size=1, max_size=8), st.booleans()).map(
                lambda change: (
                    seed[: change[0]] + change[1] + (b"" if change[2] else seed[change[0] + len(change[1]) :])
                )
            )
        ),
    )
)
def test_decode_gives_a_picture_or_a_source_error_for_any_bytes(data):
    try:
        image = decode_image(data, name="x")
    except SourceError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.uint8


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"II*\0",
            b"MM\0+",
            b"P6 ",
            b"\0\0\0\x0cjP  ",
            b"\0\0\0\x20ftypavif",
            b"BM",
        ]
    ),
)
def test_read_header_never_raises(rest, magic):
    header = read_header(magic + rest)
    assert header.width >= 0
    assert header.height >= 0


# Folders and globs


def test_folder_gives_its_pictures_in_natural_order_and_reports_bad_ones(tmp_path, caplog):
    for number in (10, 2, 1):
        (tmp_path / f"face{number}.png").write_bytes(encode(picture(seed=number)))
    (tmp_path / "face3.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub").mkdir()
    with open_source(str(tmp_path)) as source:
        frames = list(source.frames())
    assert [Path(frame.source).name for frame in frames] == ["face1.png", "face2.png", "face10.png"]
    assert [frame.index for frame in frames] == [0, 1, 3]
    assert (source.kind, source.total) == ("pictures", 4)
    assert len(source.problems) == 1
    assert "face3.jpg: the file is empty" in source.problems[0]
    assert "face3.jpg" in caplog.text


def test_folder_in_which_nothing_can_be_read_is_an_error(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match="none of the 2 pictures"):
        list(open_source(str(tmp_path)).frames())


def test_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no picture in this folder"):
        open_source(str(tmp_path))


def test_glob_and_brackets_in_a_real_name(tmp_path):
    for name in ("a1.png", "a2.png", "b1.png", "odd[1].png"):
        (tmp_path / name).write_bytes(encode(picture()))
    assert len(list(open_source(str(tmp_path / "a*.png")).frames())) == 2
    assert len(list(open_source(str(tmp_path / "odd[1].png")).frames())) == 1


def test_picture_with_a_wrong_suffix_is_recognised_by_its_bytes(tmp_path):
    path = tmp_path / "photo.dat"
    path.write_bytes(encode(picture()))
    assert open_source(str(path)).kind == "pictures"


def test_stop_ends_a_folder_early(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode(picture()))
    stop = threading.Event()
    frames = open_source(str(tmp_path), stop=stop).frames()
    next(frames)
    stop.set()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no/such/file.jpg", "no such file"),
        ("", "not a file name"),
        ("a\0b", "not a file name"),
        ("gopher://host/x", "addresses start with"),
    ],
)
def test_unusable_specification_is_explained(spec, message):
    with pytest.raises(SourceError, match=message):
        open_source(spec)


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


class ScriptedCapture:
    """Plays a list: a picture, None for a failed read, an exception to raise, an Event to wait for."""

    def __init__(self, script, fps=0.0, count=0.0, positions=None):
        self.script = list(script)
        self.fps = fps
        self.count = count
        self.positions = positions
        self.reads = 0
        self.released = threading.Event()
        self.drained = threading.Event()

    def read(self):
        self.reads += 1
        if not self.script:
            self.drained.set()
            return False, None
        step = self.script.pop(0)
        if isinstance(step, threading.Event):
            step.wait(20)
            return False, None
        if isinstance(step, Exception):
            raise step
        return step is not None, step

    def get(self, prop, /):
        if prop == cv2.CAP_PROP_POS_MSEC and self.positions is not None:
            return self.positions[min(self.reads, len(self.positions)) - 1]
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: self.count}.get(prop, 0.0)

    def release(self):
        self.released.set()


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


# Live sources


def test_live_source_drops_old_frames_and_counts_them():
    capture = ScriptedCapture([picture(seed=i) for i in range(6)])
    with LiveSource(capture, name="x", stall_s=5) as source:
        assert capture.drained.wait(5)
        frame = next(source.frames())
    assert frame.index == 5
    assert source.dropped == 5
    assert capture.released.wait(5)


def test_live_source_survives_a_hiccup():
    capture = ScriptedCapture([None, picture()])
    with LiveSource(capture, name="x", stall_s=5) as source:
        assert next(source.frames()).index == 0


def test_live_source_that_stops_delivering_is_a_stall():
    with LiveSource(ScriptedCapture([picture()]), name="porch", stall_s=0.15) as source:
        frames = source.frames()
        next(frames)
        with pytest.raises(SourceError, match=r"porch: no new picture for 0\.15 s"):
            next(frames)


def test_live_source_that_hangs_stalls_and_still_closes():
    hang = threading.Event()
    source = LiveSource(ScriptedCapture([hang]), name="x", stall_s=0.1)
    with pytest.raises(SourceError, match="no new picture"):
        next(source.frames())
    source.close()  # returns although the capture thread hangs in read()
    hang.set()


def test_live_source_hands_on_the_error_of_a_driver():
    with (
        LiveSource(ScriptedCapture([RuntimeError("bus fault")]), name="x") as source,
        pytest.raises(SourceError, match="bus fault"),
    ):
        list(source.frames())


def test_live_source_ends_when_asked_to_stop():
    stop = threading.Event()
    with LiveSource(ScriptedCapture([picture()]), name="x", stop=stop, stall_s=60) as source:
        frames = source.frames()
        next(frames)
        stop.set()
        assert list(frames) == []


def test_close_from_another_thread_ends_the_frames():
    source = LiveSource(ScriptedCapture([]), name="x", stall_s=60)
    closer = threading.Thread(target=source.close)
    closer.start()
    assert list(source.frames()) == []
    closer.join()


def test_opening_that_hangs_is_given_up_and_a_late_capture_is_released():
    go_on, capture = threading.Event(), ScriptedCapture([])

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
    late = ScriptedCapture([])

    def slow():
        hang.wait(20)
        return late

    capture = open_in_time(slow, name="x", stop=stop)
    assert list(LiveSource(capture, name="x", stop=stop).frames()) == []
    hang.set()
    assert late.released.wait(5)


def test_opening_that_raises_anything_becomes_a_sentence():
    def broken():
        raise RuntimeError("firmware")

    with pytest.raises(SourceError, match="cannot be opened: firmware"):
        open_in_time(broken, name="x")


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


def test_picamera2_gives_bgr_frames_and_is_given_back(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=FakePiCamera))
    with open_source("picamera2:0") as source:
        assert next(source.frames()).image.shape == (480, 640, 3)
    with pytest.raises(SourceError, match=r"finds 1 camera"):
        open_source("picamera2:1")
    camera = FakePiCamera()
    PiCapture(camera).release()
    assert camera.calls == [{"size": (640, 480), "format": "RGB888"}, "start", "stop", "close"]


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
