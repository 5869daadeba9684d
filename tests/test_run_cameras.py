"""`fer-edge run` on cameras that are unplugged, hang, freeze, change and come back: real streams, real processes."""

import itertools
import signal
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from streams import Camera, Run


@pytest.fixture
def camera(astronaut):
    with Camera(astronaut) as plugged_in:
        yield plugged_in


def test_unplugged_camera_comes_back_as_another_one_and_nothing_is_lost(camera, tmp_path):
    video = tmp_path / "out.mp4"
    with Run("--source", camera.url, "--stall-after", 1, "--save", video) as run:
        run.sees(5)
        camera.unplug()
        run.hears("Trying again in")
        before = len(run.records)
        run.hears("cannot be opened")
        assert len(run.records) == before, "no picture, no record"
        camera.size = (240, 320)
        camera.plug_in()
        run.hears("pictures again after")
        run.sees(5)
        camera.unplug()
        run.hears("Trying again in", times=2)
        code, took_s = run.ends(signal.SIGTERM)
    assert code == 0, run.said
    assert took_s < 2, "also while it waits for the camera"
    frames, times = ([record[key] for record in run.records] for key in ("frame", "time_s"))
    assert all(a < b for a, b in itertools.pairwise(frames))
    assert all(a < b for a, b in itertools.pairwise(times))
    tracks = [{face["track"] for face in record["faces"]} for record in run.records]
    assert set.union(*tracks[:before]) == {1}
    assert set.union(*tracks[before:]) == {2}, "the face after the gap need not be the one before it"
    said = "\n".join(run.said)
    assert "hunter2" not in said
    assert said.count("pictures again") == 1
    assert "its pictures are 240×320 now, no longer 320×320." in said
    assert "1 reconnect" in said
    capture = cv2.VideoCapture(str(video))
    sizes = {image.shape[:2] for ok, image in iter(capture.read, (False, None)) if ok}
    assert sizes == {(320, 320)}


def test_camera_that_hangs_is_reopened_and_ends_on_a_signal_while_it_hangs(camera):
    with Run("--source", camera.url, "--stall-after", 1.5) as run:
        run.sees(3)
        camera.mode = "hang"
        run.hears("no new picture for 1.5 s")
        camera.mode = "run"
        run.hears("pictures again after")
        camera.mode = "hang"
        code, took_s = run.ends(signal.SIGTERM)
    assert (code, took_s < 2) == (0, True), (took_s, run.said)
    assert "1 stall, 1 reconnect" in "\n".join(run.said)


def test_frozen_picture_is_said_and_not_looked_at(camera):
    with Run("--source", camera.url, "--frozen-after", 1) as run:
        run.sees(3)
        camera.mode = "freeze"
        run.hears("not one bit of the picture has changed")
        known = len(run.records)
        camera.mode = "run"
        run.hears("the picture changes again")
        assert len(run.records) <= known + 2
        run.sees(3)
        code, _ = run.ends(signal.SIGTERM)
    assert code == 0
    assert "1 frozen picture" in "\n".join(run.said)


def test_camera_is_waited_for_when_asked_and_its_service_ends_at_once(camera):
    camera.unplug()
    with Run("--source", camera.url, "--wait-for-source") as run:
        run.hears("cannot be opened")
        camera.plug_in()
        run.hears("it is there, after")
        run.sees(3)
        code, took_s = run.ends(signal.SIGTERM)
    assert (code, took_s < 2) == (0, True), run.said
    assert run.records[0]["time_s"] == 0.0


@pytest.mark.parametrize("arguments", [[], ["--wait-for-source"]])
def test_signal_ends_a_run_whose_camera_never_answers(camera, arguments):
    camera.mode = "mute"
    with Run("--source", camera.url, *arguments) as run:
        camera.wait_for_guest()
        code, took_s = run.ends(signal.SIGTERM)
    assert (code, took_s < 2) == (0, True), (took_s, run.said)


@pytest.mark.parametrize(
    ("arguments", "mode", "words"),
    [
        (["--max-frames", 10**6, "--stall-after", 1], "unplug", "it gives no more pictures"),
        (["--no-reconnect", "--stall-after", 1], "hang", "no new picture for 1 s"),
        (["--no-reconnect", "--stall-after", 1], "garbage", "no new picture|no more pictures"),
    ],
)
def test_run_that_shall_end_ends_with_an_error_when_the_camera_fails(camera, arguments, mode, words):
    with Run("--source", camera.url, *arguments) as run:
        run.sees(3)
        if mode == "unplug":
            camera.unplug()
        camera.mode = mode
        code, _ = run.ends()
    assert code == 4, run.said
    errors = [line for line in run.said if line.startswith("fer-edge: ")]
    assert len(errors) == 1
    assert any(word in errors[0] for word in words.split("|"))
    assert not any("Trying again" in line for line in run.said)


@pytest.fixture
def rtsp_camera():
    """Starts and kills a real RTSP server, always at the same address."""
    pytest.importorskip("rtsp", reason="rtsp-rs, an RTSP server, is not installed here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = []

    def start():
        command = [sys.executable, str(Path(__file__).with_name("rtsp_camera.py")), str(port)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        assert int(running[-1].stdout.readline()) == 30
        return f"rtsp://127.0.0.1:{port}/stream", running[-1].kill

    yield start
    for server in running:
        server.kill()
        server.communicate()


@pytest.mark.slow
def test_rtsp_server_that_is_killed_and_started_again_is_found_again(rtsp_camera):
    url, kill = rtsp_camera()
    with Run("--source", url, "--stall-after", 2) as run:
        run.sees(5)
        kill()
        run.hears("Trying again in")
        rtsp_camera()
        run.hears("pictures again after")
        run.sees(5)
        code, took_s = run.ends(signal.SIGTERM)
    assert (code, took_s < 2) == (0, True), run.said
    frames = [record["frame"] for record in run.records]
    assert all(a < b for a, b in itertools.pairwise(frames))
    tracks = {face["track"] for record in run.records for face in record["faces"]}
    assert {1, 2} <= tracks
    assert "1 reconnect" in "\n".join(run.said)
