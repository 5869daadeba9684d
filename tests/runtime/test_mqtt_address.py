"""The address and the options of `fer-edge run --mqtt`: what they mean, what is refused, and that no password is shown."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest
from command_line import one_sentence
from mqtt_run import SECRET, SECRET_IN_URL, run

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.sinks.broker import MqttOptions, parse_broker


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
    done = run("--source", "demo", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in one_sentence(done.stderr)


def test_missing_client_library_names_the_extra():
    code = (
        "import sys; sys.modules['paho'] = None\n"
        "sys.argv = ['fer-edge', 'run', '--source', 'demo', '--mqtt', 'mqtt://127.0.0.1']\n"
        "from fer_edge.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr
    assert "paho-mqtt" in one_sentence(done.stderr)
    assert "fer-edge[service]" in one_sentence(done.stderr)
