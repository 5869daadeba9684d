"""Faces that are the same photograph: pixel for pixel, or cropped, compressed, brightened or mirrored.

Two looks. A face averaged down to 12×12, without the data set's mean face, is a vector; pairs of vectors that correlate by
`LOOKS_ALIKE` or more are candidates, found by one matrix product. A candidate counts when the inner 40×40 pixels of one face,
moved by up to four pixels, correlate with the other face by `IS_SAME` or more (`IS_MIRRORED` for a mirror image). The
thresholds come from looking at pairs of FER2013, 24 at a time: from 0.92 to 0.93 one pair shows two people, from 0.935 to
0.95 none; of the mirrored ones three under 0.95 and none above. Pictures of one burst do count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_train.faces import FaceDataset

LOOKS_ALIKE = 0.88
IS_SAME = 0.93
IS_MIRRORED = 0.95
_SIDE = 12
_SHIFT = 4
_BLOCK = 512
_NEIGHBOURS = 64  # candidates looked at per face and orientation: bounds memory where all faces are of one video
_FLAT = 1.0  # grey levels of standard deviation: less is no picture of anything

Progress = Callable[[int, int], None]


def _nothing(*_: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Near-duplicates.

    Attributes:
        rows: (M, 2) int64, the two faces.
        similarity: (M,) float32 correlation in [-1, 1].
        mirrored: (M,) bool, whether one is the other's mirror image.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.int64]) -> Pairs:
        """Some of them, in this order."""
        return Pairs(self.rows[chosen], self.similarity[chosen], self.mirrored[chosen])


def find_duplicates(images: NDArray[np.uint8], *, progress: Progress = _nothing) -> Pairs:
    """All pairs of near-duplicates, exact copies among them, the first row before the second.

    Args:
        images: (N, 48, 48) uint8.
        progress: receives faces compared and faces in all.
    """
    everything = np.arange(len(images))
    return _similar(images, everything, everything, progress)


def crossing(data: FaceDataset, pairs: Pairs | None = None, *, progress: Progress = _nothing) -> Pairs:
    """Training faces that have a near-duplicate in another part, each with the most similar one, most similar first.

    Args:
        data: the data set, split.
        pairs: of `find_duplicates`, when they are known; otherwise only training and other faces are compared.
        progress: receives faces compared and faces in all.
    """
    training = data.usage == "Training"
    if pairs is None:
        pairs = _similar(data.images, np.flatnonzero(training), np.flatnonzero(~training), progress)
    inside = training[pairs.rows]
    pairs = pairs.take(np.flatnonzero(inside[:, 0] != inside[:, 1]))
    swapped = ~training[pairs.rows[:, 0]]
    rows = np.where(swapped[:, None], pairs.rows[:, ::-1], pairs.rows)
    order = np.lexsort((rows[:, 1], pairs.mirrored, -pairs.similarity))
    _, first = np.unique(rows[order, 0], return_index=True)
    best = order[np.sort(first)]
    return Pairs(rows[best], pairs.similarity[best], pairs.mirrored[best])


def exact_groups(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) the first row with the same pixels."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(sha256(image.data).digest(), row) for row, image in enumerate(images)], np.int64)


def near_groups(exact: NDArray[np.int64], pairs: Pairs) -> NDArray[np.int64]:
    """(N,) the first row of each row's group: everything that copies and pairs hold together."""
    first = exact.copy()

    def root(row: int) -> int:
        while first[row] != row:
            first[row] = first[first[row]]
            row = int(first[row])
        return row

    for a, b in pairs.rows.tolist():
        a, b = root(a), root(b)
        first[max(a, b)] = min(a, b)
    return np.array([root(row) for row in range(len(first))], np.int64)


def _similar(images: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64], progress: Progress) -> Pairs:
    """Near-duplicates between two lists of rows that share none, or within one list when both are the same."""
    signatures, mirrored = _signatures(images)
    found: dict[tuple[int, int], tuple[float, bool]] = {}
    for start in range(0, len(left), _BLOCK):
        block = left[start : start + _BLOCK]
        later = right[start:] if left is right else right
        for flip, others, enough in ((False, signatures, IS_SAME), (True, mirrored, IS_MIRRORED)):
            i, j = _candidates(signatures[block] @ others[later].T)
            for a, b in zip(block[i].tolist(), later[j].tolist(), strict=True):
                if a >= b and left is right:
                    continue
                similarity = _match(images[a], images[b][:, ::-1] if flip else images[b])
                if similarity >= enough and similarity > found.get((a, b), (0.0, False))[0]:
                    found[a, b] = (similarity, flip)
        progress(min(start + _BLOCK, len(left)), len(left))
    rows = np.array(sorted(found), np.int64).reshape(-1, 2)
    values = [found[a, b] for a, b in rows.tolist()]
    return Pairs(rows, np.array([v for v, _ in values], np.float32), np.array([f for _, f in values], np.bool_))


def _signatures(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 144) vectors of length 1 of the faces and of their mirror images; zeros where a picture is flat."""
    size = (_SIDE, _SIDE)
    small = np.array([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images], np.float32)
    small = small.reshape(-1, _SIDE, _SIDE)
    flat = small.std(axis=(1, 2)) < _FLAT
    small = _unit(small - small.mean(axis=(1, 2), keepdims=True))
    mean = small[~flat].mean(axis=0) if not flat.all() else np.zeros((_SIDE, _SIDE), np.float32)
    mean = (mean + mean[:, ::-1]) / 2  # so that a mirrored pair is as alike in either order
    plain, mirrored = _unit(small - mean), _unit(small[:, :, ::-1] - mean)
    plain[flat] = mirrored[flat] = 0
    return plain.reshape(-1, _SIDE**2), mirrored.reshape(-1, _SIDE**2)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.sqrt((vectors**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def _candidates(likeness: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where a matrix shows two faces that look alike, at most `_NEIGHBOURS` in a row."""
    alike = likeness >= LOOKS_ALIKE
    for row in np.flatnonzero(alike.sum(axis=1) > _NEIGHBOURS):
        alike[row] = False
        alike[row, np.argpartition(likeness[row], -_NEIGHBOURS)[-_NEIGHBOURS:]] = True
    i, j = np.nonzero(alike)
    return i, j


def _match(face: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The highest correlation of the inner part of ``other`` with a part of ``face`` of that size."""
    inner = np.ascontiguousarray(other[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    return float(cv2.matchTemplate(face, inner, cv2.TM_CCOEFF_NORMED).max())
