"""How `fer-edge run` ends: signals at any moment, readers and brokers that are gone or asleep, full disks, clocks that jump."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path

import cv2
import psutil
import pytest
from command_line import FER_EDGE, fer_edge, line_with
from disks import limit_files
from kills import figures, run_all
from mqtt_broker import Mosquitto
from places import ROOT, SAMPLES, hear_interrupts
from waiting import wait_until

from fer_edge_runtime.sinks.media import SPARE_BYTES

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
# Two are promised; tests share their machine.
STOP_S = 3.0
ENDLESS = ["--source", "test-pattern", "--device", "cpu"]


@pytest.fixture
def start():
    """Start the command; whatever is left at the end is killed."""
    with contextlib.ExitStack() as stack:

        def go(*arguments, **options):
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            streams = {**streams, "preexec_fn": hear_interrupts, **options}
            process = subprocess.Popen([FER_EDGE, "run", *map(str, arguments)], text=True, **streams)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield go


def running(folder):
    """Wait until a run writes ``out.jsonl`` in a folder."""
    part = folder / "out.jsonl.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 0)


def stop(process, number=signal.SIGTERM):
    """Seconds from the signal to the end, which must be a good one."""
    begin_s = time.monotonic()
    process.send_signal(number)
    words = process.communicate(timeout=30)[1]
    seconds = time.monotonic() - begin_s
    assert process.returncode == 0, words
    return seconds


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_signals_at_random_moments_leave_nothing_half_done():
    outcomes = run_all(9, seed=int.from_bytes(os.urandom(3)))
    problems = [(outcome.case, outcome.problems) for outcome in outcomes if outcome.problems]
    assert not problems, problems
    assert {name: row["kills"] for name, row in figures(outcomes).items()} == {"SIGTERM": 3, "SIGINT": 3, "SIGKILL": 3}


def test_signal_that_comes_twice_at_once_is_one_wish(start, tmp_path):
    process = start(*ENDLESS, "--json", tmp_path / "out.jsonl", "--save", tmp_path / "out.mp4")
    running(tmp_path)
    process.send_signal(signal.SIGTERM)
    stop(process, signal.SIGINT)
    assert records(tmp_path / "out.jsonl")
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[0]


WAITS = (
    "import signal, threading, time; from fer_edge.stopping import Stopper; stop = threading.Event(); Stopper(stop);"
    "print('ready', flush=True); stop.wait(); print('stopping', flush=True); time.sleep(60)"
)


def test_second_signal_a_second_later_ends_at_once():
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_terminal_that_closes_ends_the_run_well(start, tmp_path):
    process = start(*ENDLESS, "--json", tmp_path / "out.jsonl")
    running(tmp_path)
    stop(process, signal.SIGHUP)
    assert records(tmp_path / "out.jsonl")


def test_nohup_is_respected(start, tmp_path):
    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with subprocess.Popen(
        [FER_EDGE, "run", *ENDLESS, "--json", tmp_path / "out.jsonl", "--max-frames", "40", "-q"], preexec_fn=nohup
    ) as process:
        running(tmp_path)
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0
    assert len(records(tmp_path / "out.jsonl")) == 40


def test_reader_that_sleeps_does_not_hold_up_the_end(start, tmp_path):
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    process = start(*ENDLESS, "--json", "--csv", tmp_path / "out.csv", "--save", tmp_path / "out.mp4", stdout=writer)
    os.close(writer)
    # One page, so it takes one line, and the run waits with the next one.
    wait_until(lambda: select.select([reader], [], [], 0.1)[0])
    assert stop(process) < STOP_S
    content = os.read(reader, 65536)
    os.close(reader)
    assert content.endswith(b"\n")
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.mp4"]


def test_pipe_without_a_reader_is_waited_for_and_can_be_given_up(start, tmp_path):
    fifo = tmp_path / "faces"
    os.mkfifo(fifo)
    process = start(*ENDLESS, "--json", fifo)
    line_with(process, "XNNPACK")
    assert stop(process) < STOP_S
    process = start("--source", "demo", "--max-frames", "5", "--json", fifo)
    with fifo.open() as lines:
        assert len([json.loads(line) for line in lines]) == 5
    assert process.wait(30) == 0


def test_reader_of_the_words_that_goes_does_not_end_the_run(start, tmp_path):
    process = start("--source", "demo", "--json", tmp_path / "out.jsonl")
    process.stderr.close()
    process.stderr = None
    assert process.wait(60) == 0
    assert len(records(tmp_path / "out.jsonl")) == 90


@pytest.mark.parametrize(
    ("closed", "target", "code"),
    [("2>&-", "-", 0), ("<&- 2>&-", "out.jsonl", 0), (">&-", "out.jsonl", 0), (">&-", "-", 8)],
)
def test_closed_streams_are_no_place_for_somebody_elses_words(tmp_path, closed, target, code):
    done = subprocess.run(
        ["sh", "-c", f'"$0" run --source demo --max-frames 5 --json {target} {closed}', FER_EDGE],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if code == 0:
        content = done.stdout if target == "-" else (tmp_path / target).read_text()
        assert len([json.loads(line) for line in content.splitlines()]) == 5


def test_viewer_who_never_reads_does_not_hold_up_the_end(start):
    process = start(*ENDLESS, "--serve", "127.0.0.1:0")
    port = int(line_with(process, "Live page: ").split()[2].rstrip("/").rpartition(":")[2])
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.connect(("127.0.0.1", port))
        viewer.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert viewer.recv(12) == b"HTTP/1.1 200"
        assert stop(process) < STOP_S


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_broker_that_is_gone_or_hangs_does_not_hold_up_the_end(start, tmp_path, fate):
    with Mosquitto(tmp_path, "allow_anonymous true") as broker:
        process = start(*ENDLESS, "--json", tmp_path / "out.jsonl", "--mqtt", broker.url, "--mqtt-every-frame")
        running(tmp_path)
        broker.process.send_signal(fate)
        if fate is signal.SIGKILL:
            line_with(process, "was lost")
        seconds = stop(process)
    assert seconds < STOP_S
    assert records(tmp_path / "out.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_trial_of_a_gpu_ends_with_the_run(start, software_vulkan, number):
    process = start("--source", "demo", "--device", "gpu")
    worker = []

    def tries():
        worker.extend(psutil.Process(process.pid).children())
        return worker

    wait_until(tries)
    if number is signal.SIGTERM:
        assert stop(process) < STOP_S
    else:
        process.kill()
        process.wait(10)
    assert not psutil.wait_procs(worker, timeout=10)[1]


limited = partial(limit_files, 4096)


@pytest.mark.parametrize("output", ["--json=out.jsonl", "--csv=out.csv", "--save=out.mp4", "--save=out.avi"])
def test_disk_that_fills_up_is_one_sentence_and_leaves_whole_lines(tmp_path, output):
    name = output.partition("=")[2]
    done = fer_edge("run", "--device", "cpu", "-q", "--source", "demo", output, cwd=tmp_path, preexec_fn=limited)
    assert done.returncode == 8
    assert len(done.stderr.splitlines()) == 1
    left = {path.name: path for path in tmp_path.iterdir()}
    if output.startswith("--save"):
        assert left == {}
        assert "so it was removed" in done.stderr
    else:
        assert list(left) == [f"{name}.part"]
        assert f"is in {name}.part" in done.stderr
        content = left[f"{name}.part"].read_bytes()
        assert 3000 < len(content) <= 4096
        assert content.endswith(b"\n")


def test_live_run_goes_on_without_the_output_whose_disk_is_full(start, tmp_path):
    process = start(*ENDLESS, "--json", "out.jsonl", "--serve", "127.0.0.1:0", cwd=tmp_path, preexec_fn=limited)
    url = line_with(process, "Live page: ").split()[2]

    def metric(name):
        with urllib.request.urlopen(f"{url}metrics", timeout=10) as answer:  # noqa: S310
            lines = [line.split() for line in answer.read().decode().splitlines()]
        return next(float(line[1]) for line in lines if line[0] == name)

    said = line_with(process, "out.jsonl")
    assert "is in out.jsonl.part. The run goes on without it; it will end with exit code 8." in said
    assert metric("fer_edge_output_failures_total") == 1
    frames = metric("fer_edge_frames_total")
    wait_until(lambda: metric("fer_edge_frames_total") > frames + 5)
    for stage in ("read", "detect", "draw", "write"):
        assert metric(f'fer_edge_stage_seconds_count{{stage="{stage}"}}') > 5
    process.send_signal(signal.SIGTERM)
    words = process.communicate(timeout=30)[1]
    assert process.returncode == 8
    assert "Outputs failed 1 time; the run went on without them." in words
    assert "Written: out.jsonl" not in words
    assert words.splitlines()[-1].startswith("fer-edge: out.jsonl: cannot be written")
    assert records(tmp_path / "out.jsonl.part")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.part"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_video_of_a_camera_whose_disk_fills_up_is_kept_and_playable(start, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    size = SPARE_BYTES + 2**18
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        process = start(*ENDLESS, "--json", "-", "--save", "out.mp4", cwd=disk)
        assert "is in out.part.mp4. The run goes on without it" in line_with(process, "the disk is full")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 8
        assert [path.name for path in disk.iterdir()] == ["out.part.mp4"]
        assert cv2.VideoCapture(str(disk / "out.part.mp4")).read()[0]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_live_run_ends_when_its_last_output_fails(start, tmp_path):
    process = start(*ENDLESS, "-q", "--json", "out.jsonl", cwd=tmp_path, preexec_fn=limited)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 8
    assert len(words.splitlines()) == 1
    assert records(tmp_path / "out.jsonl.part")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_is_called_so_for_every_output(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        (disk / "fill").write_bytes(bytes(60 * 1024))
        for options in (
            ["--json=out.jsonl"],
            ["--csv=out.csv"],
            ["--save=out.mp4"],
            ["--save=out.png"],
            ["--save=out/"],
        ):
            picture = options[0].endswith(("png", "/"))
            source = SAMPLES / "astronaut.jpg" if picture else "demo"
            others = [] if "json" in options[0] else ["--json=/dev/null"]
            done = fer_edge("run", "--device", "cpu", "-q", "--source", source, *options, *others, cwd=disk)
            assert done.returncode == 8, options
            assert "the disk is full" in done.stderr
            assert len(done.stderr.splitlines()) == 1
            for path in disk.glob("out*"):
                assert path.is_dir() or path.suffix == ".part"
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_output_that_fails_does_not_take_the_others_along(tmp_path):
    outputs = ("--json=/dev/full", "--save=out.mp4", "--csv=out.csv")
    done = fer_edge("run", "--device", "cpu", "--source", "demo", *outputs, cwd=tmp_path)
    assert done.returncode == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.mp4"]
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[0]


def test_nothing_that_is_measured_follows_the_wall_clock():
    # Prometheus wants to know when a process started, in the world's time.
    allowed = {"metrics.py"}
    wall = ("time.time()", "datetime.now", "utcnow", "time.localtime", "time.ctime")
    files = [
        *(ROOT / "runtime").rglob("*.py"),
        ROOT / "fer_edge" / "pulse.py",
        ROOT / "fer_edge" / "commands" / "run.py",
    ]
    assert not [path for path in files if path.name not in allowed and any(word in path.read_text() for word in wall)]


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt-get install faketime)")
def test_clock_that_jumps_back_and_forth_changes_nothing(start, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        **os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    out = tmp_path / "out.jsonl"
    process = start(*ENDLESS, "--json", out, "--save", tmp_path / "out.mp4", "--serve", "127.0.0.1:0", env=environment)
    part = out.with_name("out.jsonl.part")
    running(tmp_path)
    for jump in ("-1d", "+30d", "+0"):
        clock.write_text(jump)
        size = part.stat().st_size
        wait_until(lambda size=size: part.stat().st_size > size + 1000)
    begin_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    words = process.communicate(timeout=30)[1]
    assert time.monotonic() - begin_s < STOP_S
    assert process.returncode == 0, words
    times = [record["time_s"] for record in records(out)]
    assert times == sorted(times)
    assert times[-1] < 60
    assert "-" not in words.split("frames in ")[1].split(" s")[0]


SWALLOWING_IMPORT = """
import os, signal, threading
from fer_edge.stopping import Stopped, Stopper

try:
    with Stopper(threading.Event()).loading():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException as error:  # as pybind11 does where the initialisation of a module is interrupted
            raise ImportError("initialization failed") from error
except Stopped:
    print("stopped")
"""


def test_signal_in_the_middle_of_a_native_import_is_no_missing_package() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWING_IMPORT], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("stopped\n", "")
