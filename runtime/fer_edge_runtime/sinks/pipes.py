"""Writing to what somebody else reads: a pipe, a terminal. Its reader may be slow, absent or asleep when the run is to end."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from pathlib import Path

# Up to here a write to a pipe is whole or not there, and never waits once there is room at all: POSIX' PIPE_BUF on Linux.
ATOMIC_BYTES = 4096
# How long somebody who does not read may hold up the end of a run.
PATIENCE_S = 1.0
_LOOK_S = 0.1


class ClosedPipe(Exception):  # noqa: N818 not a failure
    """Nobody wants more results: the pipe's reader has gone or the window was closed. End with exit code 0."""


def open_for_reader(path: Path, stop: threading.Event | None) -> int:
    """Open a pipe or device for writing; a pipe's reader is waited for until ``stop`` is set.

    Raises:
        ClosedPipe: the run is to end and no reader came.
        OSError: it cannot be opened.
    """
    if stop is None or not path.is_fifo():
        return os.open(path, os.O_WRONLY)
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if stop.wait(_LOOK_S):
                raise ClosedPipe(f"{path}: nobody came to read it") from None
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def write_all(descriptor: int, data: bytes, stop: threading.Event | None) -> None:
    """Write all of it, however long the reader takes; once ``stop`` is set, it has a second for each piece.

    Raises:
        ClosedPipe: the run is to end and nobody reads.
        OSError: it cannot be written; BrokenPipeError when the reader has gone.
    """
    rest = memoryview(data)
    if stop is None or not hasattr(select, "poll"):  # Windows
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        return
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    until_s: float | None = None
    while rest:
        if room.poll(_LOOK_S * 1000):
            rest = rest[os.write(descriptor, rest[:ATOMIC_BYTES]) :]
            until_s = None
        elif stop.is_set():
            now_s = time.monotonic()
            until_s = until_s or now_s + PATIENCE_S
            if now_s >= until_s:
                raise ClosedPipe("nobody reads")
