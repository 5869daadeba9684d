"""A classifier as a list of steps: read from a `tf_keras` model, written to one, with room to change it in between.

Keras cannot take a layer out of a functional model; a list of steps with named inputs can be rewritten freely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

Arrays = list[NDArray[np.float32]]


@dataclass(slots=True)
class Step:
    """One layer and where its inputs come from.

    Attributes:
        name: of the layer, unique.
        kind: its class name, such as ``Conv2D``.
        inputs: names of the steps that feed it, in order.
        config: the layer's own.
        weights: its arrays, in the layer's order.
    """

    name: str
    kind: str
    inputs: list[str]
    config: dict[str, Any]
    weights: Arrays = field(default_factory=list)


@dataclass(slots=True)
class Graph:
    """Steps in an order in which they can be computed; the first is the input, the last the output.

    Attributes:
        steps: name -> step.
        name: of the model.
    """

    steps: dict[str, Step]
    name: str

    def consumers(self, name: str) -> list[Step]:
        """The steps that read another one."""
        return [step for step in self.steps.values() if name in step.inputs]

    def only_consumer(self, name: str) -> Step | None:
        """The step that reads another one, where there is just one that reads it once."""
        found = self.consumers(name)
        return found[0] if len(found) == 1 and found[0].inputs.count(name) == 1 else None

    def source(self, step: Step) -> Step:
        """The step that feeds one with a single input."""
        (name,) = step.inputs
        return self.steps[name]

    def remove(self, step: Step) -> None:
        """Take a step with a single input out; those that read it read its input."""
        (before,) = step.inputs
        for reader in self.consumers(step.name):
            reader.inputs = [before if name == step.name else name for name in reader.inputs]
        del self.steps[step.name]

    def insert_after(self, place: str, step: Step) -> None:
        """Put a step behind another in the order; its ``inputs`` are its own business."""
        order = list(self.steps.values())
        order.insert(1 + list(self.steps).index(place), step)
        self.steps = {item.name: item for item in order}


def read_graph(model: Any) -> Graph:
    """The steps of a flat functional `tf_keras` model whose layers are each called once."""
    steps = {}
    for layer in model.layers:
        feeding = layer.inbound_nodes[0].inbound_layers
        names = [source.name for source in (feeding if isinstance(feeding, list) else [feeding])]
        weights = [np.asarray(array, np.float32) for array in layer.get_weights()]
        steps[layer.name] = Step(layer.name, type(layer).__name__, names, layer.get_config(), weights)
    return Graph(steps, model.name)


Wrap = Callable[[Step, Any], Any]
"""Gets a step and its layer; gives the layer that stands in the model."""


def build_model(graph: Graph, *, wrap: Wrap = lambda step, layer: layer) -> Any:
    """A `tf_keras` model of the steps with their weights.

    Args:
        graph: the steps.
        wrap: may put a layer into another one.
    """
    tensors: dict[str, Any] = {}
    for step in graph.steps.values():
        if step.kind == "InputLayer":
            tensors[step.name] = tf_keras.Input(step.config["batch_input_shape"][1:], name=step.name)
            continue
        inputs = [tensors[name] for name in step.inputs]
        layer = getattr(tf_keras.layers, step.kind).from_config(step.config)
        if step.weights:  # before it is wrapped: a wrapper hides the kernel
            layer.build(inputs[0].shape)
            layer.set_weights(step.weights)
        tensors[step.name] = wrap(step, layer)(inputs[0] if len(inputs) == 1 else inputs)
    first, last = next(iter(graph.steps)), next(reversed(graph.steps))
    return tf_keras.Model(tensors[first], tensors[last], name=graph.name)
