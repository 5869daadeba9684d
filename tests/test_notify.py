"""What a service manager hears: a real datagram socket, and the real command."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from command_line import FER_EDGE

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.notify import STATUS_EVERY_S, Notifier


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def hear(self, timeout_s=30.0):
        """The next message as a dict; None when none comes in time."""
        self._socket.settimeout(timeout_s)
        try:
            message = self._socket.recv(4096).decode()
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in message.splitlines())

    def hear_until(self, key):
        """All messages up to one that holds the key."""
        heard = [self.hear()]
        while heard[-1] is not None and key not in heard[-1]:
            heard.append(self.hear())
        return heard

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(request, tmp_path):
    address = getattr(request, "param", str(tmp_path / "notify"))
    manager = Manager(address)
    yield manager
    manager.close()


@pytest.fixture
def start(manager):
    """Start the command under this manager; whatever is left at the end is killed."""
    running = []

    def go(*arguments, watchdog_s=0.5, **options):
        environment = {**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(round(watchdog_s * 1e6))}
        process = subprocess.Popen(
            [FER_EDGE, "run", *map(str, arguments)], env=environment, stderr=subprocess.PIPE, text=True, **options
        )
        running.append(process)
        return process

    yield go
    for process in running:
        process.kill()
        process.communicate()


def notifier(address, clock, watchdog_s=None):
    return Notifier(address, watchdog_s=watchdog_s, clock=lambda: clock[0])


@pytest.mark.parametrize("manager", [f"@fer-edge-test-{os.getpid()}"], indirect=True, ids=["abstract"])
def test_abstract_socket_is_reached(manager):
    told = notifier(manager.address, [0.0])
    told.beat(lambda: "a")
    assert manager.hear() == {"STATUS": "a", "READY": "1"}
    told.close()


def test_first_beat_says_ready_and_later_ones_come_twice_per_watchdog_period(manager):
    now = [100.0]
    told = notifier(manager.address, now, watchdog_s=4.0)
    told.beat(lambda: "12.0 frames/s,\n1 face")
    assert manager.hear() == {"STATUS": "12.0 frames/s, 1 face", "READY": "1", "WATCHDOG": "1"}
    now[0] += 1.9
    told.beat(lambda: pytest.fail("nothing is due"))
    now[0] += 0.1
    told.beat(lambda: "2 faces")
    assert manager.hear(5) == {"STATUS": "2 faces", "WATCHDOG": "1"}
    told.stopping()
    assert manager.hear(5)["STOPPING"] == "1"
    told.close()


def test_without_a_watchdog_only_the_status_is_renewed(manager):
    now = [0.0]
    told = notifier(manager.address, now)
    told.beat(lambda: "a")
    assert manager.hear() == {"STATUS": "a", "READY": "1"}
    now[0] += STATUS_EVERY_S
    told.beat(lambda: "b")
    assert manager.hear() == {"STATUS": "b"}
    told.close()


def test_manager_that_does_not_listen_yet_hears_ready_later(tmp_path):
    now = [0.0]
    told = notifier(str(tmp_path / "late"), now)
    told.beat(lambda: "a")
    manager = Manager(str(tmp_path / "late"))
    told.beat(lambda: "b")
    assert manager.hear() == {"STATUS": "b", "READY": "1"}
    told.close()
    manager.close()


def test_manager_that_never_reads_does_not_stop_the_loop(manager):
    now = [0.0]
    told = notifier(manager.address, now, watchdog_s=1.0)
    begin_s = time.monotonic()
    for _ in range(2000):  # far more than a socket's queue holds
        now[0] += 1.0
        told.beat(lambda: "a")
    assert time.monotonic() - begin_s < 5
    told.close()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_environment_says_whether_somebody_watches(environment, watchdog_s):
    told = Notifier.from_environment({"NOTIFY_SOCKET": "@nobody", **environment})
    assert told.watchdog_s == watchdog_s
    told.close()


@pytest.mark.parametrize(
    "environment",
    [{"NOTIFY_SOCKET": "vsock:2:1234"}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "x"}],
)
def test_environment_that_cannot_be_used_is_refused(environment):
    with pytest.raises(ConfigError):
        Notifier.from_environment(environment)


def test_without_a_manager_there_is_no_notifier():
    assert Notifier.from_environment({}) is None
    assert Notifier.from_environment({"WATCHDOG_USEC": "1000"}) is None


def test_run_says_ready_after_its_first_frame_then_lives_then_stops(manager, start, tmp_path):
    out = tmp_path / "faces.jsonl"
    process = start("--source", "test-pattern", "--json", out)
    first = manager.hear()
    assert first["READY"] == "1"
    record = json.loads(out.with_name("faces.jsonl.part").read_text().splitlines()[0])
    assert record["frame"] == 0
    for _ in range(3):
        beat = manager.hear(10)
        assert beat["WATCHDOG"] == "1"
        assert "READY" not in beat
    assert "frames/s, 0 faces in frame" in beat["STATUS"]
    process.send_signal(signal.SIGTERM)
    heard = manager.hear_until("STOPPING")
    assert heard[-1]["STOPPING"] == "1"
    assert process.wait(30) == 0


def test_status_holds_no_label(manager, start):
    start("--source", "demo", "--json", os.devnull)
    heard = manager.hear_until("STOPPING")
    assert heard[0]["READY"] == "1"
    assert "1 face in frame 0" in heard[0]["STATUS"]
    assert not [message for message in heard if "happy" in message["STATUS"]]


def test_source_that_is_not_there_is_never_ready(manager, start):
    process = start("--source", "no-such-file.mp4")
    assert process.wait(30) == 4
    assert manager.hear(0.1) is None


def test_camera_that_is_waited_for_is_ready_and_lives(manager, start):
    process = start("--camera", "/dev/no-such-camera", "--wait-for-source", "--device", "cpu")
    first = manager.hear()
    assert first["READY"] == "1"
    assert manager.hear(5)["WATCHDOG"] == "1"
    assert "no such camera" in manager.hear(5)["STATUS"]
    process.send_signal(signal.SIGTERM)
    assert manager.hear_until("STOPPING")[-1] is not None
    assert process.wait(30) == 0


def test_hung_output_does_not_ping_and_the_watchdogs_signal_leaves_a_trace(manager, start, tmp_path):
    fifo = tmp_path / "faces"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # open, but never read
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    process = start("--source", "test-pattern:64x48@0", "--json", fifo)
    assert manager.hear()["READY"] == "1"
    deadline_s = time.monotonic() + 60
    while manager.hear(1.5) is not None:
        assert time.monotonic() < deadline_s, "it pings although its output hangs"
    assert process.poll() is None
    process.send_signal(signal.SIGABRT)  # what systemd sends when a watchdog runs out
    words = process.communicate(timeout=30)[1]
    os.close(reader)
    assert process.returncode == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in words
    assert "sinks/pipes.py" in words
