"""Faces in memory: pixels, labels and the part of the data set that each row belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_SIZE = 48
USAGES = ("Training", "PublicTest", "PrivateTest")


@dataclass(frozen=True, slots=True)
class FaceDataset:
    """Faces in memory.

    Attributes:
        images: (N, 48, 48) uint8, grey.
        labels: (N,) int64, index into ``names``.
        usage: (N,) of ``Training``, ``PublicTest`` (selection) or ``PrivateTest`` (reported once).
        names: class names in label order.
        source: the path it was read from.
        targets: (N, classes) float32, rows sum to 1: what the training rows are taught; None means their labels.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    usage: NDArray[np.str_]
    names: tuple[str, ...]
    source: str
    targets: NDArray[np.float32] | None = None

    def part(self, usage: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images and labels of one usage."""
        rows = self.usage == usage
        return self.images[rows], self.labels[rows]

    def digest(self) -> str:
        """SHA-256 over pixels, labels, usages and names: equal data sets have equal digests, whatever their file form.

        Soft targets are left out: they follow from the recipe, and a teacher without votes may teach a student with them.
        """
        total = hashlib.sha256()
        for array in (self.images, self.labels.astype("<i8")):
            total.update(np.ascontiguousarray(array).reshape(-1).data)
        total.update("\n".join([*self.usage, *self.names]).encode())
        return total.hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """usage -> class name -> number of faces."""
        return {
            usage: {name: int(np.sum((self.usage == usage) & (self.labels == k))) for k, name in enumerate(self.names)}
            for usage in USAGES
        }


@dataclass(frozen=True, slots=True)
class Rows:
    """What a reader found: the good rows as faces, the others as reasons.

    Attributes:
        faces: the good rows, with the split that the files give.
        places: where each of them came from: ``row 5``, ``line 7`` or the path of a picture.
        positions: (N,) int64, the place of each among all rows, the broken ones counted.
        broken: place and reason of every row that cannot be used.
        sizes: (width, height) in pixels -> number of pictures of that size before they became 48×48.
        votes: (N, 10) uint8 of FER+ in the order of `fer_edge_train.ferplus.VOTES`; None where the file has none.
    """

    faces: FaceDataset
    places: list[str]
    positions: NDArray[np.int64]
    broken: list[tuple[str, str]]
    sizes: dict[tuple[int, int], int]
    votes: NDArray[np.uint8] | None = None
