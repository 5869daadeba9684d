"""Accuracy figures with their uncertainty, from labels and probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def wilson_interval(correct: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts; rows are the true labels, columns the predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def evaluate(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], names: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracy with its 95 % interval, macro-F1, per-class precision, recall and F1, and the confusion matrix.

    Args:
        labels: (N,) true classes.
        probabilities: (N, classes).
        names: class names in order.
    """
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    matrix = confusion_matrix(labels, predicted, len(names))
    hits = matrix.diagonal()
    precision = hits / np.maximum(matrix.sum(axis=0), 1)
    recall = hits / np.maximum(matrix.sum(axis=1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    low, high = wilson_interval(int(hits.sum()), len(labels))
    return {
        "n": len(labels),
        "accuracy": round(float(hits.sum()) / max(len(labels), 1), 5),
        "interval95": [round(low, 5), round(high, 5)],
        "macro_f1": round(float(f1.mean()), 5),
        "per_class": {
            name: {"precision": round(float(p), 5), "recall": round(float(r), 5), "f1": round(float(f), 5), "n": int(n)}
            for name, p, r, f, n in zip(names, precision, recall, f1, matrix.sum(axis=1), strict=True)
        },
        "confusion": matrix.tolist(),
    }
