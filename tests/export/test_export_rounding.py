"""Ranges and biases of the integers: what is cut off, what is corrected, and which way is taken."""

import copy

import numpy as np
import pytest
from marks import CONVERSION

pytestmark = [mark for mark in CONVERSION if mark.name != "slow"]


@pytest.fixture(scope="module")
def network():
    """A `tf_keras` model whose kernels have one large weight a channel, so that the others round badly, and all one way."""
    import tf_keras

    generator = np.random.default_rng(0)
    k = tf_keras.layers
    pixels = tf_keras.Input((16, 16, 1))
    x = k.Conv2D(8, 3, activation="relu", name="first")(pixels)
    x = k.SeparableConv2D(8, 3, activation="relu", name="separable", use_bias=False)(x)
    x = k.Conv2D(8, 3, activation="relu", name="third")(x)
    model = tf_keras.Model(pixels, k.Softmax()(k.Dense(3, name="scores")(k.GlobalAveragePooling2D()(x))))
    for layer in model.layers[:-2]:
        arrays = layer.get_weights()
        for array in arrays:
            if array.ndim > 1:
                array[...] = generator.uniform(0.0015, 0.0035, array.shape)  # of a step of 1 / 127
                array.reshape(-1, array.shape[-1])[0] = generator.choice([-1, 1], array.shape[-1])
        layer.set_weights(arrays)
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([generator.normal(size=kernel.shape) * 20, bias])
    return model


@pytest.fixture
def graph(network):
    from fer_edge_export.graph import read_graph
    from fer_edge_export.ranges import with_input_grid
    from fer_edge_export.simplify import simplify

    return with_input_grid(simplify(read_graph(network)))


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(1).uniform(-1, 1, (64, 16, 16, 1)).astype(np.float32)


def mean_scores(graph, ranges, inputs):
    """The float network's and the rounded one's mean scores before the softmax."""
    import tf_keras

    from fer_edge_export.aware import aware_model
    from fer_edge_export.graph import build_model

    found = []
    for model in (build_model(graph), aware_model(graph, ranges)):
        layer = next(layer for layer in model.layers if layer.name.removeprefix("quant_") == "scores")
        found.append(np.asarray(tf_keras.Model(model.input, layer.output)(inputs)).mean(axis=0))
    return found


def test_corrected_biases_bring_the_means_back(graph, inputs):
    from fer_edge_export.ranges import measure_ranges
    from fer_edge_export.simulation import correct_biases

    ranges = measure_ranges(graph, inputs)
    exact, before = mean_scores(graph, ranges, inputs)
    corrected = correct_biases(graph, ranges, inputs)
    _, after = mean_scores(corrected, ranges, inputs)
    assert np.abs(after - exact).max() < 0.2 * np.abs(before - exact).max()
    assert len(corrected.steps["separable_depthwise"].weights) == 2  # it had no bias


def test_correction_leaves_the_graph_it_was_given_as_it_was(graph, inputs):
    from fer_edge_export.ranges import measure_ranges
    from fer_edge_export.simulation import correct_biases

    before = copy.deepcopy(graph)
    correct_biases(graph, measure_ranges(graph, inputs), inputs)
    for name, step in before.steps.items():
        for ours, theirs in zip(step.weights, graph.steps[name].weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_rare_extremes_are_cut_off_and_common_ones_are_not(graph, inputs):
    from fer_edge_export.ranges import measure_ranges

    whole, clipped = (measure_ranges(graph, inputs, clip=clip) for clip in (False, True))
    assert clipped["first"][1] > 0.6 * whole["first"][1]
    glaring = np.tile(inputs, (16, 1, 1, 1))
    glaring[0, 8, 8] = 60  # a few of the 1.6 million values that "first" gives
    whole, clipped = (measure_ranges(graph, glaring, clip=clip) for clip in (False, True))
    assert clipped["first"][1] < 0.5 * whole["first"][1]
    assert clipped["input_grid"] == whole["input_grid"] == (-1, 1)


def test_way_that_stays_closest_to_float_is_taken(graph, inputs):
    from fer_edge_export.post_training import round_best
    from fer_edge_export.simulation import divergence

    steps, ranges, report = round_best(graph, inputs[:48], inputs[48:])
    assert len(report["divergence_nats"]) == 4
    assert report["divergence_nats"][report["chosen"]] == min(report["divergence_nats"].values())
    assert report["chosen"].endswith("corrected biases")
    assert report["held_out_faces"] == 16
    assert divergence(graph, steps, ranges, inputs[48:], batch=5) == pytest.approx(
        report["divergence_nats"][report["chosen"]], abs=1e-5
    )


def test_simulation_rounds_as_the_quantization_aware_model_does(graph, inputs):
    from fer_edge_export.aware import aware_model
    from fer_edge_export.ranges import measure_ranges
    from fer_edge_export.rebuild import predict
    from fer_edge_export.simulation import rounded_answers

    ranges = measure_ranges(graph, inputs)
    np.testing.assert_allclose(
        rounded_answers(graph, ranges, inputs), predict(aware_model(graph, ranges), inputs), atol=1e-3
    )
