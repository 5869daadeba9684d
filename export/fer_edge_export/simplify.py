"""The same function in fewer layers, as a device runs it: what training needed and inference does not is folded away.

Batch norm, scales of residuals and rescalings go into convolutions, dropout goes, a separable convolution becomes its two
parts, a padding goes into the convolution behind it, ReLU into the layer before it. Quantization then sees only layers
that TFLite has one integer operator for. All of it is exact but for rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.graph import Graph, Step

LINEAR = ("Conv2D", "DepthwiseConv2D", "Dense")
_NOTHING_AT_INFERENCE = ("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")
_Vector = NDArray[np.float64]


def simplify(graph: Graph) -> Graph:
    """Rewrite a graph in place and return it."""
    for step in list(graph.steps.values()):
        if step.kind in _NOTHING_AT_INFERENCE or (step.kind == "Activation" and step.config["activation"] == "linear"):
            graph.remove(step)
    _each(graph, "CustomScaleLayer", _fold_scale)
    _each(graph, "SeparableConv2D", _split_separable)
    _each(graph, "Rescaling", _rescaling_to_depthwise)
    _each(graph, "BatchNormalization", _fold_batch_norm)
    _each(graph, "ZeroPadding2D", _merge_padding)
    _each(graph, "Activation", _activation_to_layer)
    _each(graph, "Dense", _split_softmax)
    _each(graph, "ReLU", _fuse_relu)
    return graph


def _each(graph: Graph, kind: str, rewrite: Any) -> None:
    for step in [step for step in graph.steps.values() if step.kind == kind]:
        rewrite(graph, step)


def _fold_scale(graph: Graph, step: Step) -> None:
    """``x + scale * conv(y)``: the scale goes into the convolution, a plain ``Add`` is left (InceptionResNetV2)."""
    convolution = graph.steps[step.inputs[1]]
    convolution.weights = [array * np.float32(step.config["scale"]) for array in convolution.weights]
    step.kind, step.config = "Add", {"name": step.name}


def _split_separable(graph: Graph, step: Step) -> None:
    """Depthwise, then 1×1: what the layer computes (Xception)."""
    config, (depthwise, pointwise, *bias) = step.config, step.weights
    first = Step(f"{step.name}_depthwise", "DepthwiseConv2D", step.inputs, {
        "name": f"{step.name}_depthwise", "use_bias": False, "kernel_size": config["kernel_size"],
        "strides": config["strides"], "padding": config["padding"], "depth_multiplier": config["depth_multiplier"],
        "dilation_rate": config["dilation_rate"],
    }, [depthwise])  # fmt: skip
    before = list(graph.steps)[list(graph.steps).index(step.name) - 1]
    graph.insert_after(before, first)
    step.kind, step.inputs, step.weights = "Conv2D", [first.name], [pointwise, *bias]
    step.config = {
        "name": step.name, "filters": config["filters"], "kernel_size": 1, "use_bias": config["use_bias"],
        "activation": config["activation"],
    }  # fmt: skip


def _rescaling_to_depthwise(graph: Graph, step: Step) -> None:
    """``x * scale + offset`` a channel is a depthwise 1×1 convolution: one integer operator instead of two."""
    channels = _channels_of_input(graph, step)
    scale = np.broadcast_to(np.asarray(step.config["scale"], np.float64), channels)
    offset = np.broadcast_to(np.asarray(step.config["offset"], np.float64), channels)
    _become_affine(step, scale, offset)


def _channels_of_input(graph: Graph, step: Step) -> int:
    source = graph.source(step)
    if source.kind != "InputLayer":
        raise ValueError(f"{step.name} rescales what {source.name} gives; only the input's rescaling is known")
    return int(source.config["batch_input_shape"][-1])


def _become_affine(step: Step, scale: _Vector, offset: _Vector) -> None:
    step.kind = "DepthwiseConv2D"
    step.config = {"name": step.name, "kernel_size": 1}
    step.weights = [scale.reshape(1, 1, -1, 1).astype(np.float32), offset.astype(np.float32)]


def _fold_batch_norm(graph: Graph, step: Step) -> None:
    """Into the linear layer before it; else into the dense layer behind it; else it becomes a depthwise 1×1 convolution."""
    scale, offset = _affine(step)
    before = graph.source(step)
    if before.kind in LINEAR and graph.only_consumer(before.name) is step and _is_linear(before):
        before.weights = _after(before, scale, offset)
        before.config = {**before.config, "use_bias": True}
        graph.remove(step)
        return
    behind = graph.only_consumer(step.name)
    if behind is not None and behind.kind == "Dense":
        kernel, bias = _kernel_and_bias(behind)
        behind.weights = [
            (kernel * scale[:, None]).astype(np.float32), (bias + offset @ kernel).astype(np.float32)
        ]  # fmt: skip
        behind.config = {**behind.config, "use_bias": True}
        graph.remove(step)
        return
    _become_affine(step, scale, offset)


def _affine(step: Step) -> tuple[_Vector, _Vector]:
    """Batch norm at inference: ``x * scale + offset``."""
    arrays = [array.astype(np.float64) for array in step.weights]
    gamma = arrays.pop(0) if step.config["scale"] else np.ones_like(arrays[-1])
    beta = arrays.pop(0) if step.config["center"] else np.zeros_like(arrays[-1])
    mean, variance = arrays
    scale = gamma / np.sqrt(variance + step.config["epsilon"])
    return scale, beta - mean * scale


def _is_linear(step: Step) -> bool:
    return step.config.get("activation", "linear") == "linear"


def _kernel_and_bias(step: Step) -> tuple[_Vector, _Vector]:
    kernel, *bias = [array.astype(np.float64) for array in step.weights]
    outputs = kernel.shape[2] * kernel.shape[3] if step.kind == "DepthwiseConv2D" else kernel.shape[-1]
    return kernel, bias[0] if bias else np.zeros(outputs)


def _after(step: Step, scale: _Vector, offset: _Vector) -> list[NDArray[np.float32]]:
    """The layer's weights with ``* scale + offset`` behind it."""
    kernel, bias = _kernel_and_bias(step)
    along = scale.reshape(kernel.shape[2:]) if step.kind == "DepthwiseConv2D" else scale
    return [(kernel * along).astype(np.float32), (bias * scale + offset).astype(np.float32)]


