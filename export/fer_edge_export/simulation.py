"""Runs the steps of a network side by side, in float and rounded to int8, and corrects the biases on the way.

Rounding shifts the mean of a channel, and through many layers the shifts add up. What a layer's mean has moved by is
subtracted from its bias before the next layer sees it (empirical bias correction, Nagel et al. 2019, arXiv 1906.04721).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge_export.graph import Graph, Step
from fer_edge_export.ranges import Ranges
from fer_edge_export.simplify import LINEAR

_LARGEST = 127  # of a weight: the grid is symmetric


def correct_biases(graph: Graph, ranges: Ranges, inputs: NDArray[np.float32]) -> Graph:
    """The steps with biases that make every channel's mean what it is in float.

    Args:
        graph: of `simplify`, with the grid of the input.
        ranges: of its activations.
        inputs: (N, size, size, 1) float32 in [-1, 1]; the activations of all of them are held at once.
    """
    return _run(graph, ranges, inputs, correct=True)[0]


def divergence(exact: Graph, graph: Graph, ranges: Ranges, inputs: NDArray[np.float32], *, batch: int) -> float:
    """Mean Kullback-Leibler divergence, in nats, of the rounded network's answers from the float network's.

    Args:
        exact: the float steps.
        graph: the steps that are rounded.
        ranges: of their activations.
        inputs: (N, size, size, 1) float32 in [-1, 1].
        batch: faces at a time.
    """
    parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
    wanted = np.concatenate([_run(exact, None, part)[1] for part in parts])
    found = np.concatenate([rounded_answers(graph, ranges, part) for part in parts])
    wanted, found = np.clip(wanted, 1e-7, 1), np.clip(found, 1e-7, 1)
    return float(np.mean(np.sum(wanted * np.log(wanted / found), axis=-1)))


def rounded_answers(graph: Graph, ranges: Ranges, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (N, classes) probabilities of the rounded network."""
    return _run(graph, ranges, inputs)[1]


def _run(
    graph: Graph, ranges: Ranges | None, inputs: NDArray[np.float32], *, correct: bool = False
) -> tuple[Graph, NDArray[np.float32]]:
    """The steps, corrected or as they were, and the answers of the rounded network (of the float one without ranges)."""
    exact: dict[str, Any] = {}
    rounded: dict[str, Any] = {}
    steps = {}
    for step, last_reader_of in _order(graph):
        if step.kind == "InputLayer":
            exact[step.name] = rounded[step.name] = tf.constant(inputs)
        else:
            ours = _outputs(step, rounded, ranges is not None)
            if correct:
                theirs = _outputs(step, exact, False)
                step, ours = _corrected(step, theirs, ours)
                exact[step.name] = _activated(step, theirs)
            ours = _activated(step, ours)
            grid = (ranges or {}).get(step.name)
            rounded[step.name] = tf.quantization.fake_quant_with_min_max_args(ours, *grid) if grid else ours
        steps[step.name] = step
        for name in last_reader_of:
            exact.pop(name, None)
            rounded.pop(name)
    (answers,) = rounded.values()
    return Graph(steps, graph.name), answers.numpy()


def _order(graph: Graph) -> Any:
    """Every step with the names that no later one reads."""
    last = {name: step.name for step in graph.steps.values() for name in step.inputs}
    for step in list(graph.steps.values()):
        yield step, [name for name, reader in last.items() if reader == step.name]


def _outputs(step: Step, tensors: dict[str, Any], rounded: bool) -> Any:
    """What a step makes of its inputs, before its activation where it has weights."""
    inputs = [tensors[name] for name in step.inputs]
    linear = step.kind in LINEAR
    layer = getattr(tf_keras.layers, step.kind).from_config(step.config | ({"activation": "linear"} if linear else {}))
    if step.weights:
        layer.build(inputs[0].shape)
        layer.set_weights([_rounded(step), *step.weights[1:]] if rounded else step.weights)
    return layer(inputs[0] if len(inputs) == 1 else inputs)


def _activated(step: Step, outputs: Any) -> Any:
    return (
        tf_keras.activations.get(step.config.get("activation", "linear"))(outputs) if step.kind in LINEAR else outputs
    )


def _rounded(step: Step) -> NDArray[np.float32]:
    """The kernel on the grids that the converter gives it, one an output channel."""
    kernel = step.weights[0]
    others = (0, 1, 3) if step.kind == "DepthwiseConv2D" else tuple(range(kernel.ndim - 1))
    scale = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), 1e-12) / _LARGEST
    return (np.rint(kernel / scale) * scale).astype(np.float32)


def _corrected(step: Step, exact: Any, rounded: Any) -> tuple[Step, Any]:
    if step.kind not in LINEAR:
        return step, rounded
    shift = tf.reduce_mean(exact - rounded, axis=list(range(len(exact.shape) - 1)))
    kernel, *bias = step.weights
    moved = [kernel, sum(bias, shift.numpy())]
    return replace(step, weights=moved, config=step.config | {"use_bias": True}), rounded + shift
