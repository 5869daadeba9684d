"""Keep what native code prints away from the terminal: inference libraries announce themselves there and have no switch for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Said:
    """What native code printed inside `captured`; filled when the block ends."""

    text = ""


@contextmanager
def discarded() -> Iterator[None]:
    """Send what native code writes to stderr nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with _instead_of((2,), nowhere):
        yield


@contextmanager
def captured() -> Iterator[Said]:
    """Keep what native code writes to stdout and stderr, for a message; stdout too, because it may carry a run's JSON.

    A process that dies inside leaves it in the temporary folder, as ``fer-edge-native-*``, for whoever looks for the reason.
    """
    import tempfile

    said = Said()
    with tempfile.NamedTemporaryFile(prefix="fer-edge-native-") as file:
        try:
            with _instead_of((1, 2), os.dup(file.fileno())):
                yield said
        finally:
            file.seek(0)
            said.text = file.read().decode(errors="replace")


@contextmanager
def _instead_of(streams: tuple[int, ...], target: int) -> Iterator[None]:
    """File descriptors 1 or 2 lead to ``target`` inside the block, which is closed at its end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    kept = {stream: os.dup(stream) for stream in streams}
    try:
        for stream in streams:
            os.dup2(target, stream)
        yield
    finally:
        if 1 in streams and sys.stdout is not None:
            sys.stdout.flush()
        for stream, original in kept.items():
            os.dup2(original, stream)
            os.close(original)
        os.close(target)
