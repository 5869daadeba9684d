"""Keep TensorFlow's chatter off the terminal without losing it when something fails."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_KEPT_BYTES = 4000


@contextmanager
def quiet() -> Iterator[Callable[[], str]]:
    """Send what C++ code writes to stderr into a temporary file; Python's own ``sys.stderr`` stays on the terminal.

    Yields:
        A function that returns the last 4,000 bytes of what was written, for an error message.
    """
    terminal = sys.stderr
    try:
        terminal.flush()
        saved = os.dup(2)
    except OSError:  # no stderr at all: nothing to keep quiet
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def tail() -> str:
            size = os.fstat(sink.fileno()).st_size
            return os.pread(sink.fileno(), _KEPT_BYTES, max(0, size - _KEPT_BYTES)).decode(errors="replace").strip()

        python_stderr = None
        if _writes_to_fd2(terminal):
            python_stderr = os.fdopen(os.dup(saved), "w", buffering=1, encoding="utf-8", errors="replace")
            sys.stderr = python_stderr
        os.dup2(sink.fileno(), 2)
        try:
            yield tail
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if python_stderr is not None:
                sys.stderr = terminal
                python_stderr.close()


def _writes_to_fd2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
