"""Which row belongs to which part: the file's own split, or a seeded, stratified one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 5  # one row in five goes to a part that is made


def split_rows(usage: NDArray[np.str_], labels: NDArray[np.int64], split: str, seed: int) -> NDArray[np.str_]:
    """The parts that a recipe asks for.

    Args:
        usage: (N,) as the files give it.
        labels: (N,) classes; every class is shared out alike.
        split: ``usage`` changes nothing; ``80-20`` puts a fifth of the training rows aside for selection and everything
            else in the test part; ``binary-60-20-20`` shares out all rows anew, whatever part they were in.
        seed: of the shuffle.
    """
    if split == "80-20":
        return fill_missing(np.where(usage == "Training", "Training", "PrivateTest"), labels, seed)
    if split == "binary-60-20-20":
        return _sixty_twenty_twenty(labels, seed)
    return usage


def fill_missing(usage: NDArray[np.str_], labels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    """Take a fifth of the training rows for the test part if it has none, then a fifth for selection if that has none."""
    generator = np.random.default_rng(seed)
    usage = usage.astype("<U11")
    for part in [part for part in ("PrivateTest", "PublicTest") if not np.any(usage == part)]:
        for label in range(int(labels.max(initial=-1)) + 1):
            rows = np.flatnonzero((usage == "Training") & (labels == label))
            usage[generator.permutation(rows)[: len(rows) // SHARE]] = part
    return usage


def _sixty_twenty_twenty(labels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    generator = np.random.default_rng(seed)
    usage = np.full(len(labels), "Training", "<U11")
    for label in range(int(labels.max(initial=-1)) + 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fifth = len(rows) // SHARE
        usage[rows[:fifth]] = "PublicTest"
        usage[rows[fifth : 2 * fifth]] = "PrivateTest"
    return usage
