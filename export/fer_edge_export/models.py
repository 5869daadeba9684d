"""Every artefact of a bundle, made from a run and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.aware import aware_model
from fer_edge_export.bundle_writer import describe_artefact
from fer_edge_export.calibration import Calibration
from fer_edge_export.config import ExportConfig
from fer_edge_export.device import File
from fer_edge_export.errors import ExportError
from fer_edge_export.evaluate import measure_artefacts
from fer_edge_export.graph import Graph, build_model, read_graph
from fer_edge_export.grey import take_grey
from fer_edge_export.metadata import describe_onnx, describe_tflite, model_facts
from fer_edge_export.mixed import check_layers, keep_float
from fer_edge_export.onnx import MAX_MEAN_DIFFERENCE, check_onnx, convert_float_onnx, convert_onnx, tensors_of
from fer_edge_export.post_training import round_best
from fer_edge_export.qat import Task, train_aware
from fer_edge_export.ranges import Ranges, with_input_grid
from fer_edge_export.rebuild import check_equal, predict, rebuild_classifier
from fer_edge_export.simplify import simplify
from fer_edge_export.source import Source
from fer_edge_export.tensors import signal_to_noise
from fer_edge_export.tflite import check_int8, convert_float, convert_half, convert_int8
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.engines.litert import LiteRTEngine
from fer_edge_runtime.manifest import Preprocess, TensorSpec
from fer_edge_runtime.preprocess import to_input

INT8_TFLITE, INT8_ONNX = "model.int8.tflite", "model.int8.onnx"
FLOAT_TFLITE, FLOAT_ONNX, HALF_TFLITE = "model.fp32.tflite", "model.fp32.onnx", "model.fp16.tflite"
PTQ, QAT = "post-training", "quantization-aware training"
_SELECTION = "PublicTest"
_PROBE_FACES = 64
_WORST_TENSORS = 5

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Models:
    """The artefacts of a bundle.

    Attributes:
        files: name -> (manifest entry, bytes), the float32 one first.
        checks: what the checks of each found, for the report.
        quantization: how the integers were found: the method that ships, and what each method reached.
    """

    files: dict[str, File]
    checks: dict[str, Any]
    quantization: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Classifier:
    """A run's classifier, ready to be quantized.

    Attributes:
        model: the float `tf_keras` model, simplified.
        graph: its steps.
        rounded: the steps that are rounded: the same with, perhaps, corrected biases.
        ranges: of their activations.
        rounding: how ranges and biases were chosen, for the report.
        prepare: (N, 48, 48) uint8 faces to its float32 inputs.
    """

    model: Any
    graph: Graph
    rounded: Graph
    ranges: Ranges
    rounding: dict[str, Any]
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def make_models(
    source: Source, spec: Preprocess, calibration: Calibration, config: ExportConfig, *, say: Say, progress: Progress
) -> Models:
    """Rebuild the classifier, quantize and convert it; every result is checked.

    Args:
        source: the run.
        spec: how faces become inputs.
        calibration: the faces that set the integer ranges.
        config: of the export.
        say: receives a sentence a step.
        progress: receives a title, the steps done and the steps in all.

    Raises:
        ExportError: a conversion failed or its result was refused.
    """
    probes = calibration.faces[:: max(1, len(calibration.faces) // _PROBE_FACES)]
    classifier, checks = _rebuilt(source, spec, calibration, probes, say)
    facts = model_facts(config.bundle_name, source.data.names, spec)
    files = {FLOAT_TFLITE: _described(FLOAT_TFLITE, convert_float(classifier.model), "float32", facts)}
    files[INT8_TFLITE], quantization = _quantized(classifier, source, spec, config, facts, say, progress)
    artefact, content = files[INT8_TFLITE]
    checks[INT8_TFLITE] = check_int8(
        content, _at_least_three(to_input(probes, spec, artefact.input)), mixed=config.mixed
    )
    ratios = signal_to_noise(content, classifier.graph, classifier.prepare(probes[:16]), artefact.input)
    checks["worst_tensors_db"] = dict(list(ratios.items())[:_WORST_TENSORS])
    kept = f"all integer but {', '.join(config.mixed)}" if config.mixed else "all integer"
    say(f"{INT8_TFLITE}: {artefact.size_bytes / 1e6:.2f} MB, {kept}.")
    if config.onnx:
        files[INT8_ONNX], checks[INT8_ONNX] = _make_onnx(
            files[INT8_TFLITE], spec, probes, config, facts, spread=checks[INT8_TFLITE]["kernel_spread"]
        )
        say(f"{INT8_ONNX}: {files[INT8_ONNX][0].size_bytes / 1e6:.2f} MB, {kept} in ONNX Runtime.")
        content, *ends = convert_float_onnx(classifier.model)
        files[FLOAT_ONNX] = _described_onnx(FLOAT_ONNX, content, "float32", facts, *ends)
    if "float16" in config.also:
        files[HALF_TFLITE] = _described(HALF_TFLITE, convert_half(classifier.model), "float16", facts)
    return Models(files, checks, quantization)


def shipped(config: ExportConfig, name: str) -> bool:
    """Whether an artefact goes into the bundle."""
    wanted = {FLOAT_TFLITE: "float32", FLOAT_ONNX: "float32", HALF_TFLITE: "float16"}
    return name not in wanted or wanted[name] in config.also


def _rebuilt(
    source: Source, spec: Preprocess, calibration: Calibration, probes: NDArray[np.uint8], say: Say
) -> tuple[_Classifier, dict[str, Any]]:
    size = spec.input_size
    tensor = TensorSpec("faces", (size, size, spec.channels), "float32", "HWC")

    def prepare(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        return to_input(faces, spec, tensor)

    inputs = prepare(probes)
    repeated = np.repeat(inputs, 3, axis=-1)
    trained, rebuilding = rebuild_classifier(
        source.model_file, source.recipe, classes=len(source.data.names), inputs=repeated
    )
    graph = take_grey(simplify(read_graph(trained)))
    model = build_model(graph)
    simplifying = check_equal(
        predict(model, inputs), predict(trained, repeated), f"{source.model_file}: the simplified classifier"
    )
    say(
        f"Rebuilt {source.recipe.architecture} in tf_keras, {len(trained.layers)} layers simplified to {len(model.layers)}: "
        f"probabilities differ by at most {rebuilding:.1g} and {simplifying:.1g}."
    )
    say("Choosing ranges and biases of the integers by calibration faces.")
    rounded, ranges, rounding = round_best(
        with_input_grid(graph), prepare(calibration.faces), prepare(calibration.held_out)
    )
    checks = {"rebuild_difference": rebuilding, "simplify_difference": simplifying}
    return _Classifier(model, graph, rounded, ranges, rounding, prepare), checks


def _quantized(
    classifier: _Classifier, source: Source, spec: Preprocess, config: ExportConfig, facts: dict[str, str], say: Say,
    progress: Progress,
) -> tuple[File, dict[str, Any]]:  # fmt: skip
    """The int8 TFLite model: of both methods the one that is better on PublicTest, post-training where they are equal."""
    check_layers(classifier.graph, config.mixed)
    graphs = {PTQ: classifier.rounded}
    report: dict[str, Any] = {"method": PTQ, "float_layers": list(config.mixed), "rounding": classifier.rounding}
    if config.qat.epochs:
        faces, _ = source.data.part("Training")
        task = Task(
            classifier.rounded, classifier.ranges, classifier.model, source.model_file, faces,
            *source.data.part(_SELECTION), classifier.prepare,
        )  # fmt: skip
        graphs[QAT], report["training"] = train_aware(task, config.qat, config.run, say=say, progress=progress)
    candidates = {}
    for method, graph in graphs.items():
        say(f"Converting to int8 ({method}); this takes a minute or a few.")
        content = convert_int8(aware_model(graph, classifier.ranges, round_weights=False))
        content = keep_float(content, graph, config.mixed) if config.mixed else content
        candidates[method] = _described(INT8_TFLITE, content, "int8", facts)
    if len(candidates) > 1:
        files = {f"{number}.tflite": file for number, file in enumerate(candidates.values())}
        named = {name: (artefact._replace(path=name), content) for name, (artefact, content) in files.items()}
        measured, _ = measure_artefacts(
            named, source.data, _SELECTION, spec=spec, threads=config.threads, progress=progress
        )
        reached = {method: m.result["accuracy"] for method, m in zip(candidates, measured, strict=True)}
        report |= {_SELECTION: reached, "method": max(reached, key=lambda method: reached[method])}
        figures = ", ".join(f"{method} {accuracy:.2%}" for method, accuracy in reached.items())
        beaten = "" if report["method"] == QAT else " Training did not pay here."
        say(f"int8 on {_SELECTION}: {figures}. What ships: {report['method']}.{beaten}")
    return candidates[report["method"]], report


def _described(name: str, content: bytes, precision: str, facts: dict[str, str]) -> File:
    """A TFLite model with its facts inside, and its manifest entry."""
    content = describe_tflite(content, facts)
    engine = LiteRTEngine(content, name=name)
    return describe_artefact(name, content, precision=precision, input=engine.input, output=engine.output), content


def _described_onnx(
    name: str, content: bytes, precision: str, facts: dict[str, str], input: TensorSpec, output: TensorSpec
) -> File:
    content = describe_onnx(content, facts)
    return describe_artefact(name, content, precision=precision, input=input, output=output), content


def _make_onnx(
    tflite: File,
    spec: Preprocess,
    probes: NDArray[np.uint8],
    config: ExportConfig,
    facts: dict[str, str],
    *,
    spread: float,
) -> tuple[File, dict[str, Any]]:
    (artefact, content), target = tflite, config.target
    ends = tensors_of(artefact.input, artefact.output, target)
    entry, converted = _described_onnx(INT8_ONNX, convert_onnx(content, target), "int8", facts, *ends)
    samples = to_input(probes, spec, entry.input)
    checks = check_onnx(converted, entry.output, _at_least_three(samples), target, floats=len(config.mixed))
    theirs = open_engine(entry, converted).run(samples)
    ours = open_engine(artefact, content).run(to_input(probes, spec, artefact.input))
    differences = np.abs(theirs - ours)
    mean, worst = float(differences.mean()), float(differences.max())
    checks |= {"target": target, "tflite_difference": worst, "tflite_mean_difference": mean}
    if mean > MAX_MEAN_DIFFERENCE and worst > 2 * spread:
        raise ExportError(
            f"{INT8_ONNX} differs from {INT8_TFLITE} by {mean:.3f} on average and at most {worst:.3f} on {len(probes)} faces; "
            f"{MAX_MEAN_DIFFERENCE:.3f} on average or {2 * spread:.3f} at most is allowed. The TFLite model is complete: export "
            "it alone with --no-onnx."
        )
    return (entry, converted), checks


def _at_least_three(inputs: NDArray[Any]) -> NDArray[Any]:
    return np.resize(inputs, (max(3, len(inputs)), *inputs.shape[1:]))
