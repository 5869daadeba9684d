"""Accuracy of one model's answers, in which a face it could not answer counts as wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.evaluation import SINGLE, score_protocols
from fer_edge_train.metrics import wilson_interval


def score_answers(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], found: NDArray[np.bool_], names: tuple[str, ...]
) -> dict[str, Any]:
    """Figures over the faces that a model could be right about, and the accuracy over all.

    Args:
        labels: (N,) of ``names``; -1 where the model has no label for the face.
        probabilities: (N, classes).
        found: (N,) where a face was found.
        names: the model's labels.

    Returns:
        What `fer_edge_train.evaluation.score_protocols` says of the faces that were found and have a label of the model;
        ``macro_f1_present`` over the classes that have faces, ``absent`` the others; and under ``all`` ``n``, ``accuracy``
        and ``interval95`` over every face, with ``counted_wrong`` by reason.

    Raises:
        DataError: no face is left to say anything about.
    """
    known = labels >= 0
    answered = known & found
    if not answered.any():
        raise DataError(f"Of {len(labels):,} pictures none shows a face that was found and has a label of the model.")
    result = score_protocols(labels[answered], {SINGLE: probabilities[answered]}, names)
    present = {name: row for name, row in result["per_class"].items() if row["n"]}
    correct = int(np.sum(answered & (probabilities.argmax(axis=1) == labels)))
    low, high = wilson_interval(correct, len(labels))
    wrong = {"the model has no such label": int(np.sum(~known)), "no face was found": int(np.sum(known & ~found))}
    return {
        **result,
        "macro_f1_present": round(sum(row["f1"] for row in present.values()) / len(present), 5),
        "absent": [name for name in names if name not in present],
        "all": {
            "n": len(labels), "accuracy": round(correct / len(labels), 5), "interval95": [round(low, 5), round(high, 5)],
            "counted_wrong": {reason: count for reason, count in wrong.items() if count},
        },
    }  # fmt: skip


def remarks_on(result: Mapping[str, Any]) -> list[str]:
    """What a table of figures does not show, as sentences."""
    everything, lines = result["all"], []
    if everything["counted_wrong"]:
        low, high = everything["interval95"]
        reasons = "; ".join(f"{count:,} because {reason}" for reason, count in everything["counted_wrong"].items())
        lines.append(
            f"{result['artefact']}: over all {everything['n']:,} faces {everything['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%}); "
            f"counted as wrong: {reasons}. The tables are over the {result['n']:,} others."
        )
    if result["absent"]:
        there = len(result["per_class"]) - len(result["absent"])
        lines.append(
            f"{result['artefact']}: no faces of {', '.join(result['absent'])}; macro-F1 over the {there} classes that have some is "
            f"{result['macro_f1_present']:.3f}."
        )
    return lines
