"""Requests to the picture service and the live page that try to get what nobody should have."""

import contextlib

import pytest
from picture_service import FREE
from sockets import connect, exchange, request

from fer_edge_runtime.sinks.page import PageOptions, PageSink

PATHS = [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%252e%252e%252fetc/passwd",
    "/v1/faces/../../etc/passwd", "/..\\..\\etc\\passwd", "/%5c..%5cetc/passwd", "//etc/passwd", "/etc/passwd%00.jpg",
    "/static/../server.py", "/page.html", "/openapi.json/", "/v1//faces", "/%c0%ae%c0%ae/etc/passwd", "/;/etc/passwd",
    "file:///etc/passwd", "http://localhost/etc/passwd", "http://evil.example/healthz", "*", "localhost:80", "etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_reads_a_file(service, path):
    for method in ("GET", "POST"):
        reply = request(service.port, path, method=method)
        assert reply.status in (400, 404, 405)
        assert b"root:" not in reply.body
        assert b"import" not in reply.body


def test_no_path_of_the_page_reads_a_file():
    with PageSink(PageOptions(port=0, limits=FREE)) as page:
        for path in PATHS:
            assert request(page.port, path).status in (400, 404)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5_0",
        "Content-Length: 0x5",
        "Content-Length: ٥",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Content-Length: 5\r\n folded: yes",
        "Content-Length: 99999999999999999999999999",
    ],
)
def test_ambiguous_bodies_never_become_a_second_request(service, framing):
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    top = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{framing}\r\n\r\n".encode()
    with connect(service.port) as connection:
        connection.sendall(top + b"0\r\n\r\n" + smuggled)
        data = b""
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                data += piece
    assert b"fer_edge_pictures_total" not in data
    assert not data.startswith(b"HTTP/1.1 2")
    assert request(service.port, "/healthz").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX\x00Y: z\r\n\r\n",
        b"\r\n" * 50 + b"nonsense\r\n\r\n",
        b"GET  /healthz  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_broken_requests_are_refused_and_the_server_lives(service, data):
    assert exchange(service.port, data).status in (0, 400, 403)
    assert request(service.port, "/healthz").status == 200


def test_old_and_odd_but_legal_requests(service):
    reply = exchange(service.port, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert reply.status == 200
    reply = request(service.port, "/healthz", method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 10
    two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(service.port) as connection:
        connection.sendall(two)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2 or not data.endswith(b"}\n"):
            data += connection.recv(65536)
    assert data.index(b'"ready"') < data.index(b'"labels"')


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_other_methods_are_refused(service, method):
    reply = request(service.port, "/v1/faces", method=method)
    assert reply.status in (400, 405)
    assert "access-control-allow-origin" not in reply.headers
    if reply.status == 405:
        assert reply.headers["allow"] == "POST"
    assert request(service.port, "/metrics", method=method, body=b"x" * 100).status in (400, 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:80"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "evil.example", "X_Forwarded_Host": "localhost"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:9"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Origin": "https://evil.example"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://elsewhere"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
    ],
)
def test_foreign_pages_get_nothing(service, headers, status):
    assert request(service.port, "/v1/model", **headers).status == status
