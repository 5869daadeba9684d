"""Change what is asked of the rows: gather classes, balance them."""

from __future__ import annotations

import difflib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_train.faces import FaceDataset


def take(data: FaceDataset, rows: NDArray[np.int64]) -> FaceDataset:
    """The data set of these rows, in this order."""
    targets = None if data.targets is None else data.targets[rows]
    return replace(data, images=data.images[rows], labels=data.labels[rows], usage=data.usage[rows], targets=targets)


def regroup(data: FaceDataset, classes: dict[str, tuple[str, ...]]) -> FaceDataset:
    """Gather classes under new names; rows of no new class are left out.

    Args:
        data: the data set; soft targets are summed over the classes that come together.
        classes: new name -> old names, in the new label order; empty changes nothing.

    Raises:
        ConfigError: an old name that the data set does not have, or one in two new classes.
    """
    if not classes:
        return data
    gathered = [name for group in classes.values() for name in group]
    for name in gathered:
        if name not in data.names:
            close = difflib.get_close_matches(name, data.names, 1, cutoff=0.4)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"data.classes asks for '{name}'; {data.source} has {', '.join(data.names)}.{hint}")
        if gathered.count(name) > 1:
            raise ConfigError(f"data.classes gathers '{name}' more than once; a class can go to one new class only.")
    matrix = np.array([[name in group for group in classes.values()] for name in data.names])  # old × new
    gathers = np.array([name in gathered for name in data.names])
    kept = take(data, np.flatnonzero(gathers[data.labels]))
    labels = matrix.argmax(axis=1)[kept.labels]
    targets = None if kept.targets is None else shares(kept.targets @ matrix, labels)
    return replace(kept, labels=labels, names=tuple(classes), targets=targets)


def shares(weights: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, classes) weights as rows that sum to 1; a row without any weight gets its label."""
    total = weights.sum(axis=1, keepdims=True)
    certain = np.eye(weights.shape[1], dtype=np.float32)[labels]
    return np.asarray(np.where(total > 0, weights / np.maximum(total, 1e-9), certain), np.float32)


def balance(data: FaceDataset, per_class: int, seed: int) -> FaceDataset:
    """Keep ``per_class`` rows of every class, drawn with ``seed``, in their old order; 0 keeps all.

    Raises:
        DataError: a class has fewer.
    """
    if not per_class:
        return data
    counts = np.bincount(data.labels, minlength=len(data.names))
    if counts.min() < per_class:
        found = ", ".join(f"{name} {count:,}" for name, count in zip(data.names, counts.tolist(), strict=True))
        raise DataError(
            f"data.per_class asks for {per_class:,} rows of every class, more than {data.source} has: {found}. "
            f"Set it to {counts.min():,} or less."
        )
    generator = np.random.default_rng(seed)
    drawn = [
        generator.permutation(np.flatnonzero(data.labels == label))[:per_class] for label in range(len(data.names))
    ]
    return take(data, np.sort(np.concatenate(drawn)))
