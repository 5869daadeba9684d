"""What the picture service does not let anybody use up: pixels, bytes, time, memory, turns."""

import contextlib
import json
import threading
import time

import pytest
from picture_service import ASTRONAUT, WAIT_S, blank, post, serving
from sockets import connect, exchange, read_reply, request
from waiting import wait_until

from fer_edge_runtime.service.limits import MAX_CLIENTS, Rates


def test_pixels_are_counted_before_they_are_decoded(recognizer):
    with serving(recognizer, pixels=10_000) as server:
        assert post(server, blank("L", (100, 100))).status == 200
        reply = post(server, blank("L", (100, 101)))
        assert (reply.status, json.loads(reply.body)["detail"]) == (
            413,
            "100×101 pixels are more than the 0.01 million allowed.",
        )


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_is_refused_and_the_client_hears_it(recognizer, chunked):
    body = bytes(3 * 2**20)
    with serving(recognizer, body_bytes=2**20) as server, connect(server.port) as connection:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        connection.sendall(
            f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{framing}\r\n\r\n".encode()
        )
        connection.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" if chunked else body)
        reply = read_reply(connection)
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert connection.recv(1) == b""


def test_large_body_that_waits_for_permission_gets_none(recognizer):
    with serving(recognizer, body_bytes=1000) as server:
        reply = request(
            server.port,
            "/v1/faces",
            method="POST",
            Content_Type="image/png",
            Content_Length="5000",
            Expect="100-continue",
        )
        assert reply.status == 413


def test_slow_body_is_given_up(recognizer):
    with serving(recognizer, body_s=0.3) as server, connect(server.port) as connection:
        connection.sendall(
            b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
        )
        assert read_reply(connection).status == 408
        assert connection.recv(1) == b""


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-", b"GET "])
def test_slow_headers_are_given_up_however_they_trickle(recognizer, start):
    with serving(recognizer, header_s=0.4) as server, connect(server.port) as connection:
        begin = time.monotonic()
        connection.sendall(start)
        connection.settimeout(0.1)
        while True:
            try:
                assert connection.recv(100) == b""
                break
            except TimeoutError:
                with contextlib.suppress(OSError):
                    connection.sendall(b"a")
            except ConnectionResetError:
                break
        assert time.monotonic() - begin < 3


def test_connection_that_says_nothing_more_is_closed(recognizer):
    with serving(recognizer, header_s=0.3) as server, connect(server.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_reply(connection).status == 200
        assert connection.recv(1) == b""


def test_huge_headers_are_refused(service):
    for data in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 9000 + b"\r\n",
    ):
        assert exchange(service.port, data).status in (0, 400, 431)
    assert request(service.port, "/healthz").status == 200


def test_too_many_requests_are_slowed_down_and_refused(recognizer):
    with serving(recognizer, requests=0.001, penalty_s=0.2) as server:
        assert request(server.port, "/healthz").status == 200
        begin = time.monotonic()
        for path in ("/healthz", "/nowhere"):
            reply = request(server.port, path)
            assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        assert time.monotonic() - begin >= 0.4


def test_rates_are_for_each_client_and_forget():
    now_s = 0.0
    rates = Rates(1.0, 2.0, clock=lambda: now_s)
    assert [rates.take("a"), rates.take("a")] == [0, 0]
    assert rates.take("a") == pytest.approx(1.0)
    assert rates.take("b") == 0
    now_s = 1.0
    assert rates.take("a") == 0
    assert rates.take("a") > 0
    assert [rates.take("2001:db8::1"), rates.take("2001:db8::2")] == [0, 0]
    assert rates.take("2001:db8::3") > 0
    for number in range(2 * MAX_CLIENTS):
        rates.take(f"c{number}")
    assert len(rates._buckets) == MAX_CLIENTS


def test_full_queue_is_said_and_waiting_pictures_are_answered(recognizer):
    with serving(recognizer, queue=0) as server:
        free = threading.Event()
        server.context._worker.submit(free.wait, WAIT_S)
        replies = []
        waiting = threading.Thread(target=lambda: replies.append(post(server, ASTRONAUT)))
        waiting.start()
        wait_until(lambda: server.context.health().details["waiting"] == 1)
        refused = post(server, ASTRONAUT)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        free.set()
        waiting.join()
        assert replies[0].status == 200


def test_memory_for_unfinished_bodies_is_bounded_and_given_back(recognizer):
    head = b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 900000\r\n\r\n"
    with serving(recognizer, buffered_bytes=2**20) as server:
        with connect(server.port) as slow:
            slow.sendall(head + bytes(800_000))
            wait_until(lambda: server.context.buffered == 800_000)
            assert post(server, bytes(300_000)).status == 503
        wait_until(lambda: server.context.buffered == 0)  # it went in the middle
        assert post(server, ASTRONAUT).status == 200
        wait_until(lambda: server.context.buffered == 0)


def test_who_leaves_while_waiting_costs_nothing(recognizer):
    with serving(recognizer) as server:
        free = threading.Event()
        server.context._worker.submit(free.wait, WAIT_S)
        head = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(ASTRONAUT)}\r\n\r\n"
        with connect(server.port) as connection:
            connection.sendall(head.encode() + ASTRONAUT)
            wait_until(lambda: server.context.health().details["waiting"] == 1)
        wait_until(lambda: server.context.connections() == 0)
        free.set()
        wait_until(lambda: server.context.health().details["waiting"] == 0)
        text = server.context.metrics()
        assert "fer_edge_pictures_total" in text
        assert "fer_edge_pictures_total 1" not in text
