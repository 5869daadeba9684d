"""The table of results, schema 1: its columns, and the facts that travel in its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

SCHEMA = 1
KEY = b"fer_edge"
# What a worker measures, in this order, then a probability a label; columns that it leaves out at the end are null.
MEASURED: tuple[tuple[str, Any], ...] = (
    ("frame", pa.int32()),
    ("time_s", pa.float64()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("face", pa.int32()),
    ("track", pa.int32()),
    ("x1", pa.float32()),
    ("y1", pa.float32()),
    ("x2", pa.float32()),
    ("y2", pa.float32()),
    ("detection_score", pa.float32()),
    ("label", pa.string()),
    ("score", pa.float32()),
)


def table_schema(labels: Sequence[str], facts: dict[str, Any]) -> pa.Schema:
    """The columns of a bundle's labels; ``facts`` go into the metadata under ``fer_edge``, as JSON."""
    fields = [
        pa.field("source", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, kind in MEASURED),
        *(pa.field(f"p_{label}", pa.float32()) for label in labels),
        pa.field("error", pa.string()),
    ]
    return pa.schema(fields, {KEY: json.dumps({"schema": SCHEMA, **facts})})


def facts_of(schema: pa.Schema) -> dict[str, Any]:
    """The facts of a file's metadata; empty for a file that is not ours."""
    try:
        facts = json.loads((schema.metadata or {})[KEY])
    except (KeyError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
