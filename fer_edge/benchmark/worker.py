"""The worker process: ``python -m fer_edge.benchmark.worker`` reads requests, one JSON object a line, and answers each with a line.

The first request opens the case. The process ends when its standard input does, so it never outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, TextIO

from fer_edge.startup import loaded, start_light
from fer_edge_runtime.errors import FerEdgeError

ACTIONS = ("faces", "clip", "scene", "memory")


def main() -> None:
    """Answer until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; whoever started us decides
    answers = _own_stdout()
    start_light()
    bench: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        try:
            if action == "open":
                bench = _open(request)
                answer = bench.describe()
            elif action in ACTIONS:
                answer = getattr(bench, action)(**request)
            else:
                raise ValueError(f"unknown request {action!r}")
        except FerEdgeError as error:
            answer = {"error": str(error), "exit_code": error.exit_code}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _open(request: dict[str, Any]) -> Any:
    from fer_edge.benchmark.bench import Bench
    from fer_edge.benchmark.case import Case
    from fer_edge_runtime.sources.base import quiet_opencv

    quiet_opencv()
    bench = Bench(Case(**request["case"]), request["clip"])
    loaded()
    return bench


def _own_stdout() -> TextIO:
    """The pipe to whoever asks, for answers alone: what native code writes to standard output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
