"""A run's history for other tools: ``history.csv`` for spreadsheets, ``tensorboard/`` for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from fer_edge_runtime.errors import OutputError
from fer_edge_train.run_folder import write_whole


class RunLogs:
    """Written after every epoch; a resumed run first brings both up to its history.

    TensorBoard's own writer loads TensorFlow where that is installed and writes from a thread that loses errors; its file
    format is a few records, appended here.
    """

    def __init__(self, path: Path, history: list[dict[str, Any]]) -> None:
        self._csv, self._events = path / "history.csv", path / "tensorboard" / "events.out.tfevents.0.fer-edge"
        if history:
            self._append([_version(), *(_event(row, step) for step, row in enumerate(history, 1))], mode="wb")
            self._write_csv(history)

    def write(self, history: list[dict[str, Any]]) -> None:
        """Add the last epoch.

        Raises:
            OutputError: a file cannot be written.
        """
        start = [] if self._events.exists() else [_version()]
        self._append([*start, _event(history[-1], len(history))], mode="ab")
        self._write_csv(history)

    def _write_csv(self, history: list[dict[str, Any]]) -> None:
        write_whole(self._csv, lambda temporary: pd.DataFrame(history).to_csv(temporary, index=False))

    def _append(self, events: list[Any], *, mode: str) -> None:
        try:
            self._events.parent.mkdir(exist_ok=True)
            with self._events.open(mode) as file:
                writer = RecordWriter(file)
                for event in events:
                    writer.write(event.SerializeToString())
        except OSError as error:
            raise OutputError(f"{self._events} cannot be written: {error.strerror or error}.") from error


def _version() -> Any:
    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _event(row: dict[str, Any], step: int) -> Any:
    values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if isinstance(value, float)]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))
