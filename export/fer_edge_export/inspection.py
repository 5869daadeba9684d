"""What is inside a model file: operators in integers and in float, tensors and their scales, what it says about itself."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge_runtime.engines.litert import interpreter_module, open_interpreter
from fer_edge_runtime.errors import BundleError, DataError

_INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")
AVERAGED = "_averaged"  # ends the names of what `round_averages_as_tflite` adds to an ONNX graph


def inspect_file(path: Path) -> dict[str, Any]:
    """Look into one model.

    Args:
        path: a ``.tflite`` or ``.onnx`` file.

    Returns:
        ``file``, ``format``, ``size_bytes``, ``integer_operators`` and ``float_operators`` (name -> count), ``float_islands``
        (where float is computed), ``tensors`` (name, dtype, shape, scale, zero point of activations), ``per_channel``
        (tensors with a scale per channel), ``about`` (the facts inside the file), and for ONNX ``runtime_operators``:
        what ONNX Runtime makes of it here.

    Raises:
        DataError: there is no such file, or it is of another kind.
        BundleError: it is damaged.
    """
    if not path.is_file():
        raise DataError(f"There is no model at {path}.")
    kinds = {".tflite": inspect_tflite, ".onnx": inspect_onnx}
    if path.suffix not in kinds:
        raise DataError(f"{path} is neither .tflite nor .onnx. Give a model file, or a bundle folder.")
    content = path.read_bytes()
    return {"file": path.name, "size_bytes": len(content), **kinds[path.suffix](content, path.name)}


def inspect_tflite(content: bytes, name: str) -> dict[str, Any]:
    """See `inspect_file`; the graph as it is stored, without a delegate."""
    from fer_edge_export.metadata import facts_of_tflite

    open_interpreter(content, name=name)  # refuses what is no model
    module = interpreter_module()[0]
    interpreter = module.Interpreter(
        model_content=content,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    islands, activations = [], []
    for operator in interpreter._get_ops_details():
        used = [tensors[i] for i in (*operator["inputs"], *operator["outputs"]) if i in tensors]
        integer = all(np.dtype(tensor["dtype"]).name in _INTEGERS for tensor in used)
        counts[integer][operator["op_name"]] += 1
        if not integer:
            islands.append(f"{operator['op_name']} ({tensors[operator['outputs'][0]]['name'][:60]})")
        activations += [tensors[i] for i in operator["outputs"] if i in tensors]
    return {
        "format": "tflite", "integer_operators": dict(counts[True]), "float_operators": dict(counts[False]),
        "float_islands": islands, "tensors": [_tensor(tensor) for tensor in activations],
        "per_channel": sum(len(tensor["quantization_parameters"]["scales"]) > 1 for tensor in tensors.values()),
        "about": facts_of_tflite(content),
    }  # fmt: skip


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = tensor["quantization"]
    return {
        "name": tensor["name"].partition(";")[0], "dtype": np.dtype(tensor["dtype"]).name,
        "shape": [int(side) for side in tensor["shape"]], "scale": float(scale), "zero_point": int(zero_point),
    }  # fmt: skip


def inspect_onnx(content: bytes, name: str) -> dict[str, Any]:
    """See `inspect_file`; float operators are those that ONNX Runtime would compute in float here."""
    import onnx
    from onnx import numpy_helper

    from fer_edge_export.metadata import facts_of_onnx

    try:
        model = onnx.load_from_string(content)
        ran = optimised_operators(content)
    except Exception as error:  # protobuf's and ONNX Runtime's own classes share only this base
        raise BundleError(
            f"{name} is not an ONNX model that can be read: {str(error).splitlines()[0][:200]}"
        ) from error
    constants = {c.name: c for c in model.graph.initializer}
    tensors = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants and node.input[1] in constants:
            scale, zero_point = (numpy_helper.to_array(constants[name]) for name in _grid(model.graph, node))
            tensors.append({
                "name": node.output[0], "dtype": zero_point.dtype.name, "scale": float(scale), "zero_point": int(zero_point),
            })  # fmt: skip
    integer = {kind: count for kind, count in ran.items() if _is_integer(kind)}
    return {
        "format": "onnx", "opset": max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        "ir_version": model.ir_version, "integer_operators": integer,
        "float_operators": {kind: count for kind, count in ran.items() if kind not in integer},
        "float_islands": [], "tensors": tensors, "runtime_operators": ran,
        "per_channel": sum(
            node.op_type == "DequantizeLinear" and node.input[1] in constants and len(constants[node.input[1]].dims) == 1
            and constants[node.input[1]].dims[0] > 1 for node in model.graph.node
        ),
        "about": facts_of_onnx(model),
    }  # fmt: skip


def _grid(graph: Any, node: Any) -> list[str]:
    """Names of scale and zero point of what a ``QuantizeLinear`` gives; an average lies on the grid of what it averages."""
    producers = {name: other for other in graph.node for name in other.output}
    before = producers.get(node.input[0])
    if before is None or before.op_type != "AveragePool" or not before.input[0].endswith(AVERAGED):
        return list(node.input[1:])
    averaged = producers[before.input[0]].input[0]
    others = [
        other
        for other in graph.node
        if (other.op_type == "DequantizeLinear" and other.input[0] == averaged and not other.name.endswith(AVERAGED))
        or (other.op_type == "QuantizeLinear" and other.output[0] == averaged)
    ]
    return list((others or [node])[0].input[1:])


def optimised_operators(content: bytes, *, int8_activations: bool = False) -> dict[str, int]:
    """Operator counts of the graph that ONNX Runtime really executes on this machine's CPU.

    Args:
        content: the model.
        int8_activations: keep int8 activations in integers on x86 too, as an Arm board does by itself.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        if int8_activations:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return dict(Counter(node.op_type for node in onnx.load(target).graph.node))


def _is_integer(kind: str) -> bool:
    """Whether an operator of ONNX Runtime computes on integers, or only moves values."""
    moves = (
        "QuantizeLinear",
        "Transpose",
        "Reshape",
        "Concat",
        "MaxPool",
        "NhwcMaxPool",
        "Pad",
        "Squeeze",
        "Flatten",
        "Identity",
    )
    return kind.startswith(("QLinear", "QGemm", "MatMulInteger", "ConvInteger")) or kind in moves


def models_of(path: Path) -> list[Path]:
    """The model files that a path means: itself, or those of a bundle folder.

    Raises:
        DataError: a folder without a model.
    """
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("*.tflite"), *path.glob("*.onnx")])
    if not found:
        raise DataError(f"{path} holds no .tflite or .onnx file.")
    return found
