"""Ctrl-C, SIGTERM and a closed terminal: end soon, with everything written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# `timeout` and some terminals send the same signal to a process and to its group; that is still one wish.
ONE_WISH_S = 1.0


class Stopped(BaseException):
    """A signal came while nothing was open yet. Not an ``Exception``: nobody in between may take it for a failure."""


class Stopper:
    """Turns the first signal into an event; one that comes over a second later ends the process at once."""

    def __init__(self, stop: threading.Event) -> None:
        """Take the signals over; one that is ignored, as `nohup` does with SIGHUP, stays so."""
        self._stop = stop
        self._loading = False
        self._first_s: float | None = None
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGTERM, self._handle)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While a model loads, which may include a minute's trial of a GPU, a signal does not wait for its end.

        Raises:
            Stopped: a signal came.
        """
        self._loading = True
        try:
            if self._stop.is_set():
                raise Stopped
            yield
        except Exception as error:
            if self._stop.is_set():  # a native module's import makes an ImportError of whatever ends it
                raise Stopped from error
            raise
        finally:
            self._loading = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        self._stop.set()
        if self._first_s is None:
            self._first_s = now_s
            if self._loading:
                self._loading = False
                raise Stopped
        elif now_s - self._first_s > ONE_WISH_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
