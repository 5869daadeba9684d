"""`fer-edge run --mqtt` against a real broker: what arrives, what an outage costs, what is never said."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from streams import Camera

from fer_edge_runtime.errors import ConfigError, DeviceError, OutputError
from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.broker import MqttOptions, parse_broker
from fer_edge_runtime.sinks.mqtt import STATE_EVERY_S, STATE_GAP_S, MqttSink, source_record, state_record
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sinks.publisher import QUEUE_SIZE
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.types import Face, Frame, FrameResult

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
OPENSSL = shutil.which("openssl")
LABELS = ("happy", "sad")
SECRET = "hun/ter@2"  # noqa: S105 of a broker that lives for one test
SECRET_IN_URL = "hun%2Fter%402"  # noqa: S105
WAIT_S = 30.0
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


@pytest.fixture
def failed_handshakes():
    """paho leaves the socket of a failed handshake to the garbage collector, whose warning would fail whichever test runs then."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("paho-mqtt", "mqtt end")):
            thread.join(WAIT_S)
    gc.collect()


class Mosquitto:
    """A broker on a loopback port of its own, which can be killed and started again."""

    def __init__(self, folder, *lines):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        # As root it would change to a user who cannot read the test's folder.
        self._config.write_text("\n".join(["user root", f"listener {self.port} 127.0.0.1", *lines]) + "\n")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [MOSQUITTO, "-v", "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            if line.rstrip().endswith("running"):
                break
        else:
            pytest.fail("mosquitto did not start")
        self._reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._reader.start()

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        self.process.stderr.close()


class Watcher:
    """Subscribes to everything and remembers it."""

    def __init__(self, broker, *, user=None, password=None, tls=None):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set(**tls)
        self._client.on_message = self._remember
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def _remember(self, _client, _data, message):
        with self._changed:
            self.messages.append((message.topic, message.payload.decode(), message.retain))
            self._changed.notify_all()

    def of(self, topic):
        return [payload for name, payload, _ in self.messages if name.endswith(topic)]

    def wait(self, topic, payload=None, *, times=1):
        """Until messages of a topic (its end) have come so often."""
        self.wait_for(topic, lambda found: payload in (None, found), times=times)

    def wait_for(self, topic, wanted, *, times=1):
        """Until messages of a topic for which a function is true have come so often."""

        def came():
            return sum(wanted(found) for found in self.of(topic)) >= times

        with self._changed:
            assert self._changed.wait_for(came, timeout=WAIT_S), f"{topic}: {self.messages[-5:]}"


@pytest.fixture
def open_broker(tmp_path):
    """Lets everybody in."""
    broker = Mosquitto(tmp_path, "allow_anonymous true")
    yield broker
    broker.kill()


@pytest.fixture
def guarded_broker(tmp_path):
    """Lets in one user with a password."""
    passwords = tmp_path / "passwords"
    passwords.write_text(f"camera:{SECRET}\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, timeout=WAIT_S)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca.pem, and server and client certificates that it signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True, timeout=WAIT_S)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2"
    )
    for name in ("server", "client"):
        (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.pem",
        )  # fmt: skip
    return folder


def tls_lines(folder):
    return [
        "allow_anonymous true", f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key",
    ]  # fmt: skip


def fer_edge(*arguments, **variables):
    """Run to the end; text output."""
    return subprocess.run(
        [FER_EDGE, "run", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip


def start(*arguments, **variables):
    environment = {**os.environ, **variables}
    return subprocess.Popen([FER_EDGE, "run", *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=environment)


@contextmanager
def running(*arguments, **variables):
    """A run that does not outlive the test."""
    process = start(*arguments, **variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stderr.close()


def line_with(process, text):
    """Read stderr up to a line that holds a text."""
    for line in process.stderr:
        if text in line:
            return line
    return pytest.fail(f"it ended without saying {text!r}")


def one_sentence(done):
    """An error as a person should see it: one line, no traceback."""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("fer-edge: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def result_of(*labels, index=0):
    faces = tuple(
        Face((1.0, 2.0, 30.0, 40.0), label, 0.75, {"happy": 0.75, "sad": 0.25}, {}, 0.9, track)
        for track, label in enumerate(labels, start=1)
    )
    return FrameResult("camera:0", index, index / 10, faces, fps=12.345)


FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0, "camera:0")


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", ("broker", 1883, False, None, None, "fer-edge/hall")),
        ("mqtts://broker", ("broker", 8883, True, None, None, "fer-edge/hall")),
        ("mqtt://broker:99/home/door/", ("broker", 99, False, None, None, "home/door")),
        (f"mqtt://me:{SECRET_IN_URL}@[::1]", ("::1", 1883, False, "me", SECRET, "fer-edge/hall")),
    ],
)
def test_address_says_host_port_tls_user_and_topics(url, expected):
    broker = parse_broker(MqttOptions(url, name="hall"))
    assert (broker.host, broker.port, broker.tls, broker.user, broker.password, broker.prefix) == expected


def test_name_is_the_machine_unless_given():
    assert parse_broker(MqttOptions("mqtt://broker")).prefix == f"fer-edge/{socket.gethostname()}"


def test_password_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", SECRET)
    assert parse_broker(MqttOptions("mqtt://me@broker")).password == SECRET
    assert parse_broker(MqttOptions("mqtt://me:other@broker")).password == "other"  # noqa: S105
    with pytest.raises(ConfigError, match="no user"):
        parse_broker(MqttOptions("mqtt://broker"))


@pytest.mark.parametrize(
    "url",
    [
        "me:hunter2@broker", "http://me:hunter2@broker", "mqtt://me:hunter2", "mqtt://me:hunter2/x@broker",
        "mqtt://me:2/hunter2@broker", "mqtt://me:hunter2#x@broker", "mqtt://me:hunter2?x@broker", "mqtt://me:hunter2@",
        "mqtt://me:hunter2@broker:99999", "mqtt://me:hunter2@broker:x", "mqtt://me:hunter2@a..b", "mqtt:me:hunter2@b",
        "mqtt://me:hunter2@broker/a/+", "mqtt://me:hunter2@broker/%23", "mqtt://me:hunter2@broker/$SYS", "",
        "mqtt://broker?token=hunter2", "mqtt://:hunter2@broker",
    ],
)  # fmt: skip
def test_wrong_address_is_refused_without_repeating_the_password(url):
    with pytest.raises(ConfigError) as caught:
        parse_broker(MqttOptions(url, name="hall"))
    assert "hunter2" not in str(caught.value)
    assert "mqtt" in str(caught.value).lower()


def test_nothing_shows_a_password_when_printed():
    options = MqttOptions(f"mqtt://me:{SECRET_IN_URL}@broker", name="hall")
    broker = parse_broker(options)
    for text in (repr(options), repr(broker), broker.address, broker.identity):
        assert "hun" not in text


def test_identity_differs_where_the_topics_do():
    urls = ["mqtt://b", "mqtt://b/hall", "mqtt://b/home/ä", "mqtt://b/home/ö", "mqtt://b/home_a", "mqtt://b/home a"]
    words = [parse_broker(MqttOptions(url, name="h")).identity for url in urls]
    assert words[0] == "fer-edge_h"
    assert len(set(words)) == len(urls)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", word) for word in words)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mqtt-name", "x"], "--mqtt mqtt://HOST"),
        (["--mqtt-every-frame"], "--mqtt mqtt://HOST"),
        (["--mqtt", "mqtt://b", "--mqtt-ca", "ca.pem"], "mqtts://"),
        (["--mqtt", "mqtts://b", "--mqtt-key", "a.key"], "--mqtt-cert"),
        (["--mqtt", "mqtt://b", "--mqtt-name", "a/b"], "--mqtt-name"),
        (["--mqtt", "mqtts://b", "--mqtt-ca", "missing.pem"], "missing.pem: No such file"),
    ],
)
def test_wrong_options_give_one_sentence_and_exit_code_2(arguments, said):
    done = fer_edge("--source", "demo", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in one_sentence(done)


def test_missing_client_library_names_the_extra():
    code = (
        "import sys; sys.modules['paho'] = None\n"
        "sys.argv = ['fer-edge', 'run', '--source', 'demo', '--mqtt', 'mqtt://127.0.0.1']\n"
        "from fer_edge.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr
    assert "paho-mqtt" in one_sentence(done)
    assert "fer-edge[service]" in one_sentence(done)


# What arrives


@needs_broker
def test_run_says_online_sends_its_state_and_says_offline(open_broker):
    with Watcher(open_broker) as watcher:
        done = fer_edge("--source", "demo", "--mqtt", open_broker.url, "--mqtt-name", "hall")
        watcher.wait("fer-edge/hall/status", "offline")
    assert done.returncode == 0, done.stderr
    assert watcher.of("hall/status") == ["online", "offline"]
    state = json.loads(watcher.of("hall/state")[0])
    assert (state["schema"], state["source"], state["label"], state["faces"]) == (1, "demo", "happy", 1)
    assert 0 < state["score"] <= 1
    assert watcher.of("hall/faces") == []
    assert f"Written: mqtt://127.0.0.1:{open_broker.port}, topics fer-edge/hall/… (2 messages)" in done.stderr
    assert [json.loads(payload)["state"] for payload in watcher.of("hall/source")] == ["running", "ended"]
    with Watcher(open_broker) as late:
        late.wait("hall/status")
        assert ("fer-edge/hall/status", "offline", True) in late.messages
        assert late.of("hall/state") == []


@needs_broker
def test_every_frame_is_the_json_lines_record(open_broker):
    with Watcher(open_broker) as watcher:
        done = fer_edge(
            "--source", "demo", "--json", "-", "--mqtt", f"{open_broker.url}/home/door", "--mqtt-every-frame", "--no-discovery"
        )  # fmt: skip
        watcher.wait("home/door/status", "offline")
    assert done.returncode == 0, done.stderr
    assert watcher.of("home/door/faces") == done.stdout.splitlines()
    assert {topic for topic, _, _ in watcher.messages} == {
        "home/door/status", "home/door/state", "home/door/faces", "home/door/source",
    }  # fmt: skip


@needs_broker
def test_home_assistant_finds_five_sensors(open_broker):
    jinja2 = pytest.importorskip("jinja2")
    done = fer_edge("--source", "demo", "--mqtt", open_broker.url, "--mqtt-name", "hall")
    assert done.returncode == 0, done.stderr
    with Watcher(open_broker) as late:  # only what was retained
        late.wait("/config", times=5)
    configs = {topic: json.loads(payload) for topic, payload, _ in late.messages if topic.endswith("/config")}
    assert len(configs) == 5
    source = next(config for config in configs.values() if config["name"] == "Source")
    assert source["json_attributes_topic"] == source["state_topic"] == "fer-edge/hall/source"
    assert "expire_after" not in source  # a camera that is well says nothing
    record = source_record(SourceHealth(SourceState.STALLED, reason="no new picture"))
    assert jinja2.Template(source["value_template"]).render(value_json=record) == "stalled"
    assert "stalled" in source["options"]
    for topic, config in configs.items():
        assert topic == f"homeassistant/sensor/{config['unique_id']}/config"
        assert re.fullmatch(r"[A-Za-z0-9_-]+", config["unique_id"])
        assert config["availability_topic"] == "fer-edge/hall/status"
        if config is not source:
            assert config["state_topic"] == "fer-edge/hall/state"
            assert config["expire_after"] > STATE_EVERY_S
        assert config["device"]["identifiers"] == ["fer-edge_hall"]
        assert config["device"]["name"] == "hall"
        assert config["origin"]["name"] == "fer-edge"
        # "options" goes with device class "enum" alone, and such a sensor has neither unit nor state class.
        assert ("options" in config) == (config.get("device_class") == "enum")
        assert not ("options" in config and {"unit_of_measurement", "state_class"} & set(config))
    shown = {}
    for record in (state_record(result_of("sad", "happy")), state_record(result_of())):
        for config in configs.values():
            if config is source:
                continue
            text = jinja2.Template(config["value_template"]).render(value_json=record)
            shown.setdefault(config["name"], []).append(text)
    assert shown == {
        "Apparent expression": ["sad", "None"], "Score": ["75.0", "None"], "Faces": ["2", "0"],
        "Frames per second": ["12.3", "12.3"],
    }  # fmt: skip
    expression = next(config for config in configs.values() if config["name"] == "Apparent expression")
    assert {"happy", "sad", "uncertain"} <= set(expression["options"])


@needs_broker
def test_state_follows_the_label_but_not_every_flicker(open_broker):
    now_s = [0.0]
    with Watcher(open_broker) as watcher:
        with MqttSink(
            MqttOptions(open_broker.url, name="hall"), labels=LABELS, clock=lambda: now_s[0], connect_s=WAIT_S
        ) as sink:
            for after_s, label in [
                (0, "happy"), (0.9 * STATE_GAP_S, "sad"), (0.2 * STATE_GAP_S, "sad"), (0.5 * STATE_EVERY_S, "sad"),
                (0.6 * STATE_EVERY_S, "sad"), (0.1 * STATE_GAP_S, "happy"),
            ]:  # fmt: skip
                now_s[0] += after_s
                sink.write(FRAME, result_of(label))
        watcher.wait("status", "offline")
    labels = [json.loads(payload)["label"] for payload in watcher.of("state")]
    assert labels == ["happy", "sad", "sad", "happy"]


@needs_broker
def test_number_that_json_lacks_is_an_output_error(open_broker):
    with (
        MqttSink(MqttOptions(open_broker.url), labels=LABELS) as sink,
        pytest.raises(OutputError, match="a number that JSON lacks"),
    ):
        sink.write(FRAME, result_of("happy")._replace(time_s=float("nan")))
    sink.close()  # twice does no harm


# Outages


@needs_broker
def test_broker_says_offline_when_the_process_is_killed(open_broker):
    with Watcher(open_broker) as watcher:
        process = start("--source", "test-pattern", "--quiet", "--mqtt", open_broker.url, "--mqtt-name", "hall")
        watcher.wait("hall/state")
        process.kill()
        watcher.wait("hall/status", "offline")
        process.wait(WAIT_S)
        process.stderr.close()


@needs_broker
def test_broker_that_goes_and_comes_back_is_survived_and_said_once(open_broker):
    url = f"{open_broker.url}/hall"
    process = start("--source", "test-pattern", "--quiet", "--mqtt", url, "--mqtt-every-frame")
    with Watcher(open_broker) as watcher:
        watcher.wait("hall/faces")
    open_broker.kill()
    lost = process.stderr.readline()
    assert "was lost; trying again" in lost
    assert process.poll() is None
    open_broker.start()
    assert "is back after" in process.stderr.readline()
    with Watcher(open_broker) as watcher:  # a broker without a memory is told everything again
        watcher.wait("hall/status", "online")
        watcher.wait("/config", times=5)
        watcher.wait("hall/source")
        watcher.wait("hall/faces", times=3)
        process.send_signal(signal.SIGTERM)
        watcher.wait("hall/status", "offline")
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@needs_broker
def test_broker_that_hangs_costs_the_oldest_messages_and_no_time(open_broker):
    frames = 4 * QUEUE_SIZE
    options = MqttOptions(open_broker.url, name="hall", every_frame=True)
    with Watcher(open_broker) as watcher:
        sink = MqttSink(options, labels=LABELS, connect_s=WAIT_S)
        sink.write(FRAME, result_of("happy"))
        watcher.wait("hall/faces")
        open_broker.process.send_signal(signal.SIGSTOP)
        begin_s = time.monotonic()
        for index in range(frames):
            sink.write(FRAME, result_of("happy", index=index))
        wrote_s = time.monotonic() - begin_s
        sink.close()
        closed_s = time.monotonic() - begin_s - wrote_s
        open_broker.process.send_signal(signal.SIGCONT)
        watcher.wait("hall/status", "offline")
    assert wrote_s < 2
    assert closed_s < 6
    delivered, dropped = map(int, re.search(r"\((\d+) messages, (\d+) dropped\)", sink.describe()).groups())
    assert delivered + dropped == frames + 2  # and the first frame with its state
    assert dropped >= frames - QUEUE_SIZE


@needs_broker
def test_metrics_of_the_page_count_messages(open_broker):
    told = threading.Event()
    options = MqttOptions(open_broker.url, every_frame=True, discovery=False)
    with open_sinks(
        labels=LABELS, kind="live", serve=PageOptions(port=0), mqtt=options, say=lambda _: told.set()
    ) as sinks:

        def metric(name):
            with urllib.request.urlopen(f"{sinks.describe()[0]}metrics", timeout=10) as answer:  # noqa: S310
                lines = [line.split() for line in answer.read().decode().splitlines()]
            return next(int(line[1]) for line in lines if line[0] == f"fer_edge_{name}_total")

        assert metric("mqtt_delivered") == 0
        sinks.write(FRAME, result_of("happy"))
        until_s = time.monotonic() + WAIT_S
        while metric("mqtt_delivered") < 2:
            assert time.monotonic() < until_s
            threading.Event().wait(0.05)  # more than a hundred requests a second are refused
        open_broker.kill()
        assert told.wait(WAIT_S)
        for index in range(QUEUE_SIZE + 3):
            sinks.write(FRAME, result_of("happy", index=index))
        assert metric("mqtt_dropped") >= 3
        open_broker.start()


@needs_broker
def test_outage_at_the_end_does_not_hold_the_run(open_broker):
    told = threading.Event()
    sink = MqttSink(MqttOptions(open_broker.url), labels=LABELS, say=lambda _: told.set())
    open_broker.kill()
    assert told.wait(WAIT_S)
    sink.write(FRAME, result_of("happy"))
    begin_s = time.monotonic()
    sink.close()
    assert time.monotonic() - begin_s < 6
    assert "(0 messages, 1 dropped)" in sink.describe()
    open_broker.start()


@needs_broker
def test_lost_camera_is_told_and_kept_for_those_who_come_later(open_broker, astronaut):
    with Camera(astronaut) as camera, Watcher(open_broker) as watcher:
        url = f"{open_broker.url}/hall"
        with running("--source", camera.url, "--stall-after", 1, "-q", "--mqtt", url, "--no-discovery") as process:

            def told(state):
                watcher.wait_for("hall/source", lambda payload: json.loads(payload)["state"] == state)
                return json.loads(watcher.of("hall/source")[-1])

            assert told("running")["reason"] == ""
            camera.unplug()
            lost = told("reconnecting")
            assert lost["reason"]
            assert lost["reconnects"] == 0
            open_broker.kill()
            open_broker.start()
            with Watcher(open_broker) as late:  # a broker without a memory
                late.wait_for("hall/source", lambda payload: json.loads(payload)["state"] == "reconnecting")
                camera.plug_in()
                late.wait_for("hall/source", lambda payload: json.loads(payload)["reconnects"] == 1)
                process.send_signal(signal.SIGTERM)
                late.wait("hall/status", "offline")
                last = json.loads(late.of("hall/source")[-1])
                assert last == {"schema": 1, "state": "ended", "reason": "", "stalls": last["stalls"], "reconnects": 1}
            assert process.wait(WAIT_S) == 0
        assert "hunter2" not in json.dumps(watcher.messages + late.messages)
    with Watcher(open_broker) as later:
        later.wait("hall/source")
        assert [retained for topic, _, retained in later.messages if topic.endswith("source")] == [True]


@needs_broker
def test_camera_that_is_gone_for_good_leaves_its_reason(open_broker, astronaut):
    with Camera(astronaut) as camera, Watcher(open_broker) as watcher:
        arguments = [
            "--source",
            camera.url,
            "--stall-after",
            1,
            "--no-reconnect",
            "-q",
            "--mqtt",
            f"{open_broker.url}/hall",
        ]
        with running(*arguments) as process:
            watcher.wait("hall/source")
            camera.unplug()
            watcher.wait("hall/status", "offline")
            assert process.wait(WAIT_S) == 4
    last = json.loads(watcher.of("hall/source")[-1])
    assert last["state"] == "error"
    assert "no more pictures" in last["reason"]


# Start


@pytest.mark.slow
def test_broker_that_is_away_is_exit_code_4_after_the_time_out(tmp_path):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"mqtt://me:{SECRET_IN_URL}@127.0.0.1:{closed.getsockname()[1]}"
        done = fer_edge("--source", "demo", "--mqtt", url, "--json", tmp_path / "out.jsonl")
    assert done.returncode == 4, done.stderr
    assert "cannot be reached within 10 s: Connection refused" in one_sentence(done)
    assert "hun" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_broker
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


@needs_broker
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


@needs_broker
def test_service_of_any_source_waits_for_its_broker_and_delivers_what_it_kept(open_broker, tmp_path):
    open_broker.kill()
    out = tmp_path / "out.jsonl"
    arguments = [
        "--source",
        "test-pattern",
        "-q",
        "--json",
        out,
        "--mqtt",
        f"{open_broker.url}/hall",
        "--mqtt-every-frame",
    ]
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


@needs_broker
def test_patient_run_does_not_wait_for_a_refused_password(guarded_broker):
    begin_s = time.monotonic()
    url = guarded_broker.url.replace("://", "://camera:wrong-hun@")
    done = fer_edge("--source", "/dev/no-such-camera", "--wait-for-source", "--mqtt", url)
    assert done.returncode == 4, done.stderr
    assert "refuses the connection: not authorized. Check the user" in one_sentence(done)
    assert time.monotonic() - begin_s < 9


@needs_broker
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


@needs_broker
@pytest.mark.parametrize("user", ["", "camera:wrong-hun@", "nobody:hun@"])
def test_wrong_password_is_exit_code_4_at_once(guarded_broker, user):
    begin_s = time.monotonic()
    done = fer_edge("--source", "demo", "--mqtt", guarded_broker.url.replace("://", f"://{user}"))
    assert done.returncode == 4, done.stderr
    assert "refuses the connection: not authorized. Check the user" in one_sentence(done)
    assert "hun" not in done.stderr
    assert time.monotonic() - begin_s < 9


@needs_broker
@pytest.mark.parametrize("where", ["address", "environment"])
def test_password_opens_the_door_and_is_never_printed(guarded_broker, where):
    user = f"camera:{SECRET_IN_URL}@" if where == "address" else "camera@"
    variables = {"FER_EDGE_MQTT_PASSWORD": SECRET} if where == "environment" else {}
    url = f"{guarded_broker.url.replace('://', f'://{user}')}/hall"
    with Watcher(guarded_broker, user="camera", password=SECRET) as watcher:
        done = fer_edge("--source", "demo", "--json", "-", "--mqtt", url, FER_EDGE_DEBUG="1", **variables)
        watcher.wait("hall/status", "offline")
    assert done.returncode == 0, done.stderr
    everything = done.stdout + done.stderr + json.dumps(watcher.messages)
    for secret in (SECRET, SECRET_IN_URL, "camera"):
        assert secret not in everything


@needs_broker
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


# TLS


@needs_broker
@needs_openssl
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("failed_handshakes")
def test_tls_with_a_private_authority(tmp_path, certificates):
    broker = Mosquitto(tmp_path, *tls_lines(certificates))
    url = broker.url.replace("mqtt://", "mqtts://")
    ca = certificates / "ca.pem"
    try:
        with Watcher(broker, tls={"ca_certs": str(ca)}) as watcher:
            done = fer_edge("--source", "demo", "--mqtt", f"{url}/hall", "--mqtt-ca", ca)
            watcher.wait("hall/status", "offline")
        assert done.returncode == 0, done.stderr
        assert f"mqtts://127.0.0.1:{broker.port}" in done.stderr
        distrustful = fer_edge("--source", "demo", "--mqtt", url)
        assert distrustful.returncode == 4
        assert "its certificate is not trusted" in one_sentence(distrustful)
        assert "--mqtt-ca" in one_sentence(distrustful)
        misnamed = url.replace("127.0.0.1", "localhost")
        with pytest.raises(DeviceError, match="not trusted"):
            MqttSink(MqttOptions(misnamed, ca=ca), labels=LABELS)
        with pytest.raises(DeviceError, match=r"within 1 s.*mqtts://"):
            MqttSink(MqttOptions(broker.url), labels=LABELS, connect_s=1)
    finally:
        broker.kill()


@needs_broker
@needs_openssl
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("failed_handshakes")
def test_tls_with_a_certificate_of_the_device(tmp_path, certificates):
    broker = Mosquitto(tmp_path, *tls_lines(certificates), "require_certificate true")
    url = broker.url.replace("mqtt://", "mqtts://")
    ca, cert, key = (certificates / name for name in ("ca.pem", "client.pem", "client.key"))
    tls = {"ca_certs": str(ca), "certfile": str(cert), "keyfile": str(key)}
    try:
        with Watcher(broker, tls=tls) as watcher:
            done = fer_edge(
                "--source", "demo", "--mqtt", f"{url}/hall", "--mqtt-ca", ca, "--mqtt-cert", cert, "--mqtt-key", key
            )
            watcher.wait("hall/status", "offline")
        assert done.returncode == 0, done.stderr
        with pytest.raises(DeviceError, match="cannot be reached within 1 s"):
            MqttSink(MqttOptions(url, ca=ca), labels=LABELS, connect_s=1)
    finally:
        broker.kill()


@needs_broker
@needs_openssl
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("failed_handshakes")
def test_patient_run_knows_a_clock_that_is_not_set_from_a_wrong_certificate(tmp_path, certificates):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    ca = certificates / "ca.pem"
    early = tmp_path / "early"
    early.mkdir()
    for name in ("ca.pem", "server.key"):
        shutil.copy(certificates / name, early)
    known = x509.load_pem_x509_certificate((certificates / "server.pem").read_bytes())
    authority = serialization.load_pem_private_key((certificates / "ca.key").read_bytes(), None)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        known.issuer, known.subject, known.public_key(), x509.random_serial_number(),
        now + timedelta(days=1), now + timedelta(days=2), list(known.extensions),
    )  # fmt: skip
    certificate = builder.sign(authority, hashes.SHA256())
    (early / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    said = []
    broker = Mosquitto(tmp_path, *tls_lines(early))
    url = broker.url.replace("mqtt://", "mqtts://")
    try:
        MqttSink(MqttOptions(url, ca=ca, patient=True), labels=LABELS, say=said.append).close()
        with pytest.raises(DeviceError, match="cannot be used: its certificate is not trusted"):
            MqttSink(MqttOptions(url, patient=True), labels=LABELS)
    finally:
        broker.kill()
    assert len(said) == 1
    assert "not yet valid). Is the clock of this machine right; trying again" in said[0]


@needs_openssl
def test_unusable_certificates_are_named(tmp_path, certificates):
    def refusal(**files):
        with pytest.raises(ConfigError) as caught:
            MqttSink(MqttOptions("mqtts://127.0.0.1", **files), labels=LABELS)
        return str(caught.value)

    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert "text.pem" in refusal(ca=text)
    assert "none.pem: No such file" in refusal(cert=tmp_path / "none.pem")
    assert "KEY_VALUES_MISMATCH" in refusal(cert=certificates / "client.pem", key=certificates / "server.key")
    locked = tmp_path / "locked.key"
    command = [
        OPENSSL,
        "ec",
        "-in",
        str(certificates / "client.key"),
        "-aes256",
        "-passout",
        "pass:hun",
        "-out",
        str(locked),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)
    assert "without a passphrase" in refusal(cert=certificates / "client.pem", key=locked)
