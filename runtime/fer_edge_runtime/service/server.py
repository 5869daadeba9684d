"""An HTTP server in a thread of its own: Tornado with bounds on connections, headers, bodies and time."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket
from tornado.web import Application, RequestHandler

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.service.address import is_loopback, refusal, url_of
from fer_edge_runtime.service.context import Context
from fer_edge_runtime.service.handler import NotFound
from fer_edge_runtime.service.limits import Bucket, client_key

Route = tuple[str, type[RequestHandler]]
BACKLOG = 128
# A client too many is sent away at this pace; whoever tries again at once waits in the backlog.
TURNED_AWAY_S = 0.02
STOP_S = 1.0
JOIN_S = 5.0

logger = logging.getLogger(__name__)
# 4xx answers and broken connections are a client's business; Tornado would write them to stderr.
logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
logging.getLogger("tornado.general").setLevel(logging.CRITICAL)


class Server:
    """Serves some routes until it is closed.

    Attributes:
        port: where it listens.
        url: the address for a browser.
    """

    def __init__(
        self, host: str, port: int, routes: Sequence[Route], context: Context, *, what: str, option: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """Start to serve; port 0 takes a free one.

        Args:
            host: to listen on.
            port: to listen on.
            routes: regular expressions of whole paths, and who answers.
            context: what the answers need.
            what: is served, for an error's sentence.
            option: where the address came from, for the same.
            tls: speak HTTPS.

        Raises:
            OutputError: the address is taken, forbidden or not of this machine.
        """
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            both = host == "::" and socket.has_dualstack_ipv6()
            self._door = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
        except OSError as error:
            raise OutputError(refusal(what, option, host, port, error)) from error
        self._door.setblocking(False)
        self.port = int(self._door.getsockname()[1])
        self.url = url_of(host, self.port, secure=tls is not None)
        self._routes = list(routes)
        self._context = context
        self._tls = tls
        self._streams: dict[IOStream, str] = {}
        self._clients: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name=what, daemon=True)
        self._thread.start()
        started.wait()

    def close(self) -> None:
        """Dismiss everybody and free the port; safe to call twice."""
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # it is closing already
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(JOIN_S)

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except Exception:
            logger.exception("the HTTP server ended by a fault")
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        context, limits = self._context, self._context.limits
        context.connections = lambda: len(self._streams)
        application = Application(
            self._routes, default_handler_class=NotFound, log_function=_no_log, context=context, compress_response=False
        )
        server = _Counted(
            application, max_header_size=limits.header_bytes, idle_connection_timeout=limits.header_s,
            body_timeout=limits.body_s + limits.penalty_s + 1, max_body_size=2**50,  # the handlers count, and say 413
        )  # fmt: skip
        server.forget = self._forget
        await context.begin()
        accepts = Bucket(limits.accepts, limits.connections)
        accepting = asyncio.create_task(self._accept(server, accepts))
        started.set()
        try:
            await self._stopping.wait()
        finally:
            accepting.cancel()
            with suppress(asyncio.CancelledError):
                await accepting
            self._door.close()
            await context.end()
            for stream in list(self._streams):
                stream.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(server.close_all_connections(), STOP_S)

    async def _accept(self, server: HTTPServer, accepts: Bucket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._door)
            except OSError as error:  # no more file descriptors, or the client has gone
                logger.debug("a connection could not be taken: %s", error)
                await asyncio.sleep(TURNED_AWAY_S)
                continue
            client = str(address[0])
            if self._has_room(client):
                try:
                    self._welcome(connection, address, client, server)
                except Exception:  # whatever one client did, the others get in
                    logger.exception("a connection could not be served")
                    connection.close()
            else:
                connection.close()
                self._context.turned_away.add()
                await asyncio.sleep(TURNED_AWAY_S)
            while wait_s := accepts.take():
                await asyncio.sleep(wait_s)

    def _has_room(self, client: str) -> bool:
        limits = self._context.limits
        mine = self._clients[client_key(client)]
        return len(self._streams) < limits.connections and (is_loopback(client) or mine < limits.client_connections)

    def _welcome(self, connection: socket.socket, address: Any, client: str, server: HTTPServer) -> None:
        stream: IOStream
        if self._tls is None:
            stream = IOStream(connection)
        else:
            try:
                wrapped = ssl_wrap_socket(connection, self._tls, server_side=True, do_handshake_on_connect=False)
            except OSError:
                connection.close()
                return
            stream = SSLIOStream(wrapped)
        server.handle_stream(stream, address)
        self._streams[stream] = key = client_key(client)
        self._clients[key] += 1

    def _forget(self, stream: IOStream) -> None:
        key = self._streams.pop(stream, None)
        if key is not None:
            self._clients[key] -= 1
            if self._clients[key] <= 0:
                del self._clients[key]


class _Counted(HTTPServer):
    """Tells when a connection has ended."""

    forget: Callable[[IOStream], None]

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        if isinstance(server_conn, HTTP1ServerConnection):
            self.forget(server_conn.stream)


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """HTTPS with a certificate (chain) and its private key, PEM; None without.

    Raises:
        ConfigError: one is missing or cannot be used.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("HTTPS needs both a certificate and its private key.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")  # never ask at the terminal
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise ConfigError(f"The certificate {certificate} with the key {key} cannot be used: {reason}.") from error
    return context


def _no_log(_handler: RequestHandler) -> None:
    """Requests are counted, not written down."""
