"""The live page: the annotated stream, labels and score bars in a browser, from the standard library alone.

It serves four addresses and never a file of the machine: ``/``, ``/stream.mjpg``, ``/frame.jpg`` and ``/state.json``.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import logging
import socket
import socketserver
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fer_edge_runtime.draw import label_colour
from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.sinks.hub import Hub
from fer_edge_runtime.types import UNCERTAIN, Frame, FrameResult

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
MAX_VIEWERS = 8
MAX_CONNECTIONS = 32
# A stream repeats its picture after this long, so that a viewer who has gone is noticed.
REPEAT_S = 5.0
SNAPSHOT_S = 3.0
_BOUNDARY = "fer-edge-frame"
_PAGE = Path(__file__).parent / "page.html"
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

logger = logging.getLogger(__name__)


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; ``PORT``, ``:PORT`` and ``HOST`` alone are completed with 127.0.0.1 and 8080.

    Raises:
        ConfigError: it is not an address.
    """
    shape = (
        f"'{text}' is not an address to serve on. Write HOST:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080."
    )
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host, port = ("", port) if port.isdecimal() else (port, str(DEFAULT_PORT))
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(shape)
    if (":" in host and not bracketed) or any(char in host for char in "/@[]?# \t\r\n"):
        raise ConfigError(shape)
    return host or DEFAULT_HOST, int(port)


class PageSink(Sink):
    """Serves the live page in a thread until it is closed."""

    def __init__(self, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
        """Start to serve; port 0 takes a free one.

        Raises:
            OutputError: the address is taken, forbidden or not of this machine.
        """
        self._hub = Hub()
        self._drawn = False
        try:
            self._server = _Server(host, port, self._hub)
        except OSError as error:
            raise OutputError(_refusal(host, port, error)) from error
        self._local = _is_loopback(host)
        self._host = host
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="live page", daemon=True
        )
        self._thread.start()

    @property
    def needs_drawing(self) -> bool:
        """Only while somebody watches."""
        self._drawn = self._hub.viewers > 0
        return self._drawn

    @property
    def url(self) -> str:
        """The address to type into a browser."""
        host = self._host
        if host in ("0.0.0.0", "::"):  # noqa: S104 compared, not bound
            host = _own_address()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Show one frame; never waits for a viewer."""
        # A viewer who came after ``needs_drawing`` was asked waits for the next frame rather than seeing a bare one.
        self._hub.publish(frame.image if self._drawn else None, result)

    def close(self) -> None:
        """Dismiss the viewers and free the port."""
        if self._thread.is_alive():
            self._hub.close()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def describe(self) -> str:
        """The address, and who can see it when that is not only this machine."""
        return self.url if self._local else f"{self.url} (open to everybody on this network)"


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _own_address() -> str:
    """This machine's address in its network; nothing is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _refusal(host: str, port: int, error: OSError) -> str:
    hints = {
        errno.EADDRINUSE: f"port {port} is taken. Choose another: --serve {host}:{port + 1 if port < 65535 else 8080}",
        errno.EACCES: f"port {port} needs administrator rights. Choose one from 1024: --serve {host}:8080",
        errno.EADDRNOTAVAIL: f"{host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for the network",
    }
    reason = hints.get(error.errno or 0, f"{error.strerror or error}. Use 127.0.0.1, or 0.0.0.0 for the network")
    return f"The live page cannot be served on {host}:{port}: {reason}."


class _Server(ThreadingHTTPServer):
    """Counts its connections; looks no name up, which can take seconds without a network."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, host: str, port: int, hub: Hub) -> None:
        self.hub = hub
        self.page = _PAGE.read_bytes()
        self.only_local = _is_loopback(host)
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a viewer's connection failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "fer-edge"
    sys_version = ""
    # Seconds that a viewer may take for a request or for receiving a picture.
    timeout = 10

    def do_GET(self) -> None:
        """One of the four addresses."""
        if not self._host_allowed():
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"This page answers to localhost only.\n")
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif path == "/state.json":
            self._send(HTTPStatus.OK, "application/json", json.dumps(_state(self.server.hub), default=float).encode())
        elif path == "/stream.mjpg" and self.command == "GET":
            self._stream()
        elif path == "/frame.jpg" and self.command == "GET":
            self._snapshot()
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"Not here. The page is at /\n")

    do_HEAD = do_GET  # noqa: N815 http.server calls it so

    def _host_allowed(self) -> bool:
        """Against DNS rebinding: a foreign page whose name points to 127.0.0.1 sends its own name as Host."""
        if not self.server.only_local:
            return True
        with suppress(ValueError):
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            return host is not None and _is_loopback(host)
        return False

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self._send_common(kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_common(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        # A foreign page may not embed the camera's picture.
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")

    def _snapshot(self) -> None:
        with self.server.hub.viewer(MAX_VIEWERS) as admitted:
            found = self.server.hub.wait_jpeg(0, SNAPSHOT_S) if admitted else None
        if found is None:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"No picture now.\n")
        else:
            self._send(HTTPStatus.OK, "image/jpeg", found[1])

    def _stream(self) -> None:
        self.close_connection = True
        hub = self.server.hub
        with hub.viewer(MAX_VIEWERS) as admitted:
            if not admitted:
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"Too many viewers.\n")
                return
            self.send_response(HTTPStatus.OK)
            self._send_common(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.send_header("Connection", "close")
            self.end_headers()
            number, jpeg = 0, b""
            while not hub.closed:
                found = hub.wait_jpeg(number, REPEAT_S)
                number, jpeg = found or (number, jpeg)
                if jpeg:
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Not on stderr, where the status line is."""
        logger.debug("page: " + format, *args)


def _state(hub: Hub) -> dict[str, Any]:
    """What the page shows beside the picture: the JSON Lines record with rate, stages and colours."""
    result = hub.result
    if result is None:
        return {"running": not hub.closed, "faces": []}
    labels = {UNCERTAIN, *(name for face in result.faces for name in face.scores)}
    return {
        **result.as_json(),
        "running": not hub.closed,
        "fps": round(result.fps, 1),
        "stages_ms": {name: round(value, 2) for name, value in result.stages_ms.items()},
        "colours": {name: "#{2:02x}{1:02x}{0:02x}".format(*label_colour(name)) for name in labels},
        "viewers": hub.viewers,
    }
