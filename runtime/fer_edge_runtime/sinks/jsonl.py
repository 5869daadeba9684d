"""JSON Lines: one object a frame."""

from __future__ import annotations

import json
import threading
from typing import Any

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.sinks.lines import LineOutput
from fer_edge_runtime.types import Frame, FrameResult


class JsonLinesSink(Sink):
    """Writes ``FrameResult.as_json`` to a path, or to standard output for ``-``, ASCII only."""

    needs_drawing = False

    def __init__(self, target: str, *, stop: threading.Event | None = None) -> None:
        """Open the output; ``stop`` ends the waiting for a pipe's reader.

        Raises:
            OutputError: it cannot be written there.
        """
        self._lines = LineOutput(target, stop=stop)
        self._started = False

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write one line."""
        if not self._started:
            self._lines.guard(frame.source)
            self._started = True
        try:
            line = compact(result.as_json())
        except ValueError as error:
            raise OutputError(f"{self._lines.target}: frame {result.frame} holds a number that JSON lacks.") from error
        self._lines.write(line + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._lines.close()

    def describe(self) -> str:
        """The path."""
        return self._lines.describe()


def compact(record: dict[str, Any]) -> str:
    """A record on one line, ASCII only.

    Raises:
        ValueError: it holds a number that JSON lacks.
    """
    return json.dumps(record, allow_nan=False, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A numpy number as Python's."""
    return value.item()
