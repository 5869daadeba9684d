"""What all answers have in common: who may ask, how often, what a refusal looks like."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio import Future
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from fer_edge_runtime.service import metrics
from fer_edge_runtime.service.access import COOKIE, same_origin
from fer_edge_runtime.service.context import Context

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

NO_CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# A refused body of this size is read to its end, so that the client hears the answer instead of a broken connection.
LINGER_BYTES = 64 * 2**20
LINGER_S = 3.0

logger = logging.getLogger(__name__)


class Problem(HTTPError):  # noqa: N818 RFC 9457 calls it so
    """A refusal: a status, a sentence for a person, further headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        """Such as ``Problem(429, "Too many.", Retry_After="1")``."""
        super().__init__(status)
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@stream_request_body
class Handler(RequestHandler):
    """One route; a body is refused unless a subclass takes it, piece by piece."""

    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    public: ClassVar[bool] = False
    takes_body: ClassVar[bool] = False
    path: ClassVar[str] = "other"

    def initialize(self) -> None:
        """Tornado's constructor for us."""
        self.context: Context = self.settings["context"]
        self.refused = False
        self._received = 0

    def set_default_headers(self) -> None:
        """Headers of every answer, also of errors."""
        self.set_header("Server", "fer-edge")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", NO_CONTENT_POLICY)
        # A foreign page may not embed the camera's picture.
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")

    def compute_etag(self) -> None:
        """None: everything here is of this moment."""

    async def prepare(self) -> None:
        """Before any body: may this be asked, by this client, now?"""
        try:
            await self._check()
        except Problem as problem:
            if not self._has_body or self.request.headers.get("Expect"):
                raise
            await self._refuse_early(problem)

    async def _check(self) -> None:
        headers, access = self.request.headers, self.context.access
        if self.context.rates.take(self.client):
            # Who asks at once again is slowed down, which costs the device less than answering.
            await asyncio.sleep(self.context.limits.penalty_s)
            raise Problem(429, "Too many requests from this address. Ask less often.", Retry_After="1")
        if not access.host_allowed(headers.get("Host", "")):
            raise Problem(403, "Without a token this server answers to localhost only; the Host header names another.")
        site, mode = headers.get("Sec-Fetch-Site", ""), headers.get("Sec-Fetch-Mode", "")
        if not same_origin(headers.get("Origin", ""), headers.get("Host", ""), site, mode):
            raise Problem(403, "Pages of other origins may not ask.")
        if self.request.method not in self.methods:
            raise Problem(405, f"Only {', '.join(self.methods)} here.", Allow=", ".join(self.methods))
        if not self.public:
            self.check_token()
        if self._has_body and not self.takes_body:
            raise Problem(413, "No body is taken here.")

    def check_token(self) -> None:
        """Refuse who has none.

        Raises:
            Problem: 401, or 429 after many wrong ones.
        """
        if not self.admitted:
            if self.request.headers.get("Authorization"):
                self.count_wrong_token()
            raise Problem(
                401, "A token is needed: Authorization: Bearer TOKEN.", WWW_Authenticate='Bearer realm="fer-edge"'
            )

    @property
    def admitted(self) -> bool:
        """Whether the client showed the token, or needs none."""
        return self.context.access.admits(self.request.headers.get("Authorization", ""), self.get_cookie(COOKIE) or "")

    def count_wrong_token(self) -> None:
        """Let nobody try many.

        Raises:
            Problem: 429.
        """
        if wait_s := self.context.failures.take(self.client):
            raise Problem(429, "Too many wrong tokens from this address.", Retry_After=str(int(wait_s) + 1))

    @property
    def client(self) -> str:
        """The peer's address; headers that name another are not believed."""
        return str(self.request.remote_ip)

    @property
    def _stream(self) -> IOStream:
        return cast("HTTP1Connection", self.request.connection).stream

    @property
    def _has_body(self) -> bool:
        headers = self.request.headers
        return headers.get("Content-Length", "0").strip() != "0" or "Transfer-Encoding" in headers

    async def _refuse_early(self, problem: Problem) -> None:
        """Answer now, then read and forget the body for a moment: closing at once would destroy the answer on its way."""
        self.refused = True
        self.clear()
        self._write_problem(problem.status_code, problem.detail, problem.headers)
        self.set_header("Connection", "close")
        loop, stream = asyncio.get_running_loop(), self._stream
        loop.call_later(LINGER_S, stream.close)
        try:
            await self.flush()
        except StreamClosedError:
            return

    async def data_received(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._received += len(chunk)
        if self.refused:
            if self._received > LINGER_BYTES:
                self._stream.close()
            return
        try:
            await self.take(chunk, self._received)
        except Problem as problem:
            await self._refuse_early(problem)

    async def take(self, chunk: bytes, so_far: int) -> None:
        """Take a piece of the body; ``so_far`` counts its bytes.

        Raises:
            Problem: no more of it.
        """

    async def get(self) -> None:
        """Answer, or only finish after an early refusal."""
        if self.refused:
            self.finish()
            self._stream.close()
        else:
            await self.answer()

    head = post = put = delete = patch = options = get

    async def answer(self) -> None:
        """Answer a request with one of ``methods`` whose body has come.

        Raises:
            Problem: it is refused.
        """
        raise NotImplementedError

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> Future[None]:
        """End the answer; a client who does not read it is dismissed."""
        done = super().finish(chunk)
        stream = self._stream
        timer = asyncio.get_running_loop().call_later(self.context.limits.write_s, stream.close)
        done.add_done_callback(lambda _: timer.cancel())
        return done

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A refusal or a fault, as JSON (RFC 9457)."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        detail = error.detail if isinstance(error, Problem) else ""
        headers = error.headers if isinstance(error, Problem) else {}
        if status_code == 405 and not headers:
            detail, headers = "No such method.", {"Allow": ", ".join(self.methods)}
        self._write_problem(status_code, detail, headers)
        self.finish()

    def _write_problem(self, status: int, detail: str, headers: dict[str, str]) -> None:
        title = HTTPStatus(status).phrase
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail or title}) + "\n"
        self.set_status(status)
        self.set_header("Content-Type", "application/problem+json")
        for name, value in headers.items():
            self.set_header(name, value)
        self.set_header("Content-Length", str(len(body.encode())))
        if self.request.method != "HEAD":
            self.write(body)

    def write_json(self, value: Any) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value, default=float) + "\n")

    def on_finish(self) -> None:
        """Count."""
        self.context.requests.add(self.path, str(self.get_status()))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Only faults of ours; nothing of the request but its route."""
        if value is not None and typ is not None and not isinstance(value, (HTTPError, StreamClosedError)):
            logger.error("a fault while answering %s", self.path, exc_info=(typ, value, tb))


class NotFound(Handler):
    """Everything else: there are no files here."""

    methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    public = True

    async def _check(self) -> None:
        await super()._check()
        raise Problem(404, "Nothing is served here.")


class HealthHandler(Handler):
    """``/healthz``: does it live? ``/readyz``: do results come? Details only for those who have the token."""

    public = True
    path = "/healthz"

    async def answer(self) -> None:
        """200 or 503."""
        if self.request.headers.get("Authorization"):
            self.check_token()
        health = self.context.health()
        self._answer(health.live, health.ready, health.details)

    def _answer(self, live: bool, ready: bool, details: dict[str, Any]) -> None:
        self.set_status(200 if live else 503)
        state = "ok" if live and ready else "not ready" if live else "failed"
        self.write_json({"status": state, "ready": ready, **(details if self.admitted else {})})


class ReadyHandler(HealthHandler):
    """``/readyz``."""

    path = "/readyz"

    def _answer(self, live: bool, ready: bool, details: dict[str, Any]) -> None:
        super()._answer(live, ready, details)
        self.set_status(200 if live and ready else 503)


class MetricsHandler(Handler):
    """``/metrics`` for Prometheus."""

    path = "/metrics"

    async def answer(self) -> None:
        """Everything that is counted."""
        self.set_header("Content-Type", metrics.CONTENT_TYPE)
        self.write(self.context.metrics())
