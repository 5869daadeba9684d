"""A part: a small parquet file with the rows of a few inputs, which says itself which inputs those are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fer_edge.archive.inputs import Input

INPUTS = b"fer_edge.inputs"
FLUSH_ROWS = 20_000


class Covered(NamedTuple):
    """An input that a part holds all rows of.

    Attributes:
        item: the input.
        frames: frames that were looked at.
        faces: rows with a face.
        bad: whether it, or its rest, cannot be read.
    """

    item: Input
    frames: int
    faces: int
    bad: bool


class PartWriter:
    """Writes the rows of one input after the other; an input counts once it is finished, or not at all.

    An input that takes more rows than are kept in memory must be alone in its part.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Write to ``path``, which is created or emptied."""
        self._path, self._schema = path, schema
        self._writer: Any = None
        self._finished: list[list[Any]] = []
        self._current: list[list[Any]] = []
        self._frames = self._faces = 0
        self._flushed_current = False
        self.covered: list[Covered] = []

    def begin(self) -> None:
        """Start the next input, or the same one again: what came of it until now is forgotten."""
        if self._flushed_current:
            self._close_file()
        self._current = []
        self._frames = self._faces = 0
        self._flushed_current = False

    def add(self, item: Input, rows: list[list[Any]], frames: int) -> None:
        """Take rows as a worker gives them."""
        width = len(self._schema) - 3
        self._current += [[item.source, item.kind, *row, *[None] * (width - len(row)), None] for row in rows]
        self._frames += frames
        self._faces += sum(len(row) > 4 for row in rows)
        if len(self._current) > FLUSH_ROWS:
            self._write(self._finished + self._current)
            self._finished, self._current = [], []
            self._flushed_current = True

    def finish(self, item: Input, problem: str | None) -> None:
        """All of an input is here, with a row that says so when it, or its rest, cannot be read."""
        if problem is not None:
            nothing = [None] * (len(self._schema) - 3)
            self._current.append([item.source, item.kind, *nothing, problem])
        self._finished += self._current
        self.covered.append(Covered(item, self._frames, self._faces, problem is not None))
        self._flushed_current = False
        self.begin()
        if len(self._finished) > FLUSH_ROWS:
            self._write(self._finished)
            self._finished = []

    def close(self) -> bool:
        """Complete the file; False, and no file, when no input was finished."""
        if not self.covered or self._flushed_current:
            self._close_file()
            self._path.unlink(missing_ok=True)
            return False
        self._write(self._finished)
        self._writer.add_key_value_metadata({INPUTS: json.dumps(self.covered)})
        self._close_file()
        return True

    def _write(self, rows: list[list[Any]]) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        columns = zip(*rows, strict=True) if rows else [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.table(arrays, schema=self._schema))

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def covered_by(path: Path) -> list[Covered]:
    """What a part holds.

    Raises:
        ValueError: it is damaged, or no part.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return [Covered(Input(*item), *rest) for item, *rest in json.loads(metadata[INPUTS])]
    except (OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
