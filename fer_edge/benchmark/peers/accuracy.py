"""Faces to measure accuracy on, and the figures of labels that a peer gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLIT = "PrivateTest"


@dataclass(frozen=True, slots=True)
class TestFaces:
    """Faces with labels to measure accuracy on.

    Attributes:
        faces: (N, 48, 48) uint8.
        labels: (N,) indices into ``names``.
        names: of the classes.
        words: where they come from.
    """

    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    words: str


def read_test_faces(path: Path) -> TestFaces:
    """PrivateTest of FER2013, in any form that `fer-edge train` reads.

    Args:
        path: of the data set.

    Raises:
        DataError: it cannot be read or has no PrivateTest.
    """
    from fer_edge_train.data import usable

    data = usable(path).faces
    faces, labels = data.part(SPLIT)
    if not len(faces):
        raise DataError(f"{path} has no faces of {SPLIT}.")
    return TestFaces(faces, labels, tuple(data.names), f"{SPLIT} of {path.name}")


def score(answers: Sequence[str], labels: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy with its 95 % interval, and macro-F1; a label that the data does not have is wrong."""
    from fer_edge_train.metrics import accuracy_figures, evaluate

    known = (*names, "another label")
    numbers = np.array([known.index(label) if label in names else len(names) for label in answers])
    certain = np.eye(len(known), dtype=np.float32)[numbers]
    per_class = evaluate(labels, certain, known)["per_class"]
    macro_f1 = float(np.mean([per_class[name]["f1"] for name in names]))
    return {**accuracy_figures(labels, certain), "macro_f1": round(macro_f1, 4)}
