"""How far the integer tensors of an artefact are from the float model's activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from fer_edge_export.graph import Graph, build_model
from fer_edge_runtime.engines.litert import interpreter_module
from fer_edge_runtime.manifest import TensorSpec

_EXACT = 200.0  # decibels; more is not told apart


def signal_to_noise(content: bytes, graph: Graph, inputs: NDArray[np.float32], grid: TensorSpec) -> dict[str, float]:
    """Decibels of every step whose output is a tensor of the integer graph, the worst first.

    Args:
        content: int8 TFLite, made from the steps.
        graph: the float steps.
        inputs: (N, size, size, 1) float32 in [-1, 1].
        grid: of the artefact's input.
    """
    found = _integer_tensors(content, inputs, grid, set(graph.steps))
    model = build_model(graph)
    names = [name for name in graph.steps if name in found]
    outputs = tf_keras.Model(model.input, [model.get_layer(name).output for name in names])(inputs, training=False)
    ratios = {name: _decibels(np.asarray(exact), found[name]) for name, exact in zip(names, outputs, strict=True)}
    return dict(sorted(ratios.items(), key=lambda item: item[1]))


def _decibels(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> float:
    noise = float(np.sum((exact - rounded.reshape(exact.shape)) ** 2))
    signal = float(np.sum(exact**2))
    return round(min(_EXACT, 10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30))), 2)


def _integer_tensors(
    content: bytes, inputs: NDArray[np.float32], grid: TensorSpec, steps: set[str]
) -> dict[str, NDArray[np.float32]]:
    """Step -> real values of its tensor; a tensor is named after the step that it comes from."""
    module = interpreter_module()[0]
    interpreter = module.Interpreter(
        model_content=content, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    (source,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(source["index"], inputs.shape)
    interpreter.allocate_tensors()
    rounded = np.clip(np.rint(inputs / grid.scale) + grid.zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(source["index"], rounded)
    interpreter.invoke()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    outputs = [index for operator in interpreter._get_ops_details() for index in operator["outputs"]]
    named = {step_of(tensors[index]["name"]): index for index in outputs if index in tensors}
    return {name: _real(interpreter, tensors[index]) for name, index in named.items() if name in steps}


def step_of(tensor_name: str) -> str:
    """``network/quant_STEP/Relu6;…`` is of STEP."""
    parts = tensor_name.partition(";")[0].split("/")
    return parts[1].removeprefix("quant_") if len(parts) > 1 else ""


def _real(interpreter: Any, tensor: dict[str, Any]) -> NDArray[np.float32]:
    scale, zero_point = tensor["quantization"]
    return (interpreter.get_tensor(tensor["index"]).astype(np.float32) - zero_point) * np.float32(scale)
