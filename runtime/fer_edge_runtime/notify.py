"""What a service manager is told: systemd's notification protocol, sd_notify(3) and sd_watchdog_enabled(3).

Our own because it is one datagram: `sdnotify` has had no release since 2017, `systemd-python` and `cysystemd` need a compiler
and libsystemd on the device.

Only the frame loop calls ``beat``, after a frame was written or while a live source is legitimately waiting for one. A thread
that reports every few seconds would keep a hung program "alive". So a hung inference or output stays silent, and the
watchdog ends it (with SIGABRT, upon which `faulthandler` prints where it hung).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Self

from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    import socket

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE = "WATCHDOG_USEC"
WATCHDOG_PID_VARIABLE = "WATCHDOG_PID"
# How often the status is renewed where no watchdog asks for more.
STATUS_EVERY_S = 10.0


class Notifier:
    """Tells the service manager when the program is ready, that it works, and that it ends.

    Attributes:
        watchdog_s: seconds of silence after which the manager acts; None when it does not watch.
    """

    def __init__(
        self, address: str, *, watchdog_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            address: path of a datagram socket, or ``@name`` for an abstract one.
            watchdog_s: see above.
            clock: seconds, monotonic.
        """
        import socket

        self.watchdog_s = watchdog_s
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = STATUS_EVERY_S if watchdog_s is None else min(STATUS_EVERY_S, watchdog_s / 2)
        self._clock = clock
        self._ready = False
        self._due_s = -inf
        # Never blocking: a manager that does not read must not stop the frames.
        self._socket: socket.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """The notifier that the service manager asks for; None without one.

        Raises:
            ConfigError: the variables hold something that this protocol does not have.
        """
        address = environment.get(SOCKET_VARIABLE, "")
        if not address:
            return None
        if not address.startswith(("/", "@")) or len(address) < 2:
            raise ConfigError(
                f"{SOCKET_VARIABLE}={address!r} cannot be used: it is neither an absolute path nor @name."
            )
        usec, pid = environment.get(WATCHDOG_VARIABLE, ""), environment.get(WATCHDOG_PID_VARIABLE, "")
        if not usec or (pid and pid != str(os.getpid())):
            return cls(address)
        if not usec.isdecimal() or int(usec) == 0:
            raise ConfigError(f"{WATCHDOG_VARIABLE}={usec!r} cannot be used: it is not a number of microseconds.")
        return cls(address, watchdog_s=int(usec) / 1e6)

    def beat(self, status: Callable[[], str]) -> None:
        """Say that the loop goes round: the first time that the program is ready, then twice per watchdog period.

        Args:
            status: gives a few words for ``systemctl status``; called only when something is sent.
        """
        now_s = self._clock()
        if now_s < self._due_s:
            return
        lines = [f"STATUS={' '.join(status().split())}"]
        if not self._ready:
            lines.append("READY=1")
        if self.watchdog_s is not None:
            lines.append("WATCHDOG=1")
        # What was not taken is sent again with the next frame.
        if self._send(lines):
            self._ready = True
            self._due_s = now_s + self._every_s

    def stopping(self) -> None:
        """Say that the program ends; the watchdog stops with it."""
        self._send(["STOPPING=1", "STATUS=Stopping"])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, lines: list[str]) -> bool:
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # a manager that has gone is no reason to end
            return False
        return True
