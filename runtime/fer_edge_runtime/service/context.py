"""What every answer of one server needs: its rules, its figures and how its work is going."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fer_edge_runtime.service.access import Access
from fer_edge_runtime.service.limits import Limits, Rates
from fer_edge_runtime.service.metrics import Counters, family, process_text

# Wrong tokens: ten at once, then one every five seconds from an address.
WRONG_TOKENS_PER_S, WRONG_TOKENS = 0.2, 10


class Health(NamedTuple):
    """How the work is going.

    Attributes:
        live: whether it goes on, or waits for good reason; a supervisor restarts what is not live.
        ready: whether results come now.
        details: for those who may know more.
    """

    live: bool
    ready: bool
    details: dict[str, Any]


class Context:
    """Shared by the requests of one server; `begin` and `end` run in the server's loop.

    Attributes:
        access: who may ask.
        limits: how much.
        rates: requests of each client.
        failures: wrong tokens of each client.
        requests: requests answered, by path of a route and status.
        turned_away: connections that were one too many.
        connections: open now.
    """

    def __init__(self, access: Access, limits: Limits) -> None:
        """Nobody has asked yet."""
        self.access = access
        self.limits = limits
        self.rates = Rates(limits.requests, max(1.0, 2 * limits.requests))
        self.failures = Rates(WRONG_TOKENS_PER_S, WRONG_TOKENS)
        self.requests = Counters("fer_edge_http_requests_total", "Requests answered.", ("path", "code"))
        self.turned_away = Counters("fer_edge_http_turned_away_total", "Connections refused, one too many.")
        self.connections: Callable[[], int] = lambda: 0

    async def begin(self) -> None:
        """Before the first request."""

    async def end(self) -> None:
        """After the last."""

    def health(self) -> Health:
        """How the work is going now."""
        raise NotImplementedError

    def metrics(self) -> str:
        """All figures, as Prometheus reads them."""
        return "".join([
            self.requests.text(), self.turned_away.text(),
            family("fer_edge_http_connections", "gauge", "Open connections.", [((), self.connections())]),
            process_text(),
        ])  # fmt: skip
