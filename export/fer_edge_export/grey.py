"""One input channel for a network that was trained on grey faces repeated to three: a third of the input, the same answers."""

from __future__ import annotations

from fer_edge_export.graph import Graph, Step

_PASSES_ON = ("ZeroPadding2D",)
_KEPT = ("name", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias")


def take_grey(graph: Graph) -> Graph:
    """Rewrite a graph of `simplify` in place and return it: its input is (size, size, 1).

    The channels are equal, so a convolution's kernels over them add up to one.

    Raises:
        ValueError: another layer than a convolution reads the input.
    """
    first = next(iter(graph.steps.values()))
    if first.config["batch_input_shape"][-1] == 1:
        return graph
    first.config = {**first.config, "batch_input_shape": (*first.config["batch_input_shape"][:-1], 1)}
    grey = [first.name]
    while grey:
        for reader in graph.consumers(grey.pop()):
            if reader.kind in _PASSES_ON:
                grey.append(reader.name)
            else:
                _read_grey(reader)
    return graph


def _read_grey(step: Step) -> None:
    if step.kind == "Conv2D" and step.config.get("groups", 1) == 1:
        kernel, *bias = step.weights
        step.weights = [kernel.sum(axis=2, keepdims=True), *bias]
    elif step.kind == "DepthwiseConv2D":
        kernel, *bias = step.weights
        height, width = kernel.shape[:2]
        step.kind = "Conv2D"
        step.weights = [kernel.reshape(height, width, 1, -1), *bias]
        kept = {key: step.config[key] for key in _KEPT if key in step.config}
        step.config = {**kept, "filters": step.weights[0].shape[-1]}
    else:
        raise ValueError(f"{step.name} ({step.kind}) reads the input; only convolutions are known")