def _merge_padding(graph: Graph, step: Step) -> None:
    """Zeros before a valid convolution, where they are those that ``padding="same"`` adds: one operator and one copy less."""
    behind = graph.only_consumer(step.name)
    if behind is None or behind.kind not in ("Conv2D", "DepthwiseConv2D") or behind.config["padding"] != "valid":
        return
    side = _side(graph, step.inputs[0])
    kernel, stride = (_square(behind.config[key]) for key in ("kernel_size", "strides"))
    if None in (side, kernel, stride) or _square(behind.config.get("dilation_rate", 1)) != 1:
        return
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    same = [[total // 2, total - total // 2]] * 2
    if [list(pair) for pair in step.config["padding"]] == same:
        behind.config = {**behind.config, "padding": "same"}
        graph.remove(step)


def _square(value: Any) -> Any:
    """The one number of a pair of equal ones; None of unequal ones."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    return pair[0] if pair[0] == pair[1] else None


def _side(graph: Graph, name: str) -> Any:
    """Side of a step's square map in pixels."""
    step = graph.steps[name]
    if step.kind == "InputLayer":
        return _square(step.config["batch_input_shape"][1:3])
    side = _side(graph, step.inputs[0])
    if step.kind == "ZeroPadding2D":
        return side + sum(step.config["padding"][0])
    if "strides" not in step.config and "kernel_size" not in step.config:
        return side
    size = _square(step.config.get("kernel_size", step.config.get("pool_size", 1)))
    stride = _square(step.config.get("strides", 1))
    if step.config.get("padding", "valid") == "same":
        return -(-side // stride)
    return (side - size) // stride + 1


def _activation_to_layer(graph: Graph, step: Step) -> None:
    """``Activation("relu")`` as the layer of that name."""
    kinds = {"relu": ("ReLU", {}), "relu6": ("ReLU", {"max_value": 6.0}), "softmax": ("Softmax", {})}
    if step.config["activation"] in kinds:
        step.kind, options = kinds[step.config["activation"]]
        step.config = {"name": step.name, **options}


def _split_softmax(graph: Graph, step: Step) -> None:
    """A dense layer's softmax as a layer of its own: the scores before it have a range of their own."""
    if step.config.get("activation") != "softmax":
        return
    step.config = {**step.config, "activation": "linear"}
    name = f"{step.name}_softmax"
    for reader in graph.consumers(step.name):
        reader.inputs = [name if source == step.name else source for source in reader.inputs]
    graph.insert_after(step.name, Step(name, "Softmax", [step.name], {"name": name}))


def _fuse_relu(graph: Graph, step: Step) -> None:
    """Into the linear layer before it, whose operator has it built in."""
    before = graph.source(step)
    plain = not step.config.get("negative_slope") and not step.config.get("threshold")
    highest = step.config.get("max_value")
    name = "relu" if highest is None else {6.0: "relu6"}.get(float(highest))
    fits = before.kind in LINEAR and _is_linear(before) and graph.only_consumer(before.name) is step
    if plain and name and fits:
        before.config = {**before.config, "activation": name}
        graph.remove(step)
