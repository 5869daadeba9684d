"""How much of everything, so that no client can take the device from the others or from the camera."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

MAX_CLIENTS = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one server.

    Attributes:
        connections: at a time.
        client_connections: at a time from one address; not for this machine's own, where a reverse proxy may be.
        accepts: new connections a second, over all; more wait in the system's queue.
        requests: a second from one address; twice as many at once. 0 for no limit.
        penalty_s: how long the answer to one request too many is held back.
        header_bytes: of request line and headers.
        header_s: for all headers of a request, and for doing nothing between two requests.
        body_bytes: of one request's body.
        body_s: for all of a body.
        buffered_bytes: of all unfinished bodies together.
        pixels: of one picture.
        queue: pictures that wait for the one that is being looked at.
        viewers: of the live stream.
        write_s: a viewer who takes longer for one picture is dismissed.
    """

    connections: int = 256
    client_connections: int = 32
    accepts: float = 100.0
    requests: float = 50.0
    penalty_s: float = 1.0
    header_bytes: int = 16 * 1024
    header_s: float = 10.0
    body_bytes: int = 16 * 2**20
    body_s: float = 20.0
    buffered_bytes: int = 64 * 2**20
    pixels: int = 25_000_000
    queue: int = 16
    viewers: int = 8
    write_s: float = 10.0


class Bucket:
    """Lets ``burst`` through at once and ``per_s`` a second after that."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Full."""
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at_s = clock()

    def take(self) -> float:
        """Take one; seconds until the next is there, 0 when this one was."""
        now_s = self._clock()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_s


class Rates:
    """A bucket for each client; the ones longest unseen are forgotten."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody is known; ``per_s`` 0 means no limit."""
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, client: str) -> float:
        """As `Bucket.take`, for one client."""
        if self._per_s <= 0:
            return 0.0
        key = client_key(client)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._per_s, self._burst, self._clock)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take()


def client_key(address: str) -> str:
    """The address, of IPv6 its network: a client there has 2**64 addresses of its own."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None and not parsed.is_loopback:
        return parsed.exploded[:19]
    return address
