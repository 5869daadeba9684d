"""Accuracy and parity of artefacts, measured with the runtime's own preprocessing and engines: what a device computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.device import BATCH, File, Progress, ask_device
from fer_edge_export.errors import ExportError
from fer_edge_runtime.calibrate import calibrated
from fer_edge_runtime.engines import Engine
from fer_edge_runtime.manifest import Artefact, Preprocess
from fer_edge_runtime.preprocess import to_input
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import SINGLE, Predictor
from fer_edge_train.metrics import evaluate

_SMALLEST = 1e-4  # an int8 probability of 0 is anything under half a step


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
            "ece": self.result["calibration"]["ece"],
        }  # fmt: skip


def measure_artefacts(
    files: Mapping[str, File], data: FaceDataset, split: str, *, spec: Preprocess, threads: int,
    progress: Progress = lambda title, done, total: None, rounds: int = 0, silent: tuple[str, ...] = (),
) -> tuple[list[Measured], dict[str, Any]]:  # fmt: skip
    """Run artefacts over one split of a data set, as a device does.

    Args:
        files: artefact -> its manifest entry and bytes.
        data: the data set.
        split: a usage of it.
        spec: how faces become inputs.
        threads: of the engines.
        progress: receives a title, faces done and faces in all.
        rounds: of the latency measurement; 0 is none.
        silent: artefacts that are only timed.

    Returns:
        One `Measured` an artefact that answered, in the order of ``files``, and the latency of `Answers`.
    """
    faces, labels = data.part(split)
    answers = ask_device(
        files, faces, spec, threads=threads, rounds=rounds, silent=silent, title=f"on {split}", progress=progress
    )
    for name, found in answers.probabilities.items():
        if not np.isfinite(found).all():
            raise ExportError(f"{name} answers some faces of {split} with NaN or infinity: its weights are damaged.")
    measured = [
        Measured(name, files[name][0].precision, answers.engines[name], split, found, evaluate(labels, found, data.names))
        for name, found in answers.probabilities.items()
    ]  # fmt: skip
    return measured, answers.latency


def engine_predictor(engine: Engine, artefact: Artefact, spec: Preprocess, temperature: float = 1.0) -> Predictor:
    """An artefact on the device's own engine, preprocessing and calibration.

    Args:
        engine: runs it.
        artefact: its manifest entry.
        spec: how (N, 48, 48) uint8 faces become inputs.
        temperature: of the manifest.
    """

    def predict(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
        answers = [engine.run(to_input(part, spec, artefact.input)).copy() for part in parts]
        return calibrated(np.concatenate(answers), temperature)

    return predict


def compare(reference: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float | int]:
    """How closely two artefacts agree on the same faces.

    Args:
        reference: (N, classes) probabilities.
        other: (N, classes) probabilities.

    Returns:
        ``n``, the share of faces with the same most likely label, mean and largest absolute difference of a probability, and
        the mean Kullback-Leibler divergence from the reference in nats (probabilities under 1e-4 count as that).
    """
    difference = np.abs(reference - other)
    agreement = np.mean(reference.argmax(axis=1) == other.argmax(axis=1))
    p, q = (_distribution(values) for values in (reference, other))
    divergence = np.sum(p * np.log(p / q), axis=1)
    return {
        "n": len(reference), "top1_agreement": round(float(agreement), 5),
        "mean_abs_difference": round(float(difference.mean()), 6), "max_abs_difference": round(float(difference.max()), 5),
        "mean_kl": round(float(divergence.mean()), 6),
    }  # fmt: skip


def _distribution(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities without zeros, whose sum is exactly 1."""
    kept = np.maximum(probabilities.astype(np.float64), _SMALLEST)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def change(reference: Measured, other: Measured) -> dict[str, Any]:
    """What an artefact gained (or, negative, lost) against another: accuracy and F1 in percentage points."""
    before, after = reference.result, other.result
    return {
        "accuracy": _points(before["accuracy"], after["accuracy"]), "macro_f1": _points(before["macro_f1"], after["macro_f1"]),
        "f1": {name: _points(row["f1"], after["per_class"][name]["f1"]) for name, row in before["per_class"].items()},
    }  # fmt: skip


def _points(before: float, after: float) -> float:
    return round(100 * (after - before), 3)


def drop_points(reference: Measured, other: Measured) -> float:
    """Percentage points of accuracy that ``other`` lost against ``reference``; negative when it gained."""
    return round(100 * (reference.result["accuracy"] - other.result["accuracy"]), 3)
