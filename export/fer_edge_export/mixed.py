"""Mixed precision: named layers of an int8 TFLite model computed in float32, their neighbours untouched.

The converter quantizes every layer between two rounded tensors, so the change is made in its result: the tensor before the
layer is dequantized, its weights are the float ones, the tensor behind it is quantized again.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fer_edge_export.errors import ExportError
from fer_edge_export.graph import Graph, Step
from fer_edge_export.simplify import LINEAR
from fer_edge_export.tensors import step_of
from fer_edge_runtime.errors import ConfigError

_IDENTIFIER = b"TFL3"
_VERSIONS = {schema.BuiltinOperator.DEQUANTIZE: 2, schema.BuiltinOperator.QUANTIZE: 1}  # the first that know int8


def check_layers(graph: Graph, names: Sequence[str]) -> None:
    """Refuse names of no layer that has weights.

    Raises:
        ConfigError: it names the closest ones.
    """
    known = [step.name for step in graph.steps.values() if step.kind in LINEAR]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3) or known[:3]
            raise ConfigError(
                f"--mixed {name}: the simplified network has no such convolution or dense layer. Among its {len(known)} are: "
                f"{', '.join(close)}. fer-edge export inspect lists the layers of a model."
            )


def keep_float(content: bytes, graph: Graph, names: Sequence[str]) -> bytes:
    """The model with the named layers in float32.

    Args:
        content: int8 TFLite, made from the steps.
        graph: its steps with their float weights.
        names: of convolutions and dense layers.

    Raises:
        ExportError: a layer is not found in the model.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (part,) = model.subgraphs
    for name in names:
        places = [i for i, op in enumerate(part.operators) if step_of(_name(part, op.outputs[0])) == name]
        if len(places) != 1:
            raise ExportError(
                f"{len(places)} operators of the int8 model come from the layer {name}; one was expected."
            )
        _to_float(model, part, places[0], graph.steps[name])
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _to_float(model: Any, part: Any, place: int, step: Step) -> None:
    operator = part.operators[place]
    source, (target,) = operator.inputs[0], operator.outputs
    kernel, bias = (_add_constant(model, part, f"{step.name}/float{i}", w) for i, w in enumerate(_arrays(step)))
    before, behind = _add_like(part, source), _add_like(part, target)
    operator.inputs, operator.outputs = [before, kernel, bias], [behind]
    opening = _operator(model, schema.BuiltinOperator.DEQUANTIZE, source, before)
    closing = _operator(model, schema.BuiltinOperator.QUANTIZE, behind, target)
    part.operators[place : place + 1] = [opening, operator, closing]


def _arrays(step: Step) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias in TFLite's layouts."""
    kernel, *bias = step.weights
    if step.kind == "Conv2D":
        kernel = kernel.transpose(3, 0, 1, 2)
    elif step.kind == "DepthwiseConv2D":
        kernel = kernel.reshape(1, *kernel.shape[:2], -1)
    else:
        kernel = kernel.T
    outputs = kernel.shape[-1] if step.kind == "DepthwiseConv2D" else kernel.shape[0]
    return np.ascontiguousarray(kernel, np.float32), bias[0] if bias else np.zeros(outputs, np.float32)


def _name(part: Any, index: int) -> str:
    name = part.tensors[index].name
    return name.decode() if isinstance(name, bytes) else str(name)


def _add_like(part: Any, index: int) -> int:
    """A float tensor of another one's shape."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape = f"{_name(part, index)}/float", part.tensors[index].shape
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
    part.tensors.append(tensor)
    return len(part.tensors) - 1


def _add_constant(model: Any, part: Any, name: str, values: NDArray[np.float32]) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, list(values.shape)
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, len(model.buffers) - 1
    part.tensors.append(tensor)
    return len(part.tensors) - 1


def _operator(model: Any, kind: int, source: int, target: int) -> Any:
    codes = [code.builtinCode for code in model.operatorCodes]
    if kind not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, kind, _VERSIONS[kind]
        model.operatorCodes.append(code)
        codes.append(kind)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(kind), [source], [target]
    return operator
