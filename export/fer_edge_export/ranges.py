"""Which tensors of the simplified graph have a range of their own, and what it is on real faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from fer_edge_export.graph import Graph, Step, build_model
from fer_edge_export.simplify import LINEAR

Ranges = dict[str, tuple[float, float]]
"""Step name -> lowest and highest value of its output; 0 is always inside."""

INPUT_GRID = "input_grid"
_INPUT_RANGE = (-1.0, 1.0)
_SAME_GRID = ("MaxPooling2D", "ZeroPadding2D", "Flatten", "Reshape")  # only moves or leaves out values
_AVERAGES = ("AveragePooling2D",)  # TFLite's operator has one scale for input and output
_BATCH = 32


def with_input_grid(graph: Graph) -> Graph:
    """The graph with a step that stands for the rounding of the input, in place."""
    first = next(iter(graph.steps.values()))
    for reader in graph.consumers(first.name):
        reader.inputs = [INPUT_GRID if name == first.name else name for name in reader.inputs]
    step = Step(INPUT_GRID, "Activation", [first.name], {"name": INPUT_GRID, "activation": "linear"})
    graph.insert_after(first.name, step)
    return graph


def has_own_range(graph: Graph, step: Step) -> bool:
    """Whether a step's output is rounded to a grid that is chosen for it.

    Not the input of an activation that the operator before it has built in, nor what is only concatenated: the parts of a
    concatenation share its grid.
    """
    if step.kind in ("InputLayer", "Softmax", *_SAME_GRID):
        return False
    reader = graph.only_consumer(step.name)
    if reader is None:
        return True
    if reader.kind == "ReLU":
        return step.kind not in (*LINEAR, "Add")
    return reader.kind != "Concatenate" or step.kind in _AVERAGES


def measure_ranges(graph: Graph, inputs: NDArray[np.float32]) -> Ranges:
    """The ranges on calibration faces.

    Args:
        graph: of `simplify`, with the grid of the input.
        inputs: (N, size, size, 3) float32 in [-1, 1], N at least 1.
    """
    names = [step.name for step in graph.steps.values() if has_own_range(graph, step) and step.name != INPUT_GRID]
    model = build_model(graph)
    every = tf_keras.Model(model.input, [model.get_layer(name).output for name in names])
    found = np.array([_extremes(every, inputs[i : i + _BATCH]) for i in range(0, len(inputs), _BATCH)])
    lows, highs = np.minimum(found[..., 0].min(axis=0), 0), np.maximum(found[..., 1].max(axis=0), 1e-6)
    ranges = {INPUT_GRID: _INPUT_RANGE}
    ranges |= {name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}
    for step in graph.steps.values():
        if step.kind in _AVERAGES:
            ranges[step.name] = ranges[_grid_of(graph, step.inputs[0], ranges)]
    return ranges


def _extremes(model: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    outputs = model(batch, training=False)
    return np.array([(np.min(tensor), np.max(tensor)) for tensor in map(np.asarray, outputs)])


def _grid_of(graph: Graph, name: str, ranges: Ranges) -> str:
    """The step whose range a tensor lies in."""
    while name not in ranges:
        name = graph.source(graph.steps[name]).name
    return name
