"""Worker processes: real ones, killed and refused."""

import os
import re
import signal
import sys

import psutil
import pytest

from fer_edge.benchmark.case import Case, make_cases
from fer_edge.benchmark.latency import WORKER
from fer_edge.worker.process import Worker, WorkerError

DEFAULT = Case("default", "litert", "cpu", 1)


def opened(worker, case):
    return worker.ask("open", case=case.as_json(), clip="demo")


@pytest.fixture
def worker():
    worker = Worker(WORKER)
    yield worker
    worker.close()


def test_worker_opens_measures_and_ends(worker):
    facts = opened(worker, DEFAULT)
    assert (facts["engine"], facts["device"], facts["threads"]) == ("litert", "cpu", 1)
    assert facts["operators"]["total"] > 0
    assert len(worker.ask("faces", faces=4, calls=3)["ms"]) == 3
    (frame,) = worker.ask("clip", frames=1)["frames"]
    assert {"decode", "detect", "track", "align", "classify", "smooth", "draw", "total"} <= set(frame)
    assert worker.ask("memory")["peak_mib"] > 10


def test_clip_starts_anew_where_it_ends(worker):
    opened(worker, DEFAULT)
    frames = worker.ask("clip", frames=95)["frames"]  # the clip has 90
    assert len(frames) == 95
    assert all(frame["faces"] == 1 for frame in frames[:3])


def test_killed_worker_says_by_what(worker):
    opened(worker, DEFAULT)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="ended by SIGKILL"):
        worker.ask("faces", faces=1, calls=1)


def test_crash_in_python_shows_its_last_line(worker):
    with pytest.raises(WorkerError, match="exit code 1: AttributeError"):
        worker.ask("clip", frames=1)  # nothing was opened


def test_refusal_keeps_its_exit_code_and_the_worker_lives_on(worker):
    with pytest.raises(WorkerError, match="There is no bundle") as caught:
        opened(worker, Case("nothing", "litert", "cpu", 1))
    assert caught.value.exit_code == 5
    assert opened(worker, DEFAULT)["engine"] == "litert"


def test_interrupt_of_the_terminal_does_not_end_a_worker(worker):
    opened(worker, DEFAULT)
    os.kill(worker.pid, signal.SIGINT)
    assert worker.ask("memory")


def test_silent_worker_is_ended():
    worker = Worker(WORKER, answer_timeout_s=0.2)
    try:
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match="did not answer within 0.2 s"):
            opened(worker, DEFAULT)
    finally:
        worker.close()


def test_cases_are_every_combination_once():
    cases = make_cases(["default"], ["litert", "onnx", "litert"], ["cpu"], [1, 2])
    assert [(case.engine, case.threads) for case in cases] == [("litert", 1), ("litert", 2), ("onnx", 1), ("onnx", 2)]


def test_cases_without_an_engine_take_the_installed_ones():
    assert [case.engine for case in make_cases(["default"], [], ["cpu"], [1])] == ["litert", "onnx"]


def test_worker_that_talks_something_else_is_ended_and_so_is_what_it_started():
    script = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print('pid', p.pid, flush=True); sys.stdin.read()"
    worker = Worker([sys.executable, "-c", script])
    try:
        with pytest.raises(WorkerError, match=r"something else than JSON: b'pid \d+") as caught:
            worker.ask("open")
    finally:
        worker.close()
    (child,) = re.findall(r"pid (\d+)", str(caught.value))
    _, alive = psutil.wait_procs([psutil.Process(int(child))] if psutil.pid_exists(int(child)) else [], timeout=5)
    assert alive == []
