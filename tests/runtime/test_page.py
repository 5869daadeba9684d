"""The live page over real loopback connections."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.service.access import Access
from fer_edge_runtime.service.address import parse_address
from fer_edge_runtime.service.figures import RunFigures
from fer_edge_runtime.service.hub import Hub
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.service.live import HUNG_S, LiveContext
from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.page import PageOptions, PageSink
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.types import Face, Frame, FrameResult


def make_frame(index=0):
    return Frame(np.full((120, 160, 3), 100, np.uint8), index, index / 10, "camera:0")


def make_result(index=0):
    face = Face((10.0, 20.0, 90.0, 100.0), "happy", 0.9, {"happy": 0.9, "sad": 0.1}, {}, 0.8, 7)
    return FrameResult("camera:0", index, index / 10, (face,), {"detect": 4.25}, 14.96)


class Feeder:
    """Writes frames to sinks from a thread until it is stopped, as the frame loop does."""

    def __init__(self, sinks):
        self.sinks = sinks
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        index = 0
        while not self.stop.wait(0.005):
            self.sinks.write(make_frame(index), make_result(index))
            index += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.fixture
def page():
    with PageSink(PageOptions(port=0)) as sink:
        yield sink


def get(page, path, **headers):
    request = urllib.request.Request(page.url.rstrip("/") + path, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return answer.headers, answer.read()


def status(page, path, method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=host is not None)
        if host:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),  # noqa: S104
        (":9000", ("127.0.0.1", 9000)),
        ("9000", ("127.0.0.1", 9000)),
        ("localhost", ("localhost", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("pi.local:0", ("pi.local", 0)),
    ],
)
def test_parse_address_reads(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text", ["a:b", "host:70000", "::1", "http://host:80", "host:", "a b:80", "h:-1", "x@y:80", "h:٣"]
)
def test_parse_address_refuses(text):
    with pytest.raises(ConfigError, match="Write HOST:PORT"):
        parse_address(text)


def test_page_is_self_contained(page):
    headers, body = get(page, "/")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    text = body.decode()
    assert "viewport" in text
    assert "prefers-color-scheme: dark" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "innerHTML" not in text


def test_state_is_empty_before_the_first_frame_and_full_after(page):
    assert json.loads(get(page, "/state.json")[1]) == {
        "faces": [], "running": True, "viewers": 0, "source_state": None,
    }  # fmt: skip
    page.write(make_frame(3), make_result(3))
    state = json.loads(get(page, "/state.json")[1])
    assert (state["frame"], state["fps"], state["stages_ms"]) == (3, 15.0, {"detect": 4.25})
    assert state["faces"][0]["label"] == "happy"
    assert state["colours"]["happy"].startswith("#")


def test_nothing_is_drawn_or_kept_without_a_viewer():
    with open_sinks(labels=(), kind="live", serve=PageOptions(port=0)) as sinks:
        sinks.write(make_frame(), make_result())
        assert sinks.draw_ms == 0
        assert sinks.describe()[0].startswith("http://127.0.0.1:")


def test_snapshot_and_stream_show_the_annotated_frame():
    with open_sinks(labels=(), kind="live", serve=PageOptions(port=0)) as sinks:
        url = sinks.describe()[0]
        with Feeder(sinks):
            with urllib.request.urlopen(url + "frame.jpg", timeout=10) as answer:  # noqa: S310
                image = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (120, 160, 3)
            assert (abs(image.astype(int) - 100) > 40).any()
            with urllib.request.urlopen(url + "stream.mjpg", timeout=10) as stream:  # noqa: S310
                assert stream.headers.get_content_type() == "multipart/x-mixed-replace"
                assert stream.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                for _ in range(3):
                    assert stream.readline() == b"--fer-edge-frame\r\n"
                    assert stream.readline() == b"Content-Type: image/jpeg\r\n"
                    size = int(stream.readline().split(b": ")[1])
                    stream.readline()
                    assert stream.read(size)[:2] == b"\xff\xd8"
                    stream.readline()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../../etc/passwd", "/%2e%2e/", "/page.html", "/sinks/", "//state.json/", "/state.json/x"]
)
def test_page_serves_no_files(page, path):
    assert status(page, path) == 404


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("[", 403),
    ],
)
def test_page_on_loopback_answers_only_to_loopback_names(page, host, expected):
    assert status(page, "/state.json", host=host) == expected


def test_page_knows_get_and_head_only(page):
    assert status(page, "/", method="HEAD") == 200
    assert status(page, "/", method="POST") == 405
    assert status(page, "/", method="BREW") == 405


def test_viewers_are_bounded_and_leave_room_when_they_go(page):
    streams = [socket.create_connection(("127.0.0.1", page.port), timeout=10) for _ in range(Limits().viewers)]
    for stream in streams:
        stream.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(17).startswith(b"HTTP/1.1 200")
    assert status(page, "/stream.mjpg") == 503
    assert status(page, "/frame.jpg") == 503
    assert status(page, "/") == 200
    for stream in streams:
        stream.close()
    with Feeder(Drawn(page)):
        for _ in range(1000):
            if not page.needs_drawing:
                break
            status(page, "/state.json")
    assert not page.needs_drawing


class Drawn:
    """Gives every frame to the page as a drawn one."""

    def __init__(self, page):
        self.page = page

    def write(self, frame, result):
        assert self.page.needs_drawing in (True, False)
        self.page.write(frame, result)


def test_connections_are_bounded():
    with PageSink(PageOptions(port=0, limits=Limits(connections=4))) as page:
        idle = [socket.create_connection(("127.0.0.1", page.port), timeout=10) for _ in range(4)]
        with socket.create_connection(("127.0.0.1", page.port), timeout=10) as extra:
            assert extra.recv(1) == b""
        for connection in idle:
            connection.close()


@pytest.mark.parametrize("path", ["/stream.mjpg", "/frame.jpg"])
def test_who_does_not_read_is_dismissed(path):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1280, 3), np.uint8)
    with PageSink(PageOptions(port=0, limits=Limits(write_s=0.3, header_s=60.0))) as page, socket.socket() as lazy:
        page._server._door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", page.port))
        lazy.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until, index = time.monotonic() + 20, 0
        while not page.needs_drawing:
            assert time.monotonic() < until
        while page._server._streams:
            assert time.monotonic() < until
            page.write(Frame(noise, index, 0.0, "camera:0"), make_result(index))
            assert page.needs_drawing in (True, False)
            index += 1
            threading.Event().wait(0.02)


def test_health_and_metrics_of_a_run():
    health = SourceHealth(SourceState.RUNNING, 0.1, 12, 2)
    with PageSink(PageOptions(port=0), health=lambda: health) as page:
        assert status(page, "/healthz") == 200
        assert status(page, "/readyz") == 503  # no frame yet
        page.write(make_frame(), make_result())
        page.write(make_frame(1), make_result(1))
        page.took({"read": 1.0, "draw": 2.0, "write": 3.0})
        assert status(page, "/readyz") == 200
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(get(page, "/metrics")[1].decode())
            for sample in family.samples
        }
        assert found["fer_edge_frames_total",] == 2
        assert found["fer_edge_faces_total", "happy"] == 2
        assert found["fer_edge_fps",] == 14.96
        assert found["fer_edge_source_dropped_total",] == 2
        assert found["fer_edge_source_state", "running"] == 1
        assert found["fer_edge_stage_seconds_count", "detect"] == 2
        assert found["fer_edge_stage_seconds_sum", "detect"] == pytest.approx(0.0085)
        assert found["fer_edge_stage_seconds_sum", "write"] == pytest.approx(0.003)
        assert found["fer_edge_stage_seconds_bucket", "detect", "0.005"] == 2
        assert found["fer_edge_stage_seconds_bucket", "detect", "0.002"] == 0
        health = SourceHealth(SourceState.RECONNECTING, 60.0, 12, 2, reconnects=3, reason="unplugged")
        assert status(page, "/healthz") == 200  # it lives and tries; starting it anew would not help
        assert status(page, "/readyz") == 503
        state = json.loads(get(page, "/state.json")[1])["source_state"]
        assert (state["state"], state["reconnects"], state["reason"]) == ("reconnecting", 3, "unplugged")
        health = SourceHealth(SourceState.ERROR, 60.0, 12, 2, reason="gone")
        assert status(page, "/healthz") == 503


def test_frame_loop_that_hangs_is_not_live():
    now_s = 0.0
    figures = RunFigures(lambda: SourceHealth(SourceState.RUNNING, 0.0), clock=lambda: now_s)
    context = LiveContext(Access(), Limits(), Hub(), figures)
    figures.add(make_result())
    assert context.health()[:2] == (True, True)
    now_s = HUNG_S + 1
    assert context.health()[:2] == (False, False)


def test_first_camera_that_is_waited_for_is_live_and_not_ready(monkeypatch):
    monkeypatch.setattr("fer_edge_runtime.service.live.HUNG_S", 0.5)
    health = SourceHealth(SourceState.NOT_STARTED, reason="no such camera", retry_in_s=4.0)
    with open_sinks(labels=(), kind="live", serve=PageOptions(port=0), health=lambda: health) as sinks:
        page = sinks._sinks[0]
        until_s = time.monotonic() + 20
        while status(page, "/healthz") != 503:  # nobody waits: the loop hangs, whatever the camera does
            assert time.monotonic() < until_s
            threading.Event().wait(0.05)  # more than a hundred requests a second are refused
        sinks.idle()
        assert status(page, "/healthz") == 200
        assert status(page, "/readyz") == 503
        source = json.loads(get(page, "/healthz")[1])["source"]
        assert (source["state"], source["reason"]) == ("not_started", "no such camera")


def test_close_dismisses_viewers_and_frees_the_port():
    page = PageSink(PageOptions(port=0))
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as stream:
        stream.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(17).startswith(b"HTTP/1.1 200")
        page.close()
        page.close()
        while stream.recv(4096):
            pass
    PageSink(PageOptions(port=page.port)).close()


def test_taken_port_is_explained(page):
    with pytest.raises(OutputError, match=rf"port {page.port} is taken\. Choose another: --serve 127\.0\.0\.1:"):
        PageSink(PageOptions(port=page.port))


@pytest.mark.parametrize("host", ["192.0.2.55", "no such host.invalid"])
def test_address_of_another_machine_is_explained(host):
    with pytest.raises(OutputError, match=r"cannot be served on .*127\.0\.0\.1"):
        PageSink(PageOptions(host, 0))


def test_page_on_the_network_says_who_can_see_it():
    with PageSink(PageOptions("0.0.0.0", 0, Access("sixteen-letters!"))) as page:  # noqa: S104
        assert "asks for the token" in page.describe()
        assert "0.0.0.0" not in page.url  # noqa: S104
        assert status(page, "/healthz", host="my-pi.local") == 200
        assert status(page, "/state.json", host="my-pi.local") == 401


def test_vanished_viewer_makes_no_noise(capfd):
    with open_sinks(labels=(), kind="live", serve=PageOptions(port=0)) as sinks, Feeder(sinks):
        port = int(sinks.describe()[0].rsplit(":", 1)[1].rstrip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
            stream.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stream.recv(100)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing", timeout=10)  # noqa: S310
    assert capfd.readouterr() == ("", "")
