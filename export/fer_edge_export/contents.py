"""What goes into a bundle beside the models: golden vectors, card, report and the manifest that vouches for all."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_export.bundle_writer import describe_file, describe_golden
from fer_edge_export.card import CardFacts, model_card
from fer_edge_export.config import ExportConfig
from fer_edge_export.evaluate import Measured
from fer_edge_export.gate import REPORT
from fer_edge_export.golden import GOLDEN_NAME, TOLERANCE, expected_scores, golden_crops, pack_golden
from fer_edge_export.parity_page import REPORT_PAGE, parity_page
from fer_edge_export.source import Source
from fer_edge_export.tflite import kernel_spread
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.manifest import Artefact, Manifest, Preprocess
from fer_edge_runtime.preprocess import to_input
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FER2013_LABELS

MAX_TOLERANCE = 0.5  # that a manifest may ask for
TASKS = {
    frozenset(FER2013_LABELS): "emotion7",
    frozenset((*FER2013_LABELS, "contempt")): "emotion8",
    frozenset(("negative", "positive")): "valence2",
}  # fmt: skip
_FER2013_FACES = dict(zip(FER2013_LABELS, (4_953, 547, 5_121, 8_989, 6_077, 4_002, 6_198), strict=True))
_TOOLS = (
    "fer-edge",
    "tensorflow",
    "keras",
    "tf-keras",
    "tensorflow-model-optimization",
    "ai-edge-litert",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a bundle is made of.

    Attributes:
        config: of the export.
        source: the run.
        spec: preprocessing with the framing of every detector.
        models: name -> (manifest entry, bytes) of the artefacts that ship.
        measured: every artefact on every split, those that do not ship among them.
        report: what ``parity.json`` will hold.
    """

    config: ExportConfig
    source: Source
    spec: Preprocess
    models: dict[str, tuple[Artefact, bytes]]
    measured: Sequence[Measured]
    report: dict[str, Any]


def assemble(parts: Parts) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, and file name -> bytes of everything it names.

    Raises:
        ExportError: the golden vectors cannot be made.
    """
    crops = golden_crops(parts.spec, seed=parts.config.seed)
    expected = {
        name: expected_scores(open_engine(entry, content), entry, crops, parts.spec)
        for name, (entry, content) in parts.models.items()
    }
    golden = pack_golden(crops, expected)
    tolerance = golden_tolerance(parts, crops)
    texts = {
        "README.md": model_card(_card_facts(parts)).encode(),
        REPORT: (json.dumps(parts.report, indent=1) + "\n").encode(),
        REPORT_PAGE: parity_page(parts.config.bundle_name, parts.report, parts.measured).encode(),
    }
    names = parts.source.data.names
    manifest = Manifest(
        name=parts.config.bundle_name,
        version=parts.config.version,
        task=TASKS.get(frozenset(names), "custom"),
        labels=names,
        artefacts=tuple(entry for entry, _ in parts.models.values()),
        golden=describe_golden(GOLDEN_NAME, golden, tolerance=tolerance),
        preprocess=parts.spec,
        uncertain_below=parts.config.uncertain_threshold(names),
        files=tuple(describe_file(name, content) for name, content in texts.items()),
        metrics=tuple(measured.summary() for measured in parts.measured),
        provenance=_provenance(parts),
        tools=tool_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        temperature=parts.report["temperature"]["value"],
    )
    models = {name: content for name, (_, content) in parts.models.items()}
    return manifest, {**models, **texts, GOLDEN_NAME: golden}


def golden_tolerance(parts: Parts, crops: NDArray[np.uint8]) -> float:
    """0.05, or twice what XNNPACK and the built-in kernels differ by on these crops where that is more.

    A board without XNNPACK must not refuse a sound bundle; a hardly trained model amplifies the kernels' rounding.
    """
    spreads = [
        kernel_spread(content, to_input(crops, parts.spec, entry.input))
        for entry, content in parts.models.values()
        if entry.format == "tflite" and entry.precision == "int8"
    ]
    parts.report["golden"] = {"kernel_spread": round(max(spreads), 5)}
    return min(MAX_TOLERANCE, max(TOLERANCE, round(2 * max(spreads), 3)))


def tool_versions() -> dict[str, str]:
    """Versions of everything that had a hand in the artefacts."""
    versions = {"python": platform.python_version(), "machine": platform.machine(), "opencv": cv2.__version__}
    for package in _TOOLS:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _provenance(parts: Parts) -> dict[str, Any]:
    """Where the model comes from; ``recipe`` reads back as a `TrainConfig`, so the same rows and classes can be made again."""
    record, report = parts.source.record, parts.report
    return {
        "run": parts.config.run.resolve().name,
        "dataset": Path(record["dataset"]).name,
        "dataset_digest": record["dataset_digest"],
        "weights": _file_name(parts.source.recipe.weights),
        "recipe": _without_folders(parts.source.recipe).to_dict(),
        "best_epoch": parts.source.metrics.get("best_epoch", ""),
        "seconds": round(sum(epoch.get("seconds", 0) for epoch in parts.source.metrics.get("history", ()))),
        "trained_with": record.get("versions", {}),
        "quantization": {"precision": "full integer", **report["quantization"]},
        "calibration": report["calibration"],
        "gate": report["gate"],
        "framing": report["framing"],
    }


def _without_folders(recipe: TrainConfig) -> TrainConfig:
    """File names only: where the exporter keeps its files is nobody's business."""
    teachers = tuple(_file_name(teacher) for teacher in recipe.distill.teachers)
    return replace(recipe, weights=_file_name(recipe.weights), distill=replace(recipe.distill, teachers=teachers))


def _file_name(path: str) -> str:
    return Path(path).name


def _card_facts(parts: Parts) -> CardFacts:
    record = parts.source.record
    return CardFacts(
        name=parts.config.bundle_name,
        version=parts.config.version,
        labels=parts.source.data.names,
        recipe=_without_folders(parts.source.recipe),
        dataset=Path(record["dataset"]).name,
        dataset_digest=record["dataset_digest"],
        is_fer2013=is_fer2013(parts.source.recipe, record["counts"]),
        counts=record["counts"],
        measured=parts.measured,
        gate=parts.report["gate"],
        calibration=parts.report["calibration"],
        temperature=parts.report["temperature"],
        quantization=parts.report["quantization"],
        sizes={name: len(content) for name, (_, content) in parts.models.items()},
    )


def is_fer2013(recipe: TrainConfig, counts: dict[str, dict[str, int]]) -> bool:
    """Whether a run's faces are FER2013's: each of its classes has as many faces as the recipe makes of FER2013.

    Args:
        recipe: of the run.
        counts: usage -> class -> faces that it was trained and measured on.
    """
    if recipe.data.ferplus != "none":  # FER+ is votes on FER2013's faces, by row
        return True
    groups = recipe.data.classes or {name: (name,) for name in FER2013_LABELS}
    expected = {name: sum(_FER2013_FACES.get(old, 0) for old in olds) for name, olds in groups.items()}
    if recipe.data.per_class:
        expected = {name: min(faces, recipe.data.per_class) for name, faces in expected.items()}
    names = {name for per_class in counts.values() for name in per_class}
    return expected == {name: sum(per_class.get(name, 0) for per_class in counts.values()) for name in names}
