"""Where to listen: addresses as people write them, and why one cannot be used."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress

from fer_edge_runtime.errors import ConfigError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080


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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def url_of(host: str, port: int, *, secure: bool = False) -> str:
    """The address to type into a browser."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 compared, not bound
        host = _own_address()
    return f"http{'s' * secure}://{f'[{host}]' if ':' in host else host}:{port}/"


def _own_address() -> str:
    """This machine's address in its network; nothing is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


def refusal(what: str, option: str, host: str, port: int, error: OSError) -> str:
    """Why ``what`` cannot be served there, and what to write behind ``option`` instead."""
    hints = {
        errno.EADDRINUSE: f"port {port} is taken. Choose another: {option} {host}:{port + 1 if port < 65535 else 8080}",
        errno.EACCES: f"port {port} needs administrator rights. Choose one from 1024: {option} {host}:8080",
        errno.EADDRNOTAVAIL: f"{host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for the network",
    }
    reason = hints.get(error.errno or 0, f"{error.strerror or error}. Use 127.0.0.1, or 0.0.0.0 for the network")
    return f"{what} cannot be served on {host}:{port}: {reason}."
