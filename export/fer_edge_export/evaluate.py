"""Accuracy and parity of artefacts, measured with the runtime's own preprocessing and engines: what a device computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.engines import Engine, open_engine
from fer_edge_runtime.manifest import Artefact, Preprocess
from fer_edge_runtime.preprocess import to_input
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import SINGLE, Predictor, predict_protocols
from fer_edge_train.metrics import evaluate

BATCH = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """One artefact on one split.

    Attributes:
        artefact: file name.
        precision: ``int8`` or ``float32``.
        engine: the line of `EngineInfo`.
        split: ``PublicTest`` or ``PrivateTest``.
        probabilities: (N, classes) float32.
        result: of `fer_edge_train.metrics.evaluate`.
    """

    artefact: str
    precision: str
    engine: str
    split: str
    probabilities: NDArray[np.float32]
    result: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The short form that a manifest carries."""
        return {
            "artefact": self.artefact, "precision": self.precision, "engine": self.engine, "split": self.split, "protocol": SINGLE,
            **{key: self.result[key] for key in ("n", "accuracy", "interval95", "macro_f1")},
        }  # fmt: skip


def measure_artefact(
    artefact: Artefact, content: bytes, data: FaceDataset, split: str, *, spec: Preprocess, threads: int,
    progress: Callable[[int, int], None],
) -> Measured:  # fmt: skip
    """Run an artefact over one split of a data set.

    Args:
        artefact: its manifest entry.
        content: its bytes.
        data: the data set.
        split: a usage of it.
        spec: how faces become inputs.
        threads: of the engine.
        progress: called with faces done and faces in all.
    """
    faces, labels = data.part(split)
    engine = open_engine(artefact, content, threads=threads)
    probabilities = predict_protocols(
        engine_predictor(engine, artefact, spec), faces, protocols=(SINGLE,),
        progress=lambda _, found, total: progress(len(found), total),
    )[SINGLE]  # fmt: skip
    result = evaluate(labels, probabilities, data.names)
    return Measured(artefact.path, artefact.precision, engine.describe().line(), split, probabilities, result)


def engine_predictor(engine: Engine, artefact: Artefact, spec: Preprocess) -> Predictor:
    """An artefact on the device's own engine and preprocessing.

    Args:
        engine: runs it.
        artefact: its manifest entry.
        spec: how (N, 48, 48) uint8 faces become inputs.
    """

    def predict(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
        return np.concatenate([engine.run(to_input(part, spec, artefact.input)).copy() for part in parts])

    return predict


def compare(reference: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float | int]:
    """How closely two artefacts agree on the same faces.

    Args:
        reference: (N, classes) probabilities.
        other: (N, classes) probabilities.

    Returns:
        ``n``, the share of faces with the same most likely label, and mean and largest absolute difference of a probability.
    """
    difference = np.abs(reference - other)
    agreement = np.mean(reference.argmax(axis=1) == other.argmax(axis=1))
    return {
        "n": len(reference), "top1_agreement": round(float(agreement), 5),
        "mean_abs_difference": round(float(difference.mean()), 6), "max_abs_difference": round(float(difference.max()), 5),
    }  # fmt: skip


def drop_points(reference: Measured, other: Measured) -> float:
    """Percentage points of accuracy that ``other`` lost against ``reference``; negative when it gained."""
    return round(100 * (reference.result["accuracy"] - other.result["accuracy"]), 3)
