"""Which tensors of the simplified graph have a range of their own, and what it is on real faces."""

from __future__ import annotations

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
_SAMPLE = 128  # values of a tensor and face
_SHARES = tuple(np.linspace(1, 0.1, 37).tolist())


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


def measure_ranges(graph: Graph, inputs: NDArray[np.float32], *, clip: bool = False) -> Ranges:
    """The ranges on calibration faces: `observe`, then `choose_ranges`."""
    return choose_ranges(graph, observe(graph, inputs), clip=clip)


class Seen:
    """The extremes of a tensor and a sample of its values."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 1e-6
        self._sample: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.float32], generator: np.random.Generator) -> None:
        """Look at the tensor of a batch of faces."""
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self._sample.append(values.ravel()[generator.integers(0, values.size, _SAMPLE * len(values))])

    def clipped(self) -> tuple[float, float]:
        """The range with the least squared error."""
        sample = np.concatenate(self._sample)

        def error(share: float) -> float:
            low, high = share * self.low, share * self.high
            step = (high - low) / 255
            rounded = np.rint(np.clip(sample, low, high) / step) * step
            return float(np.mean((rounded - sample) ** 2))

        share = min(_SHARES, key=error)
        return share * self.low, share * self.high


def observe(graph: Graph, inputs: NDArray[np.float32]) -> dict[str, Seen]:
    """What the tensors with a range of their own hold.

    Args:
        graph: of `simplify`, with the grid of the input.
        inputs: (N, size, size, 1) float32 in [-1, 1], N at least 1.
    """
    found = {
        step.name: Seen()
        for step in graph.steps.values()
        if has_own_range(graph, step) and step.name != INPUT_GRID and step.kind not in _AVERAGES
    }
    model = build_model(graph)
    every = tf_keras.Model(model.input, [model.get_layer(name).output for name in found])
    generator = np.random.default_rng(0)
    for start in range(0, len(inputs), _BATCH):
        for seen, tensor in zip(found.values(), every(inputs[start : start + _BATCH], training=False), strict=True):
            seen.add(np.asarray(tensor), generator)
    return found


def choose_ranges(graph: Graph, found: dict[str, Seen], *, clip: bool) -> Ranges:
    """A range for every tensor that has one.

    Args:
        graph: that was observed.
        found: in it.
        clip: cut off the rare extremes where the squared error of all values gets less by it: what is cut off loses more,
            the others lie on a finer grid.
    """
    ranges = {INPUT_GRID: _INPUT_RANGE}
    ranges |= {name: seen.clipped() if clip else (seen.low, seen.high) for name, seen in found.items()}
    _share_grids(graph, ranges)
    averages = [step.name for step in graph.steps.values() if step.kind in _AVERAGES and has_own_range(graph, step)]
    return ranges | {name: ranges[_grid_of(graph, name, ranges)] for name in averages}


def _share_grids(graph: Graph, ranges: Ranges) -> None:
    """One grid for a concatenation and for those of its parts that keep the grid of their input, in place.

    Without it a max pool's values would be moved from one grid to another, for which engines have different roundings.
    """
    for step in reversed(list(graph.steps.values())):
        if step.kind != "Concatenate" or step.name not in ranges:
            continue
        kept = [name for name in step.inputs if graph.steps[name].kind in (*_SAME_GRID, *_AVERAGES)]
        shared = {step.name, *(_grid_of(graph, name, ranges) for name in kept)}
        lows, highs = zip(*(ranges[name] for name in shared), strict=True)
        if len(set(lows)) == 1:  # else what a ReLU has cut off would lose half its grid to values below 0
            ranges.update(dict.fromkeys(shared, (lows[0], max(highs))))


def _grid_of(graph: Graph, name: str, ranges: Ranges) -> str:
    """The step whose range a tensor lies in."""
    while name not in ranges:
        name = graph.source(graph.steps[name]).name
    return name
