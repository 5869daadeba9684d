"""A data set of faces, as a recipe asks for it: read, given its classes and targets, balanced, aligned, split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge_runtime.errors import DataError
from fer_edge_train.config import TrainConfig
from fer_edge_train.faces import FACE_SIZE, FER2013_LABELS, USAGES, FaceDataset, Rows
from fer_edge_train.ferplus import apply_votes, with_votes
from fer_edge_train.labels import balance, regroup
from fer_edge_train.readers import read_rows
from fer_edge_train.splits import fill_missing, split_rows

__all__ = ["FACE_SIZE", "FER2013_LABELS", "USAGES", "FaceDataset", "load_dataset", "load_for"]

LISTED = 10


def _nothing(*_: Any) -> None:
    """Say and show nothing."""


def load_for(
    config: TrainConfig, path: Path, *, skip_bad: bool = False, ferplus: Path | None = None,
    say: Callable[[str], None] = _nothing, progress: Callable[[str, int, int], None] = _nothing,
    parts: tuple[str, ...] = USAGES,
) -> FaceDataset:  # fmt: skip
    """Read what a recipe learns from; training, export and evaluation get the same rows from the same recipe and path.

    Args:
        config: the recipe; ``data``, ``split`` and ``seed`` are looked at.
        path: ``.parquet`` (image, emotion, usage, ferplus_*), ``.csv`` (emotion, pixels, Usage) or a folder
            (``train/<class>/*``, ``test/<class>/*``, ``validation/<class>/*``, or just ``<class>/*``).
        skip_bad: leave broken rows out and say how many; otherwise they are refused.
        ferplus: the votes of FER+ when they are not beside the data.
        say: receives what was left out or changed.
        progress: receives a title, faces done and faces in all while faces are aligned.
        parts: those that must not be empty.

    Raises:
        DataError: the data set is missing, of no known form, has broken rows, no votes, too few rows or an empty part.
        ConfigError: the recipe asks for a class that the data set does not have.
    """
    rows = usable(path, skip_bad=skip_bad, say=say)
    data = rows.faces
    options = config.data
    if options.ferplus != "none":
        before = len(data.labels)
        data = apply_votes(data, with_votes(rows, ferplus), options.ferplus, options.ferplus_weight)
        if len(data.labels) < before:
            say(f"{before - len(data.labels):,} faces are left out: most FER+ taggers find them unknown or not a face.")
    data = balance(regroup(data, options.classes), options.per_class, config.seed)
    if options.align != "none":
        from fer_edge_train.align import align_faces

        def show(done: int, total: int) -> None:
            progress("aligning faces", done, total)

        images, found = align_faces(data.images, options.align, progress=show)
        say(f"{found.sum():,} of {len(images):,} faces were found and straightened; the others stay as they are.")
        data = replace(data, images=images)
    data = _split(data, config.split, config.seed, parts)
    if data.targets is not None:
        certain = np.eye(len(data.names), dtype=np.float32)[data.labels]
        data = replace(data, targets=np.where((data.usage == "Training")[:, None], data.targets, certain))
    return data


def load_dataset(
    path: Path, *, split: str = "usage", seed: int = 7, parts: tuple[str, ...] = USAGES, skip_bad: bool = False,
    say: Callable[[str], None] = _nothing,
) -> FaceDataset:  # fmt: skip
    """Read a data set with its own classes and labels; see `load_for` for the forms.

    Args:
        path: file or folder.
        split: see `fer_edge_train.splits.split_rows`.
        seed: of the split.
        parts: those that must not be empty.
        skip_bad: leave broken rows out.
        say: told which.

    Raises:
        DataError: see `load_for`.
    """
    return _split(usable(path, skip_bad=skip_bad, say=say).faces, split, seed, parts)


def usable(path: Path, *, skip_bad: bool = False, say: Callable[[str], None] = _nothing) -> Rows:
    """The rows of a data set, once its broken rows are skipped or there are none.

    Raises:
        DataError: there are broken rows and ``skip_bad`` is not set; they are listed.
    """
    rows = read_rows(path)
    if not rows.broken:
        return rows
    listed = listed_problems(rows)
    if not skip_bad:
        raise DataError(f"{listed}\nMend them, or leave them out with --skip-bad.")
    if len(np.unique(rows.faces.labels)) < 2:
        raise DataError(f"{listed}\nFewer than two classes are left without them.")
    say(f"{listed}\nThey are left out.")
    return rows


def listed_problems(rows: Rows) -> str:
    """Which rows cannot be used, and why: the first ten, one a line."""
    total = len(rows.broken) + len(rows.places)
    lines = [f"  {place}: {reason}" for place, reason in rows.broken[:LISTED]]
    if len(rows.broken) > LISTED:
        lines.append(f"  … and {len(rows.broken) - LISTED:,} more")
    return "\n".join([f"{rows.faces.source}: {len(rows.broken):,} of {total:,} rows cannot be used:", *lines])


def _split(data: FaceDataset, split: str, seed: int, parts: tuple[str, ...]) -> FaceDataset:
    folders = Path(data.source).is_dir()
    usage = split_rows(data.usage, data.labels, split, seed)
    if folders and split == "usage":
        usage = fill_missing(usage, data.labels, seed)
    for part in parts:
        if not np.any(usage == part):
            found = ", ".join(sorted(set(usage.tolist()))) or "no rows at all"
            hint = (
                "Try split = '80-20'." if split == "usage" and not folders else "Give more faces of each class."
            )  # fmt: skip
            raise DataError(f"{data.source} has no rows for {part}; found: {found}. {hint}")
        missing = set(range(len(data.names))) - set(data.labels[usage == part].tolist())
        if missing and not np.array_equal(usage, data.usage):  # a part that was made here
            names = ", ".join(data.names[label] for label in sorted(missing))
            raise DataError(
                f"{data.source} has too few faces of {names} to share out: none would be in {part}. Five of a class are enough; give "
                "more, or leave the class out with data.classes."
            )
    return replace(data, usage=usage)
