"""The table from its parts, piece by piece, and the list of what could not be read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fer_edge.archive.inputs import Input
from fer_edge.archive.part import Covered
from fer_edge.archive.table import facts_of
from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import output_error

GROUP_ROWS = 100_000


class Totals(NamedTuple):
    """What the table holds."""

    inputs: int
    frames: int
    faces: int
    bad: int


def errors_file(target: Path) -> Path:
    """Where the list of what could not be read goes: ``results.errors.jsonl`` beside ``results.parquet``."""
    return target.with_name(f"{target.stem}.errors.jsonl")


def digest(inputs: Sequence[Input]) -> str:
    """SHA-256 of names, sizes and times of all inputs, in their order."""
    whole = hashlib.sha256()
    for item in inputs:
        whole.update(json.dumps(item).encode())
    return whole.hexdigest()


def complete_already(target: Path, facts: dict[str, Any]) -> Totals | None:
    """The totals of a results file that was made of the very same things; None for any other, or without one."""
    try:
        found = facts_of(pq.read_schema(target))
    except (OSError, pa.ArrowException):
        return None
    if any(found.get(name) != value for name, value in facts.items()):
        return None
    return Totals(*(int(found[name]) for name in Totals._fields))


def totals_of(parts: dict[Path, list[Covered]]) -> Totals:
    """Of all parts together."""
    covers = [one for covered in parts.values() for one in covered]
    return Totals(
        len(covers), sum(one.frames for one in covers), sum(one.faces for one in covers), sum(one.bad for one in covers)
    )


def assemble(
    target: Path, schema: pa.Schema, parts: dict[Path, list[Covered]], order: Sequence[Input], *, advance: Callable[[int, int], None]
) -> None:  # fmt: skip
    """Write the table and the list of bad inputs; each appears under its name when it is whole.

    Args:
        target: results file.
        schema: of the table, with its facts.
        parts: every input in exactly one of them.
        order: of the inputs; a part takes the place of its first one.
        advance: called with parts done and their number.

    Raises:
        OutputError: it cannot be written; nothing that was there is touched then.
        RuntimeError: a bug: the parts do not cover every input once.
    """
    place = {item: number for number, item in enumerate(order)}
    covers = [one for covered in parts.values() for one in covered]
    if len(covers) != len(order) or {one.item for one in covers} != place.keys():
        raise RuntimeError(f"The parts cover {len(covers)} inputs; there are {len(order)}.")
    errors = errors_file(target)
    new_table, new_errors = (path.with_name(path.name + ".part") for path in (target, errors))
    with ExitStack() as leftovers:
        for path in (new_table, new_errors):
            leftovers.callback(path.unlink, missing_ok=True)
        try:
            _copy(sorted(parts, key=lambda path: place[parts[path][0].item]), schema, new_table, new_errors, advance)
            for path in (new_errors, new_table):
                _to_disk(path)
            if new_errors.stat().st_size:
                new_errors.replace(errors)
            else:
                errors.unlink(missing_ok=True)
            new_table.replace(target)
        except OSError as error:
            raise output_error(target, error) from error


def _copy(parts: list[Path], schema: pa.Schema, table: Path, errors: Path, advance: Callable[[int, int], None]) -> None:
    with pq.ParquetWriter(table, schema, compression="zstd") as writer, errors.open("w", encoding="ascii") as listed:
        waiting: list[pa.Table] = []
        rows = 0
        for number, path in enumerate(parts, 1):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    piece = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
                    for source, problem in zip(
                        *(piece.column(name).to_pylist() for name in ("source", "error")), strict=True
                    ):
                        if problem is not None:
                            listed.write(json.dumps({"source": source, "error": problem}) + "\n")
                    waiting.append(piece)
                    rows += piece.num_rows
                    if rows >= GROUP_ROWS:
                        writer.write_table(pa.concat_tables(waiting))
                        waiting, rows = [], 0
            advance(number, len(parts))
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def refuse_target(target: Path) -> None:
    """Say early that results cannot go there.

    Raises:
        OutputError: the folder is missing or not writable, or it is a folder itself.
    """
    if target.suffix.lower() != ".parquet":
        raise OutputError(f"{target}: results are written as parquet. Give a name that ends in .parquet.")
    if target.is_dir():
        raise OutputError(f"{target}: that is a folder. Give a file name.")
