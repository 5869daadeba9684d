"""`fer-edge run --mqtt` and outages: of the run, of the broker, of the camera."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
import urllib.request

from mqtt_broker import WAIT_S, Watcher
from mqtt_run import FRAME, LABELS, result_of, running
from streams import Camera

from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.broker import MqttOptions
from fer_edge_runtime.sinks.mqtt import MqttSink
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sinks.publisher import QUEUE_SIZE


def test_broker_says_offline_when_the_process_is_killed(open_broker):
    arguments = ["--source", "test-pattern", "--quiet", "--mqtt", open_broker.url, "--mqtt-name", "hall"]
    with Watcher(open_broker) as watcher, running(*arguments) as process:
        watcher.wait("hall/state")
        process.kill()
        watcher.wait("hall/status", "offline")


def test_broker_that_goes_and_comes_back_is_survived_and_said_once(open_broker):
    url = f"{open_broker.url}/hall"
    with running("--source", "test-pattern", "--quiet", "--mqtt", url, "--mqtt-every-frame") as process:
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
