"""The votes of FER+ (arXiv 1608.01041): ten people looked at every face of FER2013 again.

``fer2013new.csv`` has one line for every line of ``fer2013.csv``, in the same order.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.faces import FER2013_LABELS, USAGES, FaceDataset, Rows
from fer_edge_train.labels import shares, take

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
LABELS8 = (*FER2013_LABELS, "contempt")
# The column of each class of `LABELS8` among `VOTES`.
_ORDER = [VOTES.index(n) for n in ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")]  # fmt: skip
_NO_EMOTION = [VOTES.index("unknown"), VOTES.index("NF")]
FILE_NAME = "fer2013new.csv"


def with_votes(rows: Rows, ferplus: Path | None) -> NDArray[np.uint8]:
    """(N, 10) votes of the rows: from ``ferplus``, from the data's own columns, or from ``fer2013new.csv`` beside it.

    Raises:
        DataError: there are none, or they are of other rows.
    """
    source = Path(rows.faces.source)
    if rows.faces.names != FER2013_LABELS or source.is_dir():
        raise DataError(
            f"FER+ votes belong to the rows of fer2013.csv, and {source} does not have them. "
            "Give the parquet or CSV file of FER2013, or use data.ferplus = 'none'."
        )
    if ferplus is None and rows.votes is not None:
        return rows.votes
    path = ferplus or source.with_name(FILE_NAME)
    if not path.is_file():
        raise DataError(
            f"The recipe asks for FER+ votes and there are none at {path}. Put {FILE_NAME} of github.com/microsoft/FERPlus "
            "beside the data, name it with --ferplus, or use data.ferplus = 'none'."
        )
    usage, votes = read_votes(path)
    expected = len(rows.positions) + len(rows.broken)
    if len(votes) != expected:
        raise DataError(
            f"{path} has {len(votes):,} rows, {source} has {expected:,}; the votes must be of the same rows in the same order."
        )
    other = np.flatnonzero(usage[rows.positions] != rows.faces.usage)
    if len(other):
        row = int(other[0])
        raise DataError(
            f"{path}: row {rows.positions[row]} is of {usage[rows.positions[row]]}, in {source} it is of "
            f"{rows.faces.usage[row]}; the votes must be of the same rows in the same order."
        )
    return votes[rows.positions]


def read_votes(path: Path) -> tuple[NDArray[np.str_], NDArray[np.uint8]]:
    """(N,) usages and (N, 10) votes of a ``fer2013new.csv``.

    Raises:
        DataError: a column is missing or a line holds something else than small numbers.
    """
    usage: list[str] = []
    votes: list[list[int]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(lines, [])]
            missing = [name for name in ("Usage", *VOTES) if name not in header]
            if missing:
                raise DataError(
                    f"{path} lacks the column(s) {', '.join(missing)} of {FILE_NAME}; found: {', '.join(header)}."
                )
            part, columns = header.index("Usage"), [header.index(name) for name in VOTES]
            for line in lines:
                if not line:
                    continue
                try:
                    numbers = [int(line[column]) for column in columns]
                    if not 0 <= min(numbers) <= max(numbers) <= 255:
                        raise ValueError
                    usage.append(line[part].strip())
                except (ValueError, IndexError):
                    raise DataError(
                        f"{path}, line {lines.line_num}: the votes must be ten numbers, 0 to 255."
                    ) from None
                if usage[-1] not in USAGES:  # one long word would make all of the array's as long
                    raise DataError(
                        f"{path}, line {lines.line_num}: unknown usage {usage[-1][:20]!r}; known: {', '.join(USAGES)}."
                    )
                votes.append(numbers)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    return np.array(usage, np.str_), np.array(votes, np.uint8).reshape(-1, len(VOTES))


def apply_votes(data: FaceDataset, votes: NDArray[np.uint8], mode: str, weight: float) -> FaceDataset:
    """The data set with soft targets from votes.

    Args:
        data: FER2013's rows with its seven labels.
        votes: (N, 10) in the order of `VOTES`.
        mode: ``soft7`` keeps labels and rows; contempt is no class, so those votes do not count. ``soft8`` takes the class with
            the most votes as label and leaves out the rows that most taggers find unknown or not a face; a tie goes to
            FER2013's label where it is among the first, else to the class that comes first.
        weight: share of the votes in a target, the label has the rest. A row without any vote for a class is its label.
    """
    classes = len(FER2013_LABELS) if mode == "soft7" else len(LABELS8)
    chosen = votes[:, _ORDER[:classes]].astype(np.float32)
    if mode == "soft8":
        clear = np.flatnonzero(chosen.max(axis=1) >= np.maximum(votes[:, _NO_EMOTION].max(axis=1), 1))
        data, chosen = take(data, clear), chosen[clear]
        ranked = chosen.copy()
        ranked[np.arange(len(data.labels)), data.labels] += 0.5
        data = replace(data, labels=ranked.argmax(axis=1), names=LABELS8)
    certain = np.eye(classes, dtype=np.float32)[data.labels]
    return replace(data, targets=(1 - weight) * certain + weight * shares(chosen, data.labels))
