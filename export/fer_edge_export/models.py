"""Every artefact of a bundle, made from a run and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.bundle_writer import describe_artefact
from fer_edge_export.calibration import Calibration
from fer_edge_export.errors import ExportError
from fer_edge_export.onnx import MAX_MEAN_DIFFERENCE, check_onnx, convert_onnx, tensors_of
from fer_edge_export.rebuild import rebuild_classifier
from fer_edge_export.source import Source
from fer_edge_export.tflite import check_int8, convert_float, convert_int8
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.engines.litert import LiteRTEngine
from fer_edge_runtime.manifest import Artefact, Preprocess, TensorSpec
from fer_edge_runtime.preprocess import to_input

INT8_TFLITE, INT8_ONNX, FLOAT_TFLITE = "model.int8.tflite", "model.int8.onnx", "model.fp32.tflite"
_PROBE_FACES = 64


@dataclass(frozen=True, slots=True)
class Models:
    """The artefacts of a bundle.

    Attributes:
        files: name -> (manifest entry, bytes), the float32 one first.
        checks: what the checks of each found, for the report.
    """

    files: dict[str, tuple[Artefact, bytes]]
    checks: dict[str, Any]


def make_models(
    source: Source, spec: Preprocess, calibration: Calibration, *, with_onnx: bool, say: Callable[[str], None]
) -> Models:
    """Rebuild the classifier and convert it; every result is checked.

    Args:
        source: the run.
        spec: how faces become inputs.
        calibration: the faces that set the integer ranges.
        with_onnx: also make the ONNX artefact.
        say: receives a sentence a step.

    Raises:
        ExportError: a conversion failed or its result was refused.
    """
    size = spec.input_size
    inputs = to_input(calibration.faces, spec, TensorSpec("faces", (size, size, spec.channels), "float32", "HWC"))
    probes = calibration.faces[:: max(1, len(calibration.faces) // _PROBE_FACES)]
    model, difference = rebuild_classifier(
        source.model_file,
        source.recipe,
        classes=len(source.data.names),
        inputs=inputs[:: max(1, len(inputs) // _PROBE_FACES)],
    )
    say(f"Rebuilt {source.recipe.architecture} in tf_keras: probabilities differ by at most {difference:.1g}.")
    checks: dict[str, Any] = {"rebuild_difference": difference}
    contents = {FLOAT_TFLITE: convert_float(model)}
    say(f"Converting to int8 with {len(inputs)} training faces; this takes a minute or a few.")
    contents[INT8_TFLITE] = convert_int8(model, inputs)
    files = {}
    for name, content in contents.items():
        engine = LiteRTEngine(content, name=name)
        precision = "int8" if name == INT8_TFLITE else "float32"
        files[name] = (
            describe_artefact(name, content, precision=precision, input=engine.input, output=engine.output),
            content,
        )
    artefact = files[INT8_TFLITE][0]
    checks[INT8_TFLITE] = check_int8(contents[INT8_TFLITE], _at_least_three(to_input(probes, spec, artefact.input)))
    say(f"{INT8_TFLITE}: {artefact.size_bytes / 1e6:.2f} MB, all integer.")
    if with_onnx:
        entry, content, checks[INT8_ONNX] = _make_onnx(
            files[INT8_TFLITE], spec, probes, spread=checks[INT8_TFLITE]["kernel_spread"]
        )
        files[INT8_ONNX] = (entry, content)
        say(f"{INT8_ONNX}: {len(content) / 1e6:.2f} MB, all convolutions integer in ONNX Runtime.")
    return Models(files, checks)


def _make_onnx(
    tflite: tuple[Artefact, bytes], spec: Preprocess, probes: NDArray[np.uint8], *, spread: float
) -> tuple[Artefact, bytes, dict[str, Any]]:
    artefact, content = tflite
    converted = convert_onnx(content)
    input_tensor, output_tensor = tensors_of(artefact.input, artefact.output)
    entry = describe_artefact(INT8_ONNX, converted, precision="int8", input=input_tensor, output=output_tensor)
    checks = check_onnx(converted, output_tensor, _at_least_three(to_input(probes, spec, input_tensor)))
    theirs = open_engine(entry, converted).run(to_input(probes, spec, input_tensor))
    ours = open_engine(artefact, content).run(to_input(probes, spec, artefact.input))
    differences = np.abs(theirs - ours)
    mean, worst = float(differences.mean()), float(differences.max())
    checks |= {"tflite_difference": worst, "tflite_mean_difference": mean}
    if mean > MAX_MEAN_DIFFERENCE and worst > 2 * spread:
        raise ExportError(
            f"{INT8_ONNX} differs from {INT8_TFLITE} by {mean:.3f} on average and at most {worst:.3f} on {len(probes)} faces; "
            f"{MAX_MEAN_DIFFERENCE:.3f} on average or {2 * spread:.3f} at most is allowed. The TFLite model is complete: export "
            "it alone with --no-onnx."
        )
    return entry, converted, checks


def _at_least_three(inputs: NDArray[Any]) -> NDArray[Any]:
    return np.resize(inputs, (max(3, len(inputs)), *inputs.shape[1:]))
