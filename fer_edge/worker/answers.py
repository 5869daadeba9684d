"""A worker process, seen from inside: one answer a request, until there are no more."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

from fer_edge_runtime.errors import FerEdgeError


def answer_requests(answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    """Answer until standard input ends, so that the process never outlives whoever started it.

    Args:
        answer: takes what is to be done and its arguments; a `FerEdgeError` is told to whoever asked, anything else ends the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; whoever started us decides
    answers = _own_stdout()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            found = answer(request.pop("do"), request)
        except FerEdgeError as error:
            found = {"error": str(error), "exit_code": error.exit_code}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def _own_stdout() -> TextIO:
    """The pipe to whoever asks, for answers alone: what native code writes to standard output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers
