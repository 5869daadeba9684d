"""The picture service on a real loopback socket: several requests on a connection, well-formed and not."""

from __future__ import annotations

import logging
import random
import socket

import cv2
import numpy as np

from fer_edge_runtime.errors import ConfigError
from fuzzing.mutation import spoiled_bytes

LINES = (
    b"GET / HTTP/1.1",
    b"GET /healthz HTTP/1.1",
    b"GET /metrics HTTP/1.1",
    b"POST /v1/faces HTTP/1.1",
    b"HEAD /v1/model HTTP/1.0",
    b"OPTIONS * HTTP/1.1",
)
HEADERS = (
    b"Host: localhost", b"Host: evil.example", b"Host:", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 5, 5",
    b"Content-Length: " + b"9" * 40, b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Expect: 100-continue", b"Cookie: a=b; =;;",
    b"Content-Type: image/png", b"Content-Type: \xff", b"Authorization: Bearer x", b"Authorization: Basic ====", b"Origin: null", b"Origin: http://[",
    b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket", b"Range: bytes=0-", b"X: " + b"a" * 20_000, b" folded", b": x", b"\0: y",
    b"Content-Encoding: gzip", b"Sec-Fetch-Site: cross-site", b"Host: localhost:99999", b"Host: [::1", b"Content-Type: application/octet-stream",
)  # fmt: skip
TARGETS = (
    b"/",
    b"/healthz",
    b"/v1/faces",
    b"/../../etc/passwd",
    b"/%00",
    b"//",
    b"*",
    b"http://x/",
    b"/" + b"a" * 9000,
    b"/?a=%ff&b",
    b"/v1/faces/",
    b"",
)
OK_CLOSE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
WAIT_S = 20.0


class Http:
    """A server in this process; any error that it logs is a bug."""

    def __init__(self) -> None:
        from fer_edge_runtime.recognizer import Recognizer
        from fer_edge_runtime.service.access import Access
        from fer_edge_runtime.service.faces import FACES_ROUTES, FacesContext
        from fer_edge_runtime.service.limits import Limits
        from fer_edge_runtime.service.server import Server

        limits = Limits(requests=0, accepts=1e6, header_s=0.3, body_s=0.3, body_bytes=100_000, pixels=100_000)
        context = FacesContext(
            Access(None), limits, Recognizer.load("default", device="cpu", threads=1, detector="short"), version="0"
        )
        self._faults: list[str] = []
        for name in ("fer_edge_runtime", "tornado.application", "asyncio"):
            logging.getLogger(name).addHandler(_Kept(self._faults))
            logging.getLogger(name).propagate = False
        self._server = Server("127.0.0.1", 0, FACES_ROUTES, context, what="fuzz", option="--address")
        self._picture = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()

    def make(self, dice: random.Random) -> bytes:
        """What is sent on one connection."""
        requests = []
        for _ in range(dice.choice((1, 1, 2, 5))):
            if dice.random() < 0.3:
                requests.append(self._post(dice))
                continue
            line = dice.choice(LINES)
            if dice.random() < 0.3:
                method, _, rest = line.partition(b" ")
                line = b" ".join(
                    (dice.choice((method, b"get", b"BREW", b"")), dice.choice(TARGETS), rest.rpartition(b" ")[2])
                )
            chosen = [b"Host: localhost", *dice.choices(HEADERS, k=dice.choice((0, 1, 2, 5)))]
            body = dice.choice(
                (
                    b"",
                    b"",
                    b"12345",
                    b"5\r\nhello\r\n0\r\n\r\n",
                    b"ffffffffffffffff\r\n",
                    b"-1\r\n\r\n",
                    b"5;x=y\r\nhel",
                )
            )
            requests.append(b"\r\n".join((line, *chosen, b"", body)))
        data = b"".join(requests)
        return spoiled_bytes(dice, data, (b"\r\n", b"\r\n\r\n", b"HTTP/1.1", b"\0")) if dice.random() < 0.4 else data

    def _post(self, dice: random.Random) -> bytes:
        body = self._picture if dice.random() < 0.3 else spoiled_bytes(dice, self._picture)
        length = len(body) + dice.choice((0, 0, 0, 0, -1, 1))
        return (
            b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
            % length
            + body
        )

    def run(self, data: bytes) -> None:
        """Send it and a last request, read to the end; afterwards the server still answers others."""
        reply = self._exchange(data + OK_CLOSE)
        if self._faults:
            raise AssertionError(self._faults.pop())
        assert b" 500 " not in reply, reply
        assert b" 200 OK" in self._exchange(OK_CLOSE)[:20]
        if b" 200 OK" not in reply:
            raise ConfigError("refused")

    def _exchange(self, data: bytes) -> bytes:
        reply = b""
        with socket.create_connection(("127.0.0.1", self._server.port), timeout=WAIT_S) as connection:
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    reply += piece
            except ConnectionError:  # it hung up while we were still sending
                pass
        return reply


class _Kept(logging.Handler):
    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        self._faults.append(logging.Formatter().format(record))
