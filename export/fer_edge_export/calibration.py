"""The faces that set the ranges of the integer tensors: real, seeded, balanced over the classes, training rows only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.data import FaceDataset

_HELD_OUT = 500


@dataclass(frozen=True, slots=True)
class Calibration:
    """Chosen calibration faces.

    Attributes:
        rows: (N,) int64 positions in the data set, ascending.
        faces: (N, 48, 48) uint8 grey.
        held_out: (M, 48, 48) uint8 other training faces, which decide between ways to calibrate; the same ones where all were
            chosen.
        counts: class name -> faces.
        seed: of the draw.
    """

    rows: NDArray[np.int64]
    faces: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    counts: dict[str, int]
    seed: int

    def as_json(self) -> dict[str, Any]:
        """What the manifest says about it; the digest is SHA-256 over the pixels in row order."""
        digest = hashlib.sha256(np.ascontiguousarray(self.faces).tobytes()).hexdigest()
        return {
            "faces": len(self.rows),
            "usage": "Training",
            "per_class": self.counts,
            "seed": self.seed,
            "sha256": digest,
        }


def choose_calibration(data: FaceDataset, *, faces: int, seed: int) -> Calibration:
    """Draw calibration faces from the training rows.

    Every class gives the same number as long as it has them; what a small class lacks, the others give.

    Args:
        data: the data set; only its ``Training`` rows are looked at.
        faces: how many; all training rows when there are fewer.
        seed: of the draw.

    Raises:
        DataError: there are no training rows.
    """
    generator = np.random.default_rng(seed)
    pools = [
        generator.permutation(np.flatnonzero((data.usage == "Training") & (data.labels == k)))
        for k in range(len(data.names))
    ]
    available = sum(len(pool) for pool in pools)
    if not available:
        raise DataError(f"{data.source} has no Training rows to calibrate with.")
    taken = [0] * len(pools)
    for _ in range(min(faces, available)):
        open_pools = [k for k, pool in enumerate(pools) if taken[k] < len(pool)]
        taken[min(open_pools, key=lambda k: taken[k])] += 1
    rows = np.sort(np.concatenate([pool[:count] for pool, count in zip(pools, taken, strict=True)])).astype(np.int64)
    left = generator.permutation(np.setdiff1d(np.flatnonzero(data.usage == "Training"), rows))[:_HELD_OUT]
    held_out = data.images[np.sort(left)] if len(left) else data.images[rows]
    return Calibration(rows, data.images[rows], held_out, dict(zip(data.names, taken, strict=True)), seed)
