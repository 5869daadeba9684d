"""The way of a run through the export: check, rebuild, convert, measure, pass the gate, write."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_export.config import ExportConfig
from fer_edge_export.quiet import quiet
from fer_edge_runtime.errors import DataError, GateError, MissingPackageError, OutputError

if TYPE_CHECKING:
    from fer_edge_export.calibration import Calibration
    from fer_edge_export.evaluate import Measured
    from fer_edge_runtime.manifest import Artefact, Framing, Manifest, Preprocess
    from fer_edge_train.config import TrainConfig
    from fer_edge_train.data import FaceDataset

INT8_TFLITE, INT8_ONNX, FLOAT_TFLITE = "model.int8.tflite", "model.int8.onnx", "model.fp32.tflite"
REPORT = "parity.json"
SELECTION, FINAL = "PublicTest", "PrivateTest"
_PROBE_FACES = 64
_MAX_TRAINING_GAP = 0.01

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class Source:
    """What is exported: a finished run and the data it was trained on."""

    model_file: Path
    recipe: TrainConfig
    record: dict[str, Any]
    metrics: dict[str, Any]
    data: FaceDataset


class Models:
    """The artefacts with their manifest entries, float32 first, and what their checks found."""

    files: dict[str, tuple[Artefact, bytes]]
    checks: dict[str, Any]


def export_bundle(
    config: ExportConfig, *, say: Say = lambda text: None, progress: Progress = lambda title, done, total: None
) -> dict[str, Any]:
    """Turn a finished training run into a verified int8 bundle.

    Args:
        config: what to export, where to.
        say: receives one sentence a step.
        progress: receives a title, and faces done and faces in all, during the long steps.

    Returns:
        What ``parity.json`` holds, with ``out`` and ``artefacts`` (name -> bytes) added.

    Raises:
        ConfigError: ``out`` holds something already.
        DataError: the run is not finished, or the data set is missing or another one.
        GateError: int8 lost too much; a report lies in ``<out>.rejected``.
        ExportError: a conversion failed or its result was refused.
        MissingPackageError: the export extra is not installed.
        OutputError: the disk refused.
    """
    from fer_edge_export.bundle_writer import check_target

    check_target(config.out, overwrite=config.overwrite)
    source = open_source(config, say)
    _import_tools(say)
    spec = base_spec(source.recipe.input_size)
    from fer_edge_export.calibration import choose_calibration

    calibration = choose_calibration(source.data, faces=config.calibration_faces, seed=config.seed)
    models = make_models(config, source, spec, calibration, say)
    selection = _measure(config, models, source.data, SELECTION, spec, say, progress)
    gate = judge(selection, config.max_drop_points)
    report = {"gate": gate, "checks": models.checks, "calibration": calibration.as_json(), SELECTION: _parity(selection)}
    _check_training_gap(source, selection[0], report)
    if not gate["passed"]:
        _reject(config, report)
    say(f"Gate passed: int8 lost {gate['drop_points']:g} of at most {config.max_drop_points:g} points on {SELECTION}.")
    final = _measure(config, models, source.data, FINAL, spec, say, progress)
    report[FINAL] = _parity(final)
    framing, fits = fit_framings(config, source.data, say, progress)
    spec = replace(spec, framing=framing)
    shipped = {name: entry for name, entry in models.files.items() if name != FLOAT_TFLITE or config.keep_float}
    report["framing"] = fits
    _write(config, source, spec, shipped, [*selection, *final], report, say)
    return {**report, "out": str(config.out), "artefacts": {name: len(content) for name, (_, content) in shipped.items()}}


def _measure(
    config: ExportConfig, models: Models, data: FaceDataset, split: str, spec: Preprocess, say: Say, progress: Progress
) -> list[Measured]:
    from fer_edge_export.evaluate import measure_artefact

    measured = []
    for name, (artefact, content) in models.files.items():
        title = f"{name} on {split}"
        result = measure_artefact(
            artefact, content, data, split, spec=spec, threads=config.threads,
            progress=lambda done, total, title=title: progress(title, done, total),  # type: ignore[misc]
        )  # fmt: skip
        low, high = result.result["interval95"]
        say(f"{title}: {result.result['accuracy']:.2%} (95 % {low:.1%} to {high:.1%}, n = {result.result['n']}).")
        measured.append(result)
    return measured

