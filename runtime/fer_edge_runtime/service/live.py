"""The live page's answers: page, login, state, stream and single picture."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tornado.iostream import StreamClosedError

from fer_edge_runtime.draw import label_colour
from fer_edge_runtime.service.access import COOKIE, COOKIE_DAYS, Access
from fer_edge_runtime.service.context import Context, Health
from fer_edge_runtime.service.figures import RunFigures
from fer_edge_runtime.service.handler import Handler, HealthHandler, MetricsHandler, Problem, ReadyHandler
from fer_edge_runtime.service.hub import Hub
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.sources.health import SourceState
from fer_edge_runtime.types import UNCERTAIN, FrameResult

# A stream repeats its picture after this long, so that a viewer who has gone is noticed.
REPEAT_S = 5.0
SNAPSHOT_S = 3.0
# A loop that neither finishes a frame nor waits for its source for so long hangs.
HUNG_S = 30.0
MAX_LOGIN_BYTES = 2048
_WAITED_FOR = (SourceState.NOT_STARTED, SourceState.STALLED, SourceState.RECONNECTING)
_BOUNDARY = "fer-edge-frame"
_FOLDER = Path(__file__).parent
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_policy(*pages: str) -> str:
    """Content-Security-Policy under which the inline scripts and styles of these pages run, and no others."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in (found.groups() for page in pages for found in _INLINE.finditer(page)):
        hashes[kind].append(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'")
    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src {' '.join(hashes['script'])}; "
        f"style-src {' '.join(hashes['style'])}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


class LiveContext(Context):
    """What the page shows, and who is looking."""

    def __init__(self, access: Access, limits: Limits, hub: Hub, figures: RunFigures) -> None:
        """Nobody looks yet."""
        super().__init__(access, limits)
        self.hub = hub
        self.figures = figures
        self.page = (_FOLDER / "page.html").read_text("utf-8")
        self.login = (_FOLDER / "login.html").read_text("utf-8")
        self.policy = page_policy(self.page, self.login)
        self._picture: tuple[int, bytes] = (0, b"")
        self._fresh = asyncio.Event()
        self._state: tuple[FrameResult | None, bytes] = (None, b"{}")

    async def begin(self) -> None:
        """Start the thread that encodes pictures for all viewers."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._encode_all, args=(loop,), name="live page pictures", daemon=True).start()

    async def end(self) -> None:
        """Dismiss the viewers."""
        self._fresh.set()

    def _encode_all(self, loop: asyncio.AbstractEventLoop) -> None:
        number = 0
        while not self.hub.closed:
            if self.hub.wait_viewer() and (found := self.hub.wait_jpeg(number, SNAPSHOT_S)) is not None:
                number = found[0]
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._arrived, found)

    def _arrived(self, picture: tuple[int, bytes]) -> None:
        self._picture = picture
        waiting, self._fresh = self._fresh, asyncio.Event()
        waiting.set()

    @asynccontextmanager
    async def viewer(self) -> AsyncIterator[None]:
        """Be counted as a viewer.

        Raises:
            Problem: 503, there are enough.
        """
        with self.hub.viewer(self.limits.viewers) as admitted:
            if not admitted:
                raise Problem(503, f"There are {self.limits.viewers} viewers already.", Retry_After="10")
            if self.hub.viewers == 1:
                self._picture = (self._picture[0], b"")  # of the last time that somebody looked
            yield

    async def picture(self, after: int, timeout_s: float) -> tuple[int, bytes]:
        """The number and JPEG of a picture newer than ``after``, or after the time the last one; empty without any."""
        fresh = self._fresh
        if self._picture[0] <= after or not self._picture[1]:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await fresh.wait()
        return self._picture

    def state(self) -> bytes:
        """What the page shows beside the picture: the JSON Lines record with rate, stages, colours and the source's health."""
        result = self.hub.result
        if result is None or result is not self._state[0]:
            self._state = (result, json.dumps(_record(result), default=float).encode()[:-1])
        health = self.figures.source_health()
        rest = {
            "running": not self.hub.closed,
            "viewers": self.hub.viewers,
            "source_state": None if health is None else health.as_json(),
        }
        return self._state[1] + b", " + json.dumps(rest).encode()[1:]

    def health(self) -> Health:
        """The frame loop's and the source's."""
        source = self.figures.source_health()
        live = self.figures.silent_s() < HUNG_S and not (source is not None and source.state is SourceState.ERROR)
        ready = live and self.figures.frames > 0 and (source is None or source.state not in _WAITED_FOR)
        details: dict[str, Any] = {
            "frames": self.figures.frames, "seconds_since_frame": round(self.figures.idle_s(), 2),
        }  # fmt: skip
        if source is not None:
            details["source"] = source.as_json()
        return Health(live, ready, details)

    def metrics(self) -> str:
        """The run's and the server's."""
        return self.figures.text(self.hub.viewers) + super().metrics()


def _record(result: FrameResult | None) -> dict[str, Any]:
    if result is None:
        return {"faces": []}
    labels = {UNCERTAIN, *(name for face in result.faces for name in face.scores)}
    return {
        **result.as_json(),
        "fps": round(result.fps, 1),
        "stages_ms": {name: round(value, 2) for name, value in result.stages_ms.items()},
        "colours": {name: "#{2:02x}{1:02x}{0:02x}".format(*label_colour(name)) for name in labels},
    }


class LiveHandler(Handler):
    """An answer about the live picture."""

    context: LiveContext


class PageHandler(LiveHandler):
    """``/``: the page, or the login when a token is needed."""

    path = "/"
    public = True

    async def answer(self) -> None:
        """Send one of the two."""
        if self.admitted:
            self.write_page(self.context.page)
        else:
            self.show_login("")

    def write_page(self, text: str) -> None:
        """Answer with HTML."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", self.context.policy)
        self.write(text)

    def show_login(self, problem: str) -> None:
        """Status 401, with a sentence about what went wrong."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Bearer realm="fer-edge"')
        self.write_page(self.context.login.replace("<!--problem-->", problem))


class LoginHandler(PageHandler):
    """``POST /login``: the token of the form becomes a cookie that scripts cannot read."""

    methods = ("POST",)
    path = "/login"
    takes_body = True

    def initialize(self) -> None:
        """No body yet."""
        super().initialize()
        self._form = b""

    async def take(self, chunk: bytes, so_far: int) -> None:
        """A token is short."""
        if so_far > MAX_LOGIN_BYTES:
            raise Problem(413, "A token is shorter.")
        self._form += chunk

    async def answer(self) -> None:
        """To the page with a cookie, or the form again."""
        token = parse_qs(self._form.decode("utf-8", "replace"), max_num_fields=8).get("token", [""])[0].strip()
        if self.context.access.token_needed and not self.context.access.knows(token):
            self.count_wrong_token()
            self.show_login("This is not the token.")
            return
        self.set_cookie(
            COOKIE, self.context.access.cookie, path="/", httponly=True, samesite="Strict",
            secure=self.request.protocol == "https", max_age=COOKIE_DAYS * 86400,
        )  # fmt: skip
        self.set_status(303)
        self.set_header("Location", "/")


class StateHandler(LiveHandler):
    """``/state.json``."""

    path = "/state.json"

    async def answer(self) -> None:
        """The latest frame's."""
        self.set_header("Content-Type", "application/json")
        self.write(self.context.state())


class SnapshotHandler(LiveHandler):
    """``/frame.jpg``: the next annotated picture."""

    methods = ("GET",)
    path = "/frame.jpg"

    async def answer(self) -> None:
        """Wait for it a moment."""
        async with self.context.viewer():
            _, jpeg = await self.context.picture(0, SNAPSHOT_S)
        if not jpeg:
            raise Problem(503, "There is no picture now.", Retry_After="1")
        self.set_header("Content-Type", "image/jpeg")
        self.write(jpeg)


class StreamHandler(LiveHandler):
    """``/stream.mjpg``: pictures without end, each viewer at the pace of their connection."""

    methods = ("GET",)
    path = "/stream.mjpg"
    _gone = False

    async def answer(self) -> None:
        """Until the viewer goes, is too slow, or the run ends."""
        async with self.context.viewer():
            self.set_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.set_header("Connection", "close")
            self.write(f"--{_BOUNDARY}\r\n")
            with suppress(StreamClosedError, TimeoutError):
                await self._stream_pictures()
        self._stream.close()

    async def _stream_pictures(self) -> None:
        number = 0
        await self.flush()
        while not self.context.hub.closed and not self._gone:
            number, jpeg = await self.context.picture(number, REPEAT_S)
            if jpeg:
                # The boundary behind a picture tells the browser to show it now.
                self.write(f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n")
                self.write(jpeg)
                self.write(f"\r\n--{_BOUNDARY}\r\n")
                async with asyncio.timeout(self.context.limits.write_s):
                    await self.flush()

    def on_connection_close(self) -> None:
        """The viewer has gone."""
        super().on_connection_close()
        self._gone = True


LIVE_ROUTES = [
    ("/", PageHandler), ("/login", LoginHandler), (r"/state\.json", StateHandler), (r"/frame\.jpg", SnapshotHandler),
    (r"/stream\.mjpg", StreamHandler), ("/healthz", HealthHandler), ("/readyz", ReadyHandler),
    ("/metrics", MetricsHandler),
]  # fmt: skip
