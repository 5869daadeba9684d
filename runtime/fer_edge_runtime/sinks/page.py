"""The live page: the annotated stream, labels and score bars in a browser, with health and metrics beside it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_edge_runtime.service.access import Access, read_token, require_token
from fer_edge_runtime.service.address import DEFAULT_HOST, DEFAULT_PORT, is_loopback, parse_address
from fer_edge_runtime.service.figures import RunFigures
from fer_edge_runtime.service.hub import Hub
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.service.live import LIVE_ROUTES, LiveContext
from fer_edge_runtime.service.server import Server, tls_context
from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.types import Frame, FrameResult

if TYPE_CHECKING:
    from fer_edge_runtime.sources.health import SourceHealth


class PageOptions(NamedTuple):
    """Where and for whom; `page_options` makes one."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    access: Access = Access()
    tls: ssl.SSLContext | None = None
    limits: Limits = Limits()


def page_options(
    address: str, *, token_file: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> PageOptions:
    """What was asked for, checked before anything is opened.

    Args:
        address: ``HOST:PORT``.
        token_file: holds the token, instead of ``FER_EDGE_TOKEN``.
        certificate: for HTTPS, PEM.
        key: its private key.

    Raises:
        ConfigError: the address, the token or the certificate cannot be used, or a token is missing.
    """
    host, port = parse_address(address)
    token = read_token(token_file)
    require_token(token, host, option="--token-file")
    return PageOptions(host, port, Access(token), tls_context(certificate, key))


class PageSink(Sink):
    """Serves the live page in a thread until it is closed."""

    def __init__(
        self, options: PageOptions, *, health: Callable[[], SourceHealth] | None = None,
        counts: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:  # fmt: skip
        """Start to serve; port 0 takes a free one.

        Args:
            options: where and for whom.
            health: of the source.
            counts: of all outputs.

        Raises:
            OutputError: the address is taken, forbidden or not of this machine.
        """
        host, port, access, tls, limits = options
        self._hub = Hub()
        self._figures = RunFigures(health, counts)
        self._drawn = False
        self._local = is_loopback(host)
        context = LiveContext(access, limits, self._hub, self._figures)
        self._server = Server(host, port, LIVE_ROUTES, context, what="The live page", option="--serve", tls=tls)
        self.port = self._server.port
        self.url = self._server.url

    @property
    def needs_drawing(self) -> bool:
        """Only while somebody watches."""
        self._drawn = self._hub.viewers > 0
        return self._drawn

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Show one frame; never waits for a viewer."""
        self._figures.add(result)
        # A viewer who came after ``needs_drawing`` was asked waits for the next frame rather than seeing a bare one.
        self._hub.publish(frame.image if self._drawn else None, result)

    def took(self, stages_ms: Mapping[str, float]) -> None:
        """Count them with the other stages."""
        self._figures.add_stages(stages_ms)

    def idle(self) -> None:
        """The loop lives and waits."""
        self._figures.wait()

    def close(self) -> None:
        """Dismiss the viewers and free the port."""
        self._hub.close()
        self._server.close()

    def describe(self) -> str:
        """The address, and who can see it when that is not only this machine."""
        return self.url if self._local else f"{self.url} (in the whole network; asks for the token)"
