"""CSV: one row a face, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Sequence
from typing import Any

from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.sinks.lines import LineOutput
from fer_edge_runtime.types import Frame, FrameResult

COLUMNS = ("source", "frame", "time_s", "track", "label", "score", "x1", "y1", "x2", "y2")


class CsvSink(Sink):
    """Writes ``source,frame,time_s,track,label,score,x1,y1,x2,y2,<a column a label>``; the header always comes."""

    needs_drawing = False

    def __init__(self, target: str, *, labels: Sequence[str], stop: threading.Event | None = None) -> None:
        """Open the output, a path or ``-``, and write the header; ``stop`` ends the waiting for a pipe's reader.

        Raises:
            OutputError: it cannot be written there.
        """
        self._labels = tuple(labels)
        self._lines = LineOutput(target, stop=stop)
        self._started = False
        self._lines.write(_row([*COLUMNS, *self._labels]))

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write the rows of one frame."""
        if not self._started:
            self._lines.guard(frame.source)
            self._started = True
        rows = []
        for face in result.faces:
            known = face.as_json()
            box, scores = known["box"], known["scores"]
            where = [result.source, result.frame, round(result.time_s, 4), "" if face.track is None else face.track]
            rows.append(
                _row([*where, face.label, known["score"], *box, *(scores.get(name, "") for name in self._labels)])
            )
        if rows:
            self._lines.write("".join(rows))

    def close(self) -> None:
        """Finish the file."""
        self._lines.close()

    def describe(self) -> str:
        """The path."""
        return self._lines.describe()


def _row(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
