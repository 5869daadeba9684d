"""The quantization-aware model: the simplified classifier with every integer tensor's rounding simulated.

tensorflow-model-optimization's wrappers and weight quantizers do the work. Its own layout transforms are not used: they
permute the inputs of ``Concatenate`` layers, leave some max pools in float, know neither scaled residuals nor separable
convolutions, and give a depthwise convolution one scale for all channels. `simplify` left only layers with one integer
operator each, so which tensor needs a range of its own follows from the graph (`ranges`).

Simulated integers: Jacob et al. 2018, arXiv 1712.05877.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantizers import (
    Default8BitConvWeightsQuantizer,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantizers import Quantizer

from fer_edge_export.graph import Graph, Step, build_model
from fer_edge_export.ranges import Ranges
from fer_edge_export.simplify import LINEAR


class DepthwiseWeights(Default8BitConvWeightsQuantizer):
    """One scale a channel for (H, W, channels, 1) kernels; tfmot's own looks at the last axis, which is always 1."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """The variables, one pair a channel."""
        return dict(super().build(tensor_shape[:3], name, layer))

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """The kernel on its grid, a grid a channel."""
        flat = tf.reshape(inputs, (1, *inputs.shape[:3]))
        return tf.reshape(super().__call__(flat, training, weights, **kwargs), inputs.shape)


class ActivationRange(Quantizer):
    """A tensor's range, measured on real faces before the first step and held.

    tfmot's own starts at [-6, 6] and moves by a thousandth a step: thousands of steps too slow.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """The two ends as variables."""
        return {
            end: layer.add_weight(f"{name}_{end}", initializer=tf_keras.initializers.Constant(value), trainable=False)
            for end, value in (("min", self.low), ("max", self.high))
        }

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        """The tensor on its grid of 256 values."""
        return tf.quantization.fake_quant_with_min_max_vars(inputs, weights["min"], weights["max"])

    def get_config(self) -> dict[str, Any]:
        """For tfmot."""
        return {"low": self.low, "high": self.high}


class StepConfig(tfmot.quantization.keras.QuantizeConfig):
    """What of a layer is quantized: its kernel, where it has one, and its output, where `ranges` gives it a range."""

    def __init__(self, kernel: str | None, weights: Any, output: ActivationRange | None) -> None:
        self._kernel, self._weights, self._output = kernel, weights, output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """The kernel and its quantizer."""
        return [(getattr(layer, self._kernel), self._weights)] if self._kernel else []

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """None: an activation is part of the output."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Puts the kernel on its grid into the layer, for one call."""
        for kernel in quantize_weights:
            setattr(layer, str(self._kernel), kernel)

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """None."""
        return  # AutoGraph cannot read a body that is a docstring alone

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The output's range."""
        return [self._output] if self._output else []

    def get_config(self) -> dict[str, Any]:
        """For tfmot."""
        return {}


def aware_model(graph: Graph, ranges: Ranges, *, round_weights: bool = True) -> Any:
    """A `tf_keras` model that computes in float what the integer graph will.

    Args:
        graph: of `simplify`, with the grid of the input (`ranges.with_input_grid`).
        ranges: of `ranges.measure_ranges`.
        round_weights: simulate the rounding of the kernels too, for training. The converter wants them as they are: it finds
            the same scales, and does not understand a depthwise kernel that is rounded by channel.
    """

    def wrap(step: Step, layer: Any) -> Any:
        output = ActivationRange(*ranges[step.name]) if step.name in ranges else None
        rounded = round_weights and step.kind in LINEAR
        if not rounded and output is None:
            return layer
        kernel = {"DepthwiseConv2D": "depthwise_kernel"}.get(step.kind, "kernel") if rounded else None
        weights = DepthwiseWeights() if step.kind == "DepthwiseConv2D" else Default8BitConvWeightsQuantizer()
        return tfmot.quantization.keras.QuantizeWrapperV2(layer, StepConfig(kernel, weights, output))

    model = build_model(graph, wrap=wrap)
    model(tf.zeros((1, *model.input_shape[1:])), training=True)  # sets the ranges of the kernels
    return model


def trained_graph(graph: Graph, model: Any) -> Graph:
    """The steps with the weights that an `aware_model` of them has learned."""
    layers = {layer.name.removeprefix("quant_"): layer for layer in model.layers}
    steps = {
        name: replace(
            step, weights=[np.asarray(array) for array in layers[name].trainable_weights] if step.weights else []
        )
        for name, step in graph.steps.items()
    }
    return Graph(steps, graph.name)
