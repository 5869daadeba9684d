"""Labelled faces for a bundle that may have been trained on other data: classes mapped, FER+ majorities, class folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.label_map import LEFT_OUT, label_numbers
from fer_edge_export.subject import Subject
from fer_edge_runtime.errors import DataError
from fer_edge_train.data import usable
from fer_edge_train.faces import FaceDataset, Rows
from fer_edge_train.ferplus import apply_votes, with_votes
from fer_edge_train.splits import fill_missing

FERPLUS_ONLY = ("contempt",)
CLOSE_UP = 128  # pixels: larger pictures are seldom a cut-out face


@dataclass(frozen=True, slots=True)
class Labelled:
    """Faces with the labels that a model should give them.

    Attributes:
        images: (N, 48, 48) uint8; of a large picture the whole, made small.
        labels: (N,) int64 of the model's labels; -1 where the model has none for the face.
        pictures: the file of every face; empty where the data is one file.
        large: how many pictures of the whole data set are too large to be a cut-out face.
        digest: SHA-256 of the data set, comparable with that of a training run.
        trained_on_this_data: None where the two cannot be compared.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    pictures: list[Path]
    large: int
    digest: str
    trained_on_this_data: bool | None


def read_labelled(
    path: Path, subject: Subject, *, split: str, mapping: Mapping[str, str], votes: str, ferplus: Path | None, skip_bad: bool,
    say: Callable[[str], None],
) -> Labelled:  # fmt: skip
    """Read a data set for a model.

    Args:
        path: of the data set.
        subject: the model.
        split: a usage as the files give it, or ``all``.
        mapping: class of the data -> label, see `fer_edge.benchmark.label_map.read_map`.
        votes: ``ferplus`` labels FER2013's rows by most of the ten FER+ votes, and leaves out what most found unknown or not a
            face; ``own`` keeps the data's labels.
        ferplus: the votes when they are not beside the data.
        skip_bad: leave broken rows out.
        say: told what was left out.

    Raises:
        DataError: the data cannot be read, a class has no label, or the part is empty.
        ConfigError: the map does not fit.
    """
    rows = usable(path, skip_bad=skip_bad, say=say)
    data, trained = rows.faces, _compare(rows, subject)
    if votes == "ferplus":
        data = apply_votes(data, with_votes(rows, ferplus), "soft8", 0.0)
        lost = len(rows.places) - len(data.labels)
        if lost:
            say(f"Left out: {lost:,} faces that most FER+ taggers find unknown or not a face.")
    numbers = label_numbers(
        data.names, subject.labels, mapping, may_be_unknown=FERPLUS_ONLY if votes == "ferplus" else ()
    )
    _say_left_out(data, numbers, say)
    labels = numbers[data.labels]
    kept = np.flatnonzero((labels != LEFT_OUT) & ((data.usage == split) | (split == "all")))
    if not len(kept):
        found = ", ".join(sorted(set(data.usage.tolist())))
        raise DataError(f"{path} has no faces left for --split {split}; its files name: {found}. Try --split all.")
    pictures = [path / rows.places[row] for row in kept] if path.is_dir() else []
    large = sum(count for size, count in rows.sizes.items() if max(size) > CLOSE_UP)
    return Labelled(data.images[kept], labels[kept], pictures, large, *trained)


def _compare(rows: Rows, subject: Subject) -> tuple[str, bool | None]:
    """The digest as a training run would have it, and whether it is that of the model's; None when its recipe changed the rows."""
    data, recipe = rows.faces, subject.recipe
    if Path(data.source).is_dir():
        data = replace(data, usage=fill_missing(data.usage, data.labels, recipe.seed if recipe else 7))
    digest = data.digest()
    if subject.digest is None:
        return digest, None
    if digest == subject.digest:
        return digest, True
    options = recipe.data if recipe else None
    changed = (
        options is None or options.classes or options.per_class or options.align != "none" or options.ferplus == "soft8"
    )
    return digest, None if changed or (recipe and recipe.split != "usage") else False


def _say_left_out(data: FaceDataset, numbers: NDArray[np.int64], say: Callable[[str], None]) -> None:
    for name, number in zip(data.names, numbers.tolist(), strict=True):
        if number == LEFT_OUT:
            say(
                f"{int(np.sum(data.labels == data.names.index(name))):,} faces of '{name}' are left out, as --map says."
            )
