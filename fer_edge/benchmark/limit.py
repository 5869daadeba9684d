"""How far an int8 model is from what this core can do: its layers' rate against one large int8 matrix product in the same library.

ONNX Runtime runs both, because it has a profiler; LiteRT's Python package has none. The matrix product is large enough to hide
every overhead and small enough for the caches of a core's neighbourhood, so its rate stands for the int8 peak that a library
reaches (a roofline's ceiling, Williams et al. 2009).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fer_edge_export.profile import node_events

SIDE = 1024  # of the square matrices: 1.07 billion multiply-accumulates


def measure_limit(content: bytes, *, rounds: int = 200, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Rates of one face on one thread.

    Args:
        content: an int8 ONNX model of the bundle.
        rounds: faces whose layers are timed; half of the matrix products run before them, half after.
        between: called between the parts of the measurement.

    Returns:
        ``peak_gmacs`` (billion multiply-accumulates a second of the matrix product, the best run), ``face_us`` (median, without the
        profiler), ``mmacs`` of a face, ``share`` of the peak over the whole face, and ``groups``: kind of layer -> ``count``,
        ``mmacs``, ``us`` (with the profiler's own microsecond or two a layer), ``share``.
    """
    product = _session(_matrix_product())
    matrix = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    model = onnx.load_from_string(content)
    face = _face(model)
    peak = _rate(product, matrix)
    between()
    median = _median_us(_session(content), face, rounds)
    between()
    events = _profile(content, face, rounds)
    between()
    peak = max(peak, _rate(product, matrix))
    groups = _groups(events, _kernels(model), rounds)
    mmacs = sum(group["mmacs"] for group in groups.values())
    for group in groups.values():
        group["share"] = _share(group["mmacs"], group["us"], peak)
    return {
        "peak_gmacs": round(peak, 1), "face_us": round(median, 1), "mmacs": round(mmacs, 2), "share": _share(mmacs, median, peak),
        "groups": dict(sorted(groups.items(), key=lambda item: -item[1]["us"])),
    }  # fmt: skip


def _share(mmacs: float, us: float, peak: float) -> float:
    """Of the peak: million multiply-accumulates in microseconds, against billions a second."""
    return round(mmacs / us * 1e3 / peak, 4) if us else 0.0


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _matrix_product() -> bytes:
    """uint8 times int8, as the exported models' activations and weights are."""
    weights = np.random.default_rng(1).integers(-127, 128, (SIDE, SIDE), np.int8)
    tensors = {
        "scale": np.float32(0.01), "zero": np.uint8(0), "weights": weights, "weights_scale": np.float32(0.01),
        "weights_zero": np.int8(0), "out_scale": np.float32(1), "out_zero": np.uint8(128),
    }  # fmt: skip
    node = helper.make_node(
        "QLinearMatMul", ["a", "scale", "zero", "weights", "weights_scale", "weights_zero", "out_scale", "out_zero"], ["b"]
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, (SIDE, SIDE))],
        [helper.make_tensor_value_info("b", TensorProto.UINT8, (SIDE, SIDE))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def _rate(product: Any, matrix: np.ndarray) -> float:
    """Billion multiply-accumulates a second, of the best of ten."""
    best = min(_timed(product, {"a": matrix}) for _ in range(10))
    return SIDE**3 / best / 1e9


def _timed(session: Any, feeds: dict[str, np.ndarray]) -> float:
    begin = time.perf_counter()
    session.run(None, feeds)
    return time.perf_counter() - begin


def _face(model: Any) -> np.ndarray:
    """(1, S, S, C) uint8 noise for the model's one input."""
    shape = [dim.dim_value or 1 for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(2).integers(0, 255, shape, np.uint8)


def _median_us(session: Any, face: np.ndarray, rounds: int) -> float:
    feeds = {session.get_inputs()[0].name: face}
    return float(np.median([_timed(session, feeds) for _ in range(rounds)])) * 1e6


def _profile(content: bytes, face: np.ndarray, rounds: int) -> list[dict[str, Any]]:
    """Every operator's events of so many runs, the first tenth left out as warm-up."""
    warm_up = max(1, rounds // 10)
    nodes = node_events(content, face, runs=rounds + warm_up)
    return nodes[len(nodes) * warm_up // (rounds + warm_up) :]


class Kernel(NamedTuple):
    """Of a convolution or dense layer.

    Attributes:
        kind: such as ``depthwise 3×3``.
        per_output: multiply-accumulates of one output value.
    """

    kind: str
    per_output: int


def _kernels(model: Any) -> dict[str, Kernel]:
    """Name of every convolution and dense layer -> its kernel."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    behind = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm", "QLinearConv", "QLinearMatMul"):
            continue
        weight = node.input[3] if node.op_type.startswith("QLinear") else node.input[1]
        shape = shapes[behind.get(weight, weight)]
        if len(shape) == 2:  # (inputs, outputs)
            found[node.name] = Kernel("dense", shape[0])
            continue
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        kind = f"{'depthwise' if grouped else 'convolution'} {shape[2]}×{shape[3]}"
        found[node.name] = Kernel(kind, int(np.prod(shape[1:])))
    return found


def _groups(
    events: list[dict[str, Any]], kernels: dict[str, Kernel], rounds: int
) -> dict[str, dict[str, Any]]:  # fmt: skip
    spent: dict[str, float] = defaultdict(float)
    output: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for event in events:
        name = event["name"]
        spent[name] += event["dur"] / rounds
        kinds[name] = event["args"]["op_name"]
        output[name] = int(np.prod(next(iter(event["args"]["output_type_shape"][0].values()), [1]) or [1]))
    groups: dict[str, dict[str, Any]] = {}
    for name, us in spent.items():
        # A fused layer is named after the one it was made from, and a number.
        source = max((known for known in kernels if name.startswith(known)), key=len, default=None)
        kernel = kernels[source] if source is not None and _multiplies(kinds[name]) else None
        group = groups.setdefault(kernel.kind if kernel else kinds[name], {"count": 0, "mmacs": 0.0, "us": 0.0})
        group["count"] += 1
        group["us"] = round(group["us"] + us, 2)
        if kernel is not None:
            group["mmacs"] = round(group["mmacs"] + output[name] * kernel.per_output / 1e6, 4)
    return groups


def _multiplies(operator: str) -> bool:
    return any(word in operator for word in ("Conv", "MatMul", "Gemm"))
