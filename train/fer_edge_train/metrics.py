"""Accuracy figures with their uncertainty, from labels and probabilities; numpy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15
MAX_ROC_POINTS = 101
_SMALLEST = 1e-7  # an int8 model gives exact zeros, whose logarithm is not a number to average


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


def accuracy_figures(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """``accuracy`` with ``interval95``, as every table shows them."""
    correct = int(np.sum(probabilities.argmax(axis=1) == labels)) if len(labels) else 0
    low, high = wilson_interval(correct, len(labels))
    return {
        "accuracy": round(correct / max(len(labels), 1), 5),
        "interval95": [round(low, 5), round(high, 5)],
    }


def evaluate(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], names: tuple[str, ...]
) -> dict[str, Any]:
    """Everything that is said about a classifier on labelled faces.

    Args:
        labels: (N,) true classes.
        probabilities: (N, classes).
        names: class names in order.

    Returns:
        ``n``, ``accuracy`` with ``interval95`` (Wilson), ``macro_precision``, ``macro_recall``, ``macro_f1``, ``log_loss``
        (nats; probabilities under 1e-7 count as that), ``per_class``, ``confusion`` and ``calibration``. Two classes also
        have ``positive`` (precision, recall and F1 of the second class), ``auc`` and ``roc``; those two are None
        where only one class has faces.
    """
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    matrix = confusion_matrix(labels, predicted, len(names))
    hits = matrix.diagonal()
    precision = hits / np.maximum(matrix.sum(axis=0), 1)
    recall = hits / np.maximum(matrix.sum(axis=1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    per_class = {
        name: {"precision": round(float(p), 5), "recall": round(float(r), 5), "f1": round(float(f), 5), "n": int(n)}
        for name, p, r, f, n in zip(names, precision, recall, f1, matrix.sum(axis=1), strict=True)
    }
    result = {
        "n": len(labels),
        **accuracy_figures(labels, probabilities),
        "macro_precision": round(float(precision.mean()), 5),
        "macro_recall": round(float(recall.mean()), 5),
        "macro_f1": round(float(f1.mean()), 5),
        "log_loss": log_loss(labels, probabilities),
        "per_class": per_class,
        "confusion": matrix.tolist(),
        "calibration": calibration(labels, probabilities),
    }
    if len(names) == 2:
        positive = {"name": names[1], **{key: per_class[names[1]][key] for key in ("precision", "recall", "f1")}}
        result |= {"positive": positive, **roc_curve(labels, probabilities[:, 1])}
    return result


def log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """Mean cross-entropy in nats; 0 of no faces."""
    if not len(labels):
        return 0.0
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return round(float(-np.log(np.clip(chosen, _SMALLEST, 1)).mean()), 5)


def calibration(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """Expected calibration error over 15 equal bins of the highest probability (Guo et al. 2017, arXiv 1706.04599).

    Returns:
        ``ece`` and ``bins``: mean ``confidence``, ``accuracy`` and ``count`` of every bin that holds faces.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    # Bin m holds ((m - 1) / M, m / M], as in the paper.
    index = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    bins, error = [], 0.0
    for number in np.unique(index):
        rows = index == number
        mean, share, count = confidence[rows].mean(), correct[rows].mean(), int(rows.sum())
        error += count / len(labels) * abs(share - mean)
        bins.append({"confidence": round(float(mean), 5), "accuracy": round(float(share), 5), "count": count})
    return {"ece": round(float(error), 5), "bins": bins}


def roc_curve(labels: NDArray[np.int64], scores: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """The receiver operating characteristic of class 1 against class 0; equal scores are one threshold.

    Returns:
        ``auc`` (of all points) and ``roc``: ``fpr`` and ``tpr``, at most 101 points from (0, 0) to (1, 1).
    """
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if not positives or not negatives:
        return {"auc": None, "roc": None}
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    tpr = np.append(0, np.cumsum(labels[order] == 1)[ends] / positives)
    fpr = np.append(0, np.cumsum(labels[order] == 0)[ends] / negatives)
    kept = np.unique(np.linspace(0, len(fpr) - 1, MAX_ROC_POINTS).round().astype(np.int64))
    area = np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2)
    return {
        "auc": round(float(area), 5),
        "roc": {"fpr": fpr[kept].round(5).tolist(), "tpr": tpr[kept].round(5).tolist()},
    }
