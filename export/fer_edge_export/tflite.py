"""TFLite artefacts: float32 as the reference, and full-integer int8 (int8 in, int8 out, one scale per weight channel).

Post-training and quantization-aware models take the same road: both bring the ranges of their activations along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fer_edge_export.errors import ExportError
from fer_edge_export.inspection import inspect_tflite
from fer_edge_runtime.engines.litert import LiteRTEngine, interpreter_module
from fer_edge_train.quiet import quiet

LSB = 1 / 256  # one step of the softmax output


def convert_float(model: Any) -> bytes:
    """A `tf_keras` classifier as float32 TFLite, batch left open."""
    return _convert(tf.lite.TFLiteConverter.from_keras_model(model), "float32")


def convert_half(model: Any) -> bytes:
    """A `tf_keras` classifier as TFLite with float16 weights; inputs, outputs and, on a CPU, the arithmetic stay float32."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _convert(converter, "float16")


def convert_int8(model: Any) -> bytes:
    """A model whose activations are rounded to ranges (`fer_edge_export.aware`) as full-integer TFLite.

    The converter takes the ranges from the model and gives every channel of a kernel the scale of its largest weight.

    Raises:
        ExportError: the converter failed.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return _convert(converter, "int8")


def _convert(converter: Any, precision: str) -> bytes:
    with quiet() as noise:
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter raises whatever its C++ passes raise
            raise ExportError(
                f"TensorFlow could not convert the model to {precision} TFLite: {error}\n{noise()}".rstrip()
            ) from error


def check_int8(content: bytes, samples: NDArray[np.int8], *, mixed: Sequence[str] = ()) -> dict[str, Any]:
    """Prove that a model is what `convert_int8` promises.

    Args:
        content: the flatbuffer.
        samples: (3 or more, size, size, 3) int8 inputs from real faces.
        mixed: layers that were asked to stay in float.

    Returns:
        Facts for the report: operator counts, the largest difference between a batch and single faces, `kernel_spread`.

    Raises:
        ExportError: a float tensor is left, weights have one scale for all channels, or the batch cannot be resized.
    """
    found = inspect_tflite(content, "model.int8.tflite")
    floats = found["float_islands"]
    if len(floats) > 3 * len(mixed):  # each has a DEQUANTIZE before and a QUANTIZE behind it
        raise ExportError(
            f"The int8 TFLite model still computes in float: {', '.join(floats[:5])} ({len(floats)} in all)."
        )
    if not found["per_channel"]:
        raise ExportError("The int8 TFLite model has no weights with one scale per channel.")
    engine = LiteRTEngine(content, name="model.int8.tflite")
    for role, tensor in (("input", engine.input), ("output", engine.output)):
        if tensor.dtype != "int8":
            raise ExportError(f"The int8 TFLite model's {role} is {tensor.dtype}, not int8.")
    difference = batch_difference(engine, samples[:3])
    if not difference <= 2 * LSB:
        raise ExportError(
            f"A batch of three faces differs from three single ones by {difference:.4f}: the batch cannot be resized."
        )
    return {
        "operators": found["integer_operators"], "float_operators": found["float_operators"], "per_channel_tensors": found["per_channel"], "batch_difference": difference,
        "kernel_spread": kernel_spread(content, samples),
    }  # fmt: skip


def kernel_spread(content: bytes, inputs: NDArray[np.int8]) -> float:
    """Largest difference of a probability between XNNPACK and LiteRT's built-in kernels on the same model and faces.

    All kernels round alike but not at the same places; how far that carries is a property of the model. It is the
    yardstick for any other engine: closer than this cannot be asked of it.
    """
    module = interpreter_module()[0]
    plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(model_content=content, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    engine = LiteRTEngine(content, name="model.int8.tflite")
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    worst = 0.0
    for index in range(len(inputs)):
        face = inputs[index : index + 1]
        interpreter.set_tensor(source, face)
        interpreter.invoke()
        raw = interpreter.get_tensor(target).astype(np.float32)
        found = (raw - engine.output.zero_point) * np.float32(engine.output.scale)
        worst = max(worst, float(np.max(np.abs(found - engine.run(face)))))
    return worst


def batch_difference(engine: Any, batch: NDArray[Any]) -> float:
    """Largest difference of a probability between one batch and its faces one by one."""
    together = engine.run(batch)
    singles = np.concatenate([engine.run(batch[i : i + 1]) for i in range(len(batch))])
    if together.shape != singles.shape:
        return float("inf")
    return float(np.max(np.abs(together - singles)))
