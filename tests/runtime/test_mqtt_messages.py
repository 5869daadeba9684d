"""`fer-edge run --mqtt` against a real broker: what arrives."""

from __future__ import annotations

import json
import re

import pytest
from mqtt_broker import WAIT_S, Watcher
from mqtt_run import FRAME, LABELS, result_of, run

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.broker import MqttOptions
from fer_edge_runtime.sinks.mqtt import STATE_EVERY_S, STATE_GAP_S, MqttSink, source_record, state_record
from fer_edge_runtime.sources.health import SourceHealth, SourceState


def test_run_says_online_sends_its_state_and_says_offline(open_broker):
    with Watcher(open_broker) as watcher:
        done = run("--source", "demo", "--mqtt", open_broker.url, "--mqtt-name", "hall")
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


def test_every_frame_is_the_json_lines_record(open_broker):
    with Watcher(open_broker) as watcher:
        done = run(
            "--source", "demo", "--json", "-", "--mqtt", f"{open_broker.url}/home/door", "--mqtt-every-frame", "--no-discovery"
        )  # fmt: skip
        watcher.wait("home/door/status", "offline")
    assert done.returncode == 0, done.stderr
    assert watcher.of("home/door/faces") == done.stdout.splitlines()
    assert {topic for topic, _, _ in watcher.messages} == {
        "home/door/status", "home/door/state", "home/door/faces", "home/door/source",
    }  # fmt: skip


def test_home_assistant_finds_five_sensors(open_broker):
    jinja2 = pytest.importorskip("jinja2")
    done = run("--source", "demo", "--mqtt", open_broker.url, "--mqtt-name", "hall")
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


def test_number_that_json_lacks_is_an_output_error(open_broker):
    with (
        MqttSink(MqttOptions(open_broker.url), labels=LABELS) as sink,
        pytest.raises(OutputError, match="a number that JSON lacks"),
    ):
        sink.write(FRAME, result_of("happy")._replace(time_s=float("nan")))
    sink.close()  # twice does no harm
