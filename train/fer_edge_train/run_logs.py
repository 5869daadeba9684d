"""A run's history for other tools: ``history.csv`` for spreadsheets, ``tensorboard/`` for TensorBoard."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from tensorboard.summary import Writer

from fer_edge_train.run_folder import write_whole


class RunLogs:
    """Writes after every epoch; the CSV is whole each time, TensorBoard's file grows."""

    def __init__(self, path: Path) -> None:
        self._csv, self._events = path / "history.csv", path / "tensorboard"
        self._writer: Writer | None = None  # made with the first epoch: a run that fails before leaves no empty file

    def write(self, history: list[dict[str, Any]]) -> None:
        """Bring both up to the last epoch."""
        text = io.StringIO()
        rows = csv.DictWriter(text, list(history[-1]))
        rows.writeheader()
        rows.writerows(history)
        write_whole(self._csv, lambda temporary: temporary.write_text(text.getvalue()))
        self._writer = self._writer or Writer(str(self._events))
        for name, value in history[-1].items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, step=len(history))
        self._writer.flush()
