"""No password of an address is ever printed, served or written down, whatever form it has and whatever goes wrong."""

import json
import os
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from command_line import fer_edge, start

from fer_edge.archive.inputs import list_inputs
from fer_edge.commands.run import address_of, mqtt_options
from fer_edge_runtime.errors import ConfigError, FerEdgeError
from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.sources.base import without_secrets
from fer_edge_runtime.types import Frame, FrameResult

# Port 9 of this machine: nobody listens, so each of these fails at once.
NASTY = [
    "rtsp://user:QQQ@127.0.0.1:9/1",
    "RTSP://user:QQQ@127.0.0.1:9/1",
    "rtsp://user:a@QQQ@127.0.0.1:9/1",
    "rtsp://user:a/QQQ@127.0.0.1:9/1",
    "rtsp://user:a?QQQ#@127.0.0.1:9/1",
    "rtsp://user:a%40QQQ@127.0.0.1:9/1",
    "rtsp://user%3AQQQ%40127.0.0.1:9/1",
    "rtsp://QQQ@127.0.0.1:9/1",
    "rtsp://:QQQ@127.0.0.1:9/1",
    "rtsp://user:QQQ@[::1]:9/1",
    "rtsp://user:Q QQQ@127.0.0.1:9/1",
    "http://127.0.0.1:9/video?token=QQQ",
    "http://127.0.0.1:9/video#QQQ",
    "rtsp://127.0.0.1:9/user=admin_password=QQQ_channel=1.sdp",
    "gopher://user:QQQ@host/1",
    "rtsp:/user:QQQ@127.0.0.1/1",
    "rtsp//user:QQQ@127.0.0.1/1",
    "user:QQQ@127.0.0.1/1",
    " rtsp://user:QQQ@127.0.0.1/1",
    "rtsp://user:QQQ\n@127.0.0.1/1",
    "rtspsrc location=rtsp://user:QQQ@127.0.0.1/1 ! decodebin ! appsink",
    "rtspsrc user-id=admin user-pw=QQQ location=rtsp://127.0.0.1/1 ! appsink",
    "v4l2src extra=QQQ ! appsink",
]


def quietly(*arguments, **environment):
    """Run to the end, where the password is never said."""
    done = fer_edge(*arguments, env=os.environ | environment)
    assert "QQQ" not in done.stdout + done.stderr
    return done


def read(address):
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310
        return answer.read().decode()


@pytest.mark.parametrize("spec", NASTY)
def test_address_that_cannot_be_opened_is_named_without_its_password(spec):
    with pytest.raises(FerEdgeError) as caught:
        open_source(spec)
    assert "QQQ" not in str(caught.value)
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize("spec", NASTY)
def test_archive_that_cannot_be_listed_is_named_without_its_password(spec):
    pytest.importorskip("pyarrow")
    with pytest.raises(FerEdgeError) as caught:
        list_inputs([spec])
    assert "QQQ" not in str(caught.value)


def test_file_that_exists_or_is_only_misspelled_is_named(tmp_path):
    for name in ("me@home.jpg", "a=b.jpg", "q?.jpg"):
        with pytest.raises(FerEdgeError, match=name.partition(".")[0].replace("?", r"\?")):
            open_source(str(tmp_path / name))


@pytest.mark.parametrize("url", ["mqtt://me:QQQ@host:x", "mqtt://me:Q/QQQ@host", "http://me:QQQ@host", "me:QQQ@host"])
def test_address_of_a_broker_that_is_none_is_not_repeated(url):
    with pytest.raises(ConfigError) as caught:
        mqtt_options(url, name=None, ca=None, cert=None, key=None, every_frame=False, discovery=True)
    assert "QQQ" not in str(caught.value)


def test_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MY_CAMERA", "rtsp://user:QQQ@cam/1")
    assert address_of("env:MY_CAMERA", "source") == "rtsp://user:QQQ@cam/1"
    assert address_of("demo", "source") == "demo"
    monkeypatch.setenv("MY_CAMERA", "")
    for value in ("env:MY_CAMERA", "env:", "env:NOT=SET", "env:a\0b"):
        with pytest.raises(ConfigError, match="no environment variable"):
            address_of(value, "source")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("See rtsp://u:QQQ@h/1 now", "See rtsp://***@h/1 now"),
        ("'http://h/a?token=QQQ'", "'http://h/a?…"),
        ("Live page: http://127.0.0.1:8080/ (open)", "Live page: http://127.0.0.1:8080/ (open)"),
        (
            "Write mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts://",
            "Write mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts://",
        ),
        ("rtsp://***@cam/1: the stream", "rtsp://***@cam/1: the stream"),
    ],
)
def test_safety_net_takes_passwords_and_leaves_the_rest(sentence, shown):
    assert without_secrets(sentence) == shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "rtsp://user:QQQ@host"],
        ["run", "--source", "demo", "--detect-every", "rtsp://user:QQQ@host"],
        ["run", "--source", "demo", "--save", "rtmp://user:QQQ@host/live"],
        ["run", "--source", "demo", "--model", "https://user:QQQ@host/bundle.zip"],
        ["run", "--camera", "rtsp://user:QQQ@127.0.0.1:9/1", "--source", "demo"],
    ],
)
def test_wrong_use_does_not_repeat_a_password(arguments):
    assert quietly(*arguments).returncode in (2, 5)


def test_traceback_holds_no_password():
    done = quietly("run", "--source", "rtsp://user:QQQ@127.0.0.1:9/1", FER_EDGE_DEBUG="1")
    assert "Traceback" in done.stderr
    assert "rtsp://***@127.0.0.1:9/1" in done.stderr


def test_running_stream_is_named_without_its_password_everywhere(tmp_path):
    """Words, JSON, CSV, page, metrics and the list of processes of a run on a stream whose address is full of secrets."""
    frame = Frame(np.full((120, 160, 3), 100, np.uint8), 0, 0.0, "pattern")
    stop = threading.Event()
    with open_sinks(labels=("happy",), kind="live", serve=PageOptions(port=0)) as camera:

        def feed():
            while not stop.wait(0.02):
                frame.image[0, 0] += 1  # a picture that never changes would count as frozen
                camera.write(frame, FrameResult("pattern", 0, 0.0, ()))

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        address = camera.describe()[0].replace("http://", "http://user:QQQ@") + "stream.mjpg?token=QQQ"
        process = start(
            "run", "--source", "env:MY_CAMERA", "--json", "-", "--csv", tmp_path / "a.csv", "--serve", "127.0.0.1:0",
            env=os.environ | {"MY_CAMERA": address},
        )  # fmt: skip
        try:
            first = process.stdout.readline()
            words = []
            for line in process.stderr:
                words.append(line)
                if line.startswith("Live page: "):
                    break
            page = words[-1].split()[2]
            served = [read(page + path) for path in ("", "state.json", "metrics", "healthz")]
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode() if sys.platform == "linux" else ""
        finally:
            process.terminate()
            rest, more = process.communicate(timeout=30)
            stop.set()
            thread.join()
    everything = "".join([first, rest, *words, more, *served, command, (tmp_path / "a.csv").read_text()])
    assert "QQQ" not in everything
    assert json.loads(first)["source"].startswith("http://***@127.0.0.1:")
    assert process.returncode == 0
