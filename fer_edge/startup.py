"""Start fast, end fast: what `fer-edge run` does about its own process. A device starts it often; see benchmarks/startup.py."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def start_light() -> None:
    """Before the heavy imports: no thread pool for the linear algebra that a run never uses, no garbage collection yet.

    A crash in native code, and the SIGABRT of a service manager's watchdog, leave a trace on stderr.
    """
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            faulthandler.enable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()


def loaded() -> None:
    """After loading: collect garbage from now on, but never look again at what was loaded to stay."""
    gc.freeze()
    gc.enable()


def leave(code: int = 0) -> NoReturn:
    """End with this exit code without taking the interpreter apart.

    Everything was closed and written before; only memory is left to free, which the system does faster. A capture thread
    that hangs in a camera's driver cannot hold the process back either, nor abort it when the interpreter goes away under it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a closed one is None
            stream.flush()
    os._exit(code)
