"""Data sets: fer2013.csv, fer2013new.csv, parquet."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_edge_train.faces import USAGES
from fer_edge_train.ferplus import VOTES, read_votes
from fer_edge_train.readers import read_rows
from fuzzing.mutation import ODD_TEXTS, spoiled_bytes, spoiled_text
from fuzzing.target import InFile

WORDS = (
    ",",
    '"',
    '""',
    "\r",
    "\n",
    "\r\n",
    ";",
    "\t",
    "\0",
    "256",
    "-1",
    "1.5",
    "1e3",
    " ",
    "Training",
    "9" * 5000,
    "0 " * 2304,
    '"' + "a" * 140_000,
)
_PIXELS = " ".join(str(value % 256) for value in range(2304))


class Csv:
    """`read_rows` of a CSV file."""

    def __init__(self) -> None:
        self._file = InFile("fer2013.csv")
        self._rows = [["emotion", "pixels", "Usage"]] + [[str(label), _PIXELS, USAGES[label % 3]] for label in range(4)]

    def make(self, dice: random.Random) -> bytes:
        """A few rows, a cell or the text changed."""
        rows = [list(row) for row in self._rows]
        if dice.random() < 0.6:
            row = dice.choice(rows)
            column = dice.randrange(3)
            row[column] = spoiled_text(dice, row[column], WORDS)
        text = io.StringIO()
        csv.writer(text, quoting=dice.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))).writerows(rows)
        data = text.getvalue().encode("utf-8", "surrogatepass")
        return data if dice.random() < 0.5 else spoiled_bytes(dice, data, [word.encode() for word in WORDS])

    def run(self, data: bytes) -> None:
        """Faces and labels fit together."""
        rows = read_rows(self._file.put(data))
        assert rows.faces.images.shape == (len(rows.faces.labels), 48, 48)


class Votes:
    """`read_votes`."""

    def __init__(self) -> None:
        self._file = InFile("fer2013new.csv")
        line = ",".join(["Training", "fer0000000.png", *("1" for _ in VOTES)])
        self._text = ",".join(["Usage", "Image name", *VOTES]) + f"\n{line}" * 5 + "\n"

    def make(self, dice: random.Random) -> bytes:
        """Five lines, changed."""
        if dice.random() < 0.7:
            return spoiled_text(dice, self._text, WORDS).encode("utf-8", "surrogatepass")
        return spoiled_bytes(dice, self._text.encode())

    def run(self, data: bytes) -> None:
        """A usage for every row of votes; one long word does not make all of them long."""
        usage, votes = read_votes(self._file.put(data))
        assert votes.shape == (len(usage), len(VOTES))
        assert usage.itemsize <= 400


class Parquet:
    """`read_rows` of a parquet file."""

    def __init__(self) -> None:
        self._file = InFile("data.parquet")
        face = cv2.imencode(".png", np.arange(2304).reshape(48, 48).astype(np.uint8))[1].tobytes()
        self._columns: dict[str, Any] = {
            "image": pa.array([face] * 4, pa.binary()), "emotion": pa.array([0, 1, 2, 3]), "usage": pa.array(["Training"] * 4),
            **{f"ferplus_{name.lower()}": pa.array([1, 0, 2, 0]) for name in VOTES},
        }  # fmt: skip
        self._odd = [
            pa.array([None] * 4), pa.array(["x", None, "\u202e", ""]), pa.array([1.5, float("nan"), float("inf"), None]),
            pa.array([-1, 300, 2**60, None]), pa.array([[1], [], None, [2, 3]]), pa.array([{"a": 1}] * 4), pa.array([True, False, None, True]),
            pa.array([b"x", None, b"", face], pa.large_binary()), pa.array([b"abcd"] * 4, pa.binary(4)), pa.array(["a", "b", "a", "b"]).dictionary_encode(),
            pa.array([0, 1, 2, 3], pa.timestamp("ns")), pa.array([0, 1, 2, 3], pa.duration("s")), pa.array([b"x", None, b"", face]),
        ]  # fmt: skip

    def make(self, dice: random.Random) -> bytes:
        """Four rows with odd columns, or damaged as bytes."""
        columns = dict(self._columns)
        if dice.random() < 0.7:
            name = dice.choice(list(columns))
            if dice.random() < 0.2:
                columns[dice.choice(ODD_TEXTS[:30])] = columns.pop(name)
            else:
                columns[name] = dice.choice(self._odd)
        names = list(columns)
        if dice.random() < 0.1:
            names[dice.randrange(len(names))] = dice.choice(names)
        if any("\ud800" in name for name in names):
            names = [name.replace("\ud800", "?") for name in names]
        stream = io.BytesIO()
        table = pa.Table.from_arrays(
            [column.slice(0, dice.choice((4, 4, 4, 4))) for column in columns.values()], names=names
        )
        try:
            pq.write_table(
                table, stream, compression=dice.choice(("none", "snappy", "zstd")), row_group_size=dice.choice((1, 4))
            )
        except pa.ArrowException:  # what cannot be written
            return b"PAR1"
        data = stream.getvalue()
        if dice.random() < 0.5:
            at = dice.choice((0, max(len(data) - dice.choice((8, 600, 3000)), 0)))
            data = data[:at] + spoiled_bytes(dice, data[at:] or b"x")
        return data

    def run(self, data: bytes) -> None:
        """Faces and labels fit together."""
        rows = read_rows(self._file.put(data))
        assert rows.faces.images.shape == (len(rows.faces.labels), 48, 48)
