"""`fer-edge run --mqtt` as it starts: a broker that is away, that comes late, or that refuses; passwords are never said."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import pytest
from command_line import line_with, one_sentence
from mqtt_broker import WAIT_S, Watcher
from mqtt_run import FRAME, LABELS, SECRET, SECRET_IN_URL, result_of, run, running

from fer_edge_runtime.sinks.broker import MqttOptions
from fer_edge_runtime.sinks.mqtt import MqttSink


@pytest.mark.slow
def test_broker_that_is_away_is_exit_code_4_after_the_time_out(tmp_path):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"mqtt://me:{SECRET_IN_URL}@127.0.0.1:{closed.getsockname()[1]}"
        done = run("--source", "demo", "--mqtt", url, "--json", tmp_path / "out.jsonl")
    assert done.returncode == 4, done.stderr
    assert "cannot be reached within 10 s: Connection refused" in one_sentence(done.stderr)
    assert "hun" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_broker_that_comes_late_is_waited_for(open_broker):
    open_broker.kill()
    sinks = []

    def connect():
        sinks.append(MqttSink(MqttOptions(open_broker.url, name="late"), labels=LABELS, connect_s=WAIT_S))

    waiting = threading.Thread(target=connect)
    waiting.start()
    open_broker.start()
    waiting.join(WAIT_S)
    with Watcher(open_broker) as watcher:
        watcher.wait("late/status", "online")
        sinks[0].close()
        watcher.wait("late/status", "offline")


def test_run_that_waits_for_its_source_also_waits_for_its_broker(open_broker, tmp_path):
    """As after a power cut, when device and broker start together."""
    open_broker.kill()
    url = open_broker.url.replace("://", f"://camera:{SECRET_IN_URL}@")
    with running("--source", "/dev/no-such-camera", "--wait-for-source", "-q", "--mqtt", f"{url}/hall") as process:
        away = line_with(process, "MQTT: ")
        assert "cannot be reached yet: Connection refused; trying again" in away
        assert "hun" not in away
        assert process.poll() is None
        open_broker.start()
        with Watcher(open_broker) as watcher:
            watcher.wait("hall/status", "online")
            assert "is there after" in line_with(process, "MQTT: ")
            process.send_signal(signal.SIGTERM)
            watcher.wait("hall/status", "offline")
        assert process.wait(WAIT_S) == 0
        assert process.stderr.read().count("MQTT") == 0


def test_service_of_any_source_waits_for_its_broker_and_delivers_what_it_kept(open_broker, tmp_path):
    open_broker.kill()
    out = tmp_path / "out.jsonl"
    url = f"{open_broker.url}/hall"
    arguments = ["--source", "test-pattern", "-q", "--json", out, "--mqtt", url, "--mqtt-every-frame"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_S)
        with running(*arguments, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            assert "cannot be reached yet" in line_with(process, "MQTT: ")
            assert b"READY=1" in manager.recv(4096)  # frames come although the broker does not
            open_broker.start()
            with Watcher(open_broker) as watcher:
                watcher.wait("hall/faces", times=3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0


def test_patient_run_does_not_wait_for_a_refused_password(guarded_broker):
    begin_s = time.monotonic()
    url = guarded_broker.url.replace("://", "://camera:wrong-hun@")
    done = run("--source", "/dev/no-such-camera", "--wait-for-source", "--mqtt", url)
    assert done.returncode == 4, done.stderr
    assert "refuses the connection: not authorized. Check the user" in one_sentence(done.stderr)
    assert time.monotonic() - begin_s < 9


def test_broker_that_comes_late_and_refuses_is_said_once(guarded_broker):
    said, refused = [], threading.Event()

    def say(sentence):
        said.append(sentence)
        if "refuses" in sentence:
            refused.set()

    guarded_broker.kill()
    options = MqttOptions(guarded_broker.url.replace("://", "://camera:wrong@"), patient=True)
    with MqttSink(options, labels=LABELS, say=say) as sink:
        guarded_broker.start()
        assert refused.wait(WAIT_S)
        sink.write(FRAME, result_of("happy"))
    assert ["cannot be reached yet" in said[0], "not authorized" in said[1]] == [True, True]
    assert len(said) == 2


def test_stop_ends_the_waiting_for_a_broker():
    stop = threading.Event()
    stop.set()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        options = MqttOptions(f"mqtt://127.0.0.1:{closed.getsockname()[1]}")
        begin_s = time.monotonic()
        MqttSink(options, labels=LABELS, stop=stop).close()
    assert time.monotonic() - begin_s < 5


@pytest.mark.parametrize("user", ["", "camera:wrong-hun@", "nobody:hun@"])
def test_wrong_password_is_exit_code_4_at_once(guarded_broker, user):
    begin_s = time.monotonic()
    done = run("--source", "demo", "--mqtt", guarded_broker.url.replace("://", f"://{user}"))
    assert done.returncode == 4, done.stderr
    assert "refuses the connection: not authorized. Check the user" in one_sentence(done.stderr)
    assert "hun" not in done.stderr
    assert time.monotonic() - begin_s < 9


@pytest.mark.parametrize("where", ["address", "environment"])
def test_password_opens_the_door_and_is_never_printed(guarded_broker, where):
    user = f"camera:{SECRET_IN_URL}@" if where == "address" else "camera@"
    variables = {"FER_EDGE_MQTT_PASSWORD": SECRET} if where == "environment" else {}
    url = f"{guarded_broker.url.replace('://', f'://{user}')}/hall"
    with Watcher(guarded_broker, user="camera", password=SECRET) as watcher:
        done = run("--source", "demo", "--json", "-", "--mqtt", url, FER_EDGE_DEBUG="1", **variables)
        watcher.wait("hall/status", "offline")
    assert done.returncode == 0, done.stderr
    everything = done.stdout + done.stderr + json.dumps(watcher.messages)
    for secret in (SECRET, SECRET_IN_URL, "camera"):
        assert secret not in everything


def test_refusal_after_an_outage_is_said_once(guarded_broker, tmp_path):
    said = []
    twice = threading.Event()
    options = MqttOptions(guarded_broker.url.replace("://", f"://camera:{SECRET_IN_URL}@"))

    def say(sentence):
        said.append(sentence)
        if len(said) == 2:
            twice.set()

    with MqttSink(options, labels=LABELS, say=say) as sink:
        guarded_broker.kill()
        (tmp_path / "passwords").write_text("")
        guarded_broker.start()
        assert twice.wait(WAIT_S)
        sink.write(FRAME, result_of("happy"))
    assert "was lost" in said[0]
    assert "refuses the connection: not authorized" in said[1]
    assert len(said) == 2
