"""The temperature that makes a model's probabilities honest, and what its ``uncertain`` threshold does with them.

Fitted on PublicTest, like every other choice; PrivateTest only shows how well it carries over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.evaluate import Measured
from fer_edge_runtime.calibrate import calibrated
from fer_edge_train.metrics import evaluate, log_loss

_CANDIDATES = np.geomspace(0.25, 4, 401)


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """The temperature from 0.25 to 4 with the least log loss (arXiv 1706.04599).

    Args:
        labels: (N,) true classes.
        probabilities: (N, classes) of the model.
    """
    losses = [log_loss(labels, calibrated(probabilities, float(value))) for value in _CANDIDATES]
    return round(float(_CANDIDATES[int(np.argmin(losses))]), 3)


def with_temperature(
    measured: Sequence[Measured], labels: NDArray[np.int64], names: tuple[str, ...], temperature: float
) -> list[Measured]:
    """The same artefacts with the results of calibrated probabilities; `Measured.probabilities` stay the model's own."""
    return [
        replace(m, result=evaluate(labels, calibrated(m.probabilities, temperature), names)) for m in measured
    ]  # fmt: skip


def uncertainty(labels: NDArray[np.int64], probabilities: NDArray[np.float32], below: float) -> dict[str, Any]:
    """What a threshold does: ``share`` of the faces under it, and how many of those ``above`` and ``under`` it are right.

    Args:
        labels: (N,) true classes.
        probabilities: (N, classes), calibrated.
        below: the threshold of the highest probability.
    """
    certain = probabilities.max(axis=1) >= below
    right = probabilities.argmax(axis=1) == labels

    def accuracy(rows: NDArray[np.bool_]) -> float | None:
        return round(float(right[rows].mean()), 5) if rows.any() else None

    return {
        "below": below, "share": round(float(1 - certain.mean()), 5), "accuracy_above": accuracy(certain),
        "accuracy_under": accuracy(~certain),
    }  # fmt: skip
