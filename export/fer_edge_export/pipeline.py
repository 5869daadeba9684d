"""The way of a run through the export: check, rebuild, convert, measure, pass the gate, write."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fer_edge_export.config import ExportConfig
from fer_edge_runtime.errors import MissingPackageError
from fer_edge_train.quiet import quiet

if TYPE_CHECKING:
    from fer_edge_export.evaluate import Measured
    from fer_edge_export.models import Models
    from fer_edge_export.source import Source
    from fer_edge_runtime.manifest import Preprocess

SELECTION, FINAL = "PublicTest", "PrivateTest"
_NEEDED = ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "tf2onnx", "onnx", "onnxruntime")

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


def export_bundle(
    config: ExportConfig, *, say: Say = lambda text: None, progress: Progress = lambda title, done, total: None
) -> dict[str, Any]:
    """Turn a finished training run into a verified int8 bundle.

    PublicTest decides the gate. PrivateTest is measured only after it, and chooses nothing.

    Args:
        config: what to export, where to.
        say: receives one sentence a step.
        progress: receives a title, faces done and faces in all during the long steps.

    Returns:
        What ``parity.json`` holds, with ``out``, ``artefacts`` (name -> bytes) and ``metrics`` (the manifest's) added.

    Raises:
        ConfigError: ``out`` holds something already.
        DataError: the run is not finished, or the data set is missing or another one.
        GateError: int8 lost too much; a report lies in ``<out>.rejected``.
        ExportError: a conversion failed or its result was refused.
        MissingPackageError: the export extra is not installed.
        OutputError: the disk refused.
    """
    from fer_edge_export.bundle_writer import check_target, write_bundle
    from fer_edge_export.source import base_spec, open_source

    check_target(config.out, overwrite=config.overwrite)
    source = open_source(config, say, progress)
    _load_tools(say)
    from fer_edge_export.contents import Parts, assemble
    from fer_edge_export.framings import fit_framings
    from fer_edge_export.models import shipped

    spec = base_spec(source.recipe.input_size)
    models, measured, report = _make_and_measure(config, source, spec, say, progress)
    framing, report["framing"] = fit_framings(
        source.data, sample=config.framing_faces, seed=config.seed, yunet=config.yunet, say=say, progress=progress
    )
    kept = {name: entry for name, entry in models.files.items() if shipped(config, name)}
    parts = Parts(config, source, spec._replace(framing=framing), kept, measured, report)
    manifest, contents = assemble(parts)
    write_bundle(config.out, manifest, contents, overwrite=config.overwrite)
    say(f"Wrote {config.out}: every file verified, the golden vectors replayed on every model.")
    sizes = {name: len(content) for name, (_, content) in kept.items()}
    return {**report, "out": str(config.out), "artefacts": sizes, "metrics": [m.summary() for m in measured]}


def _make_and_measure(
    config: ExportConfig, source: Source, spec: Preprocess, say: Say, progress: Progress
) -> tuple[Models, list[Measured], dict[str, Any]]:
    """Convert, measure and pass the gate; the report so far."""
    from fer_edge_export.calibration import choose_calibration
    from fer_edge_export.gate import judge, parity, reject
    from fer_edge_export.latency import ROUNDS, latency_report, latency_sentences
    from fer_edge_export.models import make_models
    from fer_edge_export.parity_page import parity_page
    from fer_edge_export.source import check_preprocessing
    from fer_edge_export.temperature import with_temperature

    calibration = choose_calibration(source.data, faces=config.calibration_faces, seed=config.seed)
    models = make_models(source, spec, calibration, config, say=say, progress=progress)
    selection, times = _measure(config, models, source, SELECTION, spec=spec, rounds=ROUNDS, say=say, progress=progress)
    gate = judge(selection, config.max_drop_points, config.min_agreement)
    selection, temperature = _calibrate(config, source, selection, say)
    report = {
        "temperature": temperature,
        "gate": gate, "quantization": models.quantization, "checks": models.checks, "calibration": calibration.as_json(),
        "latency": latency_report(times), SELECTION: parity(selection),
        "training_graph": check_preprocessing(source, SELECTION, selection[0].result),
    }  # fmt: skip
    for sentence in latency_sentences(report["latency"]):
        say(sentence)
    if not gate["passed"]:
        reject(config.out, report, parity_page(config.bundle_name, report, selection))
    say(
        f"Gate passed: int8 lost {gate['drop_points']:g} points on {SELECTION}, {config.max_drop_points:g} are allowed."
    )
    final, _ = _measure(config, models, source, FINAL, spec=spec, rounds=0, say=say, progress=progress)
    final = with_temperature(final, source.data.part(FINAL)[1], source.data.names, temperature["value"])
    report[FINAL] = parity(final)
    return models, [*selection, *final], report


def _calibrate(
    config: ExportConfig, source: Source, selection: list[Measured], say: Say
) -> tuple[list[Measured], dict[str, Any]]:
    """The results of calibrated probabilities, and how the temperature of the first int8 artefact was found."""
    from fer_edge_export.temperature import fit_temperature, uncertainty, with_temperature
    from fer_edge_runtime.calibrate import calibrated

    labels, names = source.data.part(SELECTION)[1], source.data.names
    first = next(m for m in selection if m.precision == "int8")
    value = fit_temperature(labels, first.probabilities)
    after = with_temperature(selection, labels, names, value)
    before_ece = first.result["calibration"]["ece"]
    ece = next(m for m in after if m.artefact == first.artefact).result["calibration"]["ece"]
    threshold = uncertainty(labels, calibrated(first.probabilities, value), config.uncertain_threshold(names))
    say(
        f"Temperature {value:g}: the expected calibration error on {SELECTION} goes from {before_ece:.3f} to {ece:.3f}."
    )
    return after, {
        "value": value, "split": SELECTION, "artefact": first.artefact, "ece_before": before_ece, "ece": ece,
        "uncertain": threshold,
    }  # fmt: skip


def _measure(
    config: ExportConfig, models: Models, source: Source, split: str, *, spec: Preprocess, rounds: int, say: Say,
    progress: Progress,
) -> tuple[list[Measured], dict[str, Any]]:  # fmt: skip
    """What ships and the float reference on one split, in a process without TensorFlow; float ONNX is only timed."""
    from fer_edge_export.evaluate import measure_artefacts
    from fer_edge_export.models import FLOAT_TFLITE, shipped

    silent = tuple(name for name in models.files if not shipped(config, name) and name != FLOAT_TFLITE)
    measured, times = measure_artefacts(
        models.files, source.data, split, spec=spec, threads=config.threads, progress=progress, rounds=rounds,
        silent=silent,
    )  # fmt: skip
    for found in measured:
        low, high = found.result["interval95"]
        say(
            f"{found.artefact} on {split}: {found.result['accuracy']:.2%} (95 %: {low:.1%} to {high:.1%}, n = {found.result['n']})."
        )
    return measured, times


def _load_tools(say: Say) -> None:
    """Load TensorFlow and its relatives, which takes several seconds and chatters."""
    for package in _NEEDED:
        if find_spec(package) is None:
            raise MissingPackageError(package, "export")
    say("Loading TensorFlow.")
    with quiet():
        import fer_edge_export.models  # noqa: F401
