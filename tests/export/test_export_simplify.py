"""Simplification changes the layers of a network and nothing that it answers."""

import numpy as np
import pytest
from marks import CONVERSION

pytestmark = [mark for mark in CONVERSION if mark.name != "slow"]


def network(build, size=8, channels=3):
    """A `tf_keras` model of ``build(layers, input)`` whose batch norms have statistics of their own."""
    import tf_keras

    pixels = tf_keras.Input((size, size, channels))
    model = tf_keras.Model(pixels, build(tf_keras.layers, pixels))
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def simplified(model):
    """``(model, kinds)``: the same function, and which layers it is made of; the answers are compared here."""
    from fer_edge_export.graph import build_model, read_graph
    from fer_edge_export.simplify import simplify

    graph = simplify(read_graph(model))
    simple = build_model(graph)
    inputs = np.random.default_rng(1).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(simple(inputs), model(inputs, training=False), rtol=1e-4, atol=1e-5)
    return simple, [step.kind for step in graph.steps.values()]


def test_batch_norm_and_relu_go_into_the_convolution_before_them():
    model = network(lambda k, x: k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(4, 3, use_bias=False)(x))))
    simple, kinds = simplified(model)
    assert kinds == ["InputLayer", "Conv2D"]
    assert simple.layers[-1].activation.__name__ == "relu6"


def test_batch_norm_goes_into_a_depthwise_convolution_too():
    model = network(lambda k, x: k.BatchNormalization(scale=False)(k.DepthwiseConv2D(3, depth_multiplier=2)(x)))
    assert simplified(model)[1] == ["InputLayer", "DepthwiseConv2D"]


def test_batch_norm_behind_a_pooling_goes_into_the_dense_layer_behind_it():
    model = network(lambda k, x: k.Dense(2)(k.BatchNormalization()(k.GlobalAveragePooling2D()(x))))
    assert simplified(model)[1] == ["InputLayer", "GlobalAveragePooling2D", "Dense"]


def test_batch_norm_with_nothing_linear_beside_it_becomes_one_convolution():
    model = network(lambda k, x: k.MaxPooling2D()(k.BatchNormalization()(k.MaxPooling2D()(x))))
    assert simplified(model)[1] == ["InputLayer", "MaxPooling2D", "DepthwiseConv2D", "MaxPooling2D"]


def test_convolution_that_is_read_twice_keeps_its_batch_norm_apart():
    def build(k, x):
        y = k.Conv2D(3, 1)(x)
        return k.Add()([y, k.BatchNormalization()(y)])

    assert simplified(network(build))[1] == ["InputLayer", "Conv2D", "DepthwiseConv2D", "Add"]


def test_separable_convolution_becomes_its_two_parts():
    model = network(lambda k, x: k.SeparableConv2D(5, 3, padding="same", strides=2, activation="relu")(x))
    assert simplified(model)[1] == ["InputLayer", "DepthwiseConv2D", "Conv2D"]


@pytest.mark.parametrize(("size", "padding", "merged"), [
    (8, ((0, 1), (0, 1)), True), (9, ((1, 1), (1, 1)), True), (8, ((1, 1), (1, 1)), False), (9, ((0, 1), (0, 1)), False),
])  # fmt: skip
def test_padding_goes_into_the_convolution_only_where_it_is_the_same(size, padding, merged):
    model = network(lambda k, x: k.Conv2D(4, 3, strides=2)(k.ZeroPadding2D(padding)(x)), size=size)
    assert ("ZeroPadding2D" in simplified(model)[1]) is not merged


def test_rescaling_of_the_input_becomes_one_convolution():
    model = network(lambda k, x: k.Conv2D(2, 3, padding="same")(k.Rescaling(2.0, offset=[1.0, -2.0, 0.5])(x)))
    assert simplified(model)[1] == ["InputLayer", "DepthwiseConv2D", "Conv2D"]


def test_softmax_of_a_dense_layer_stands_alone_and_dropout_is_gone():
    model = network(lambda k, x: k.Dense(3, activation="softmax")(k.Dropout(0.5)(k.Flatten()(x))))
    assert simplified(model)[1] == ["InputLayer", "Flatten", "Dense", "Softmax"]


@pytest.mark.parametrize("first", [
    lambda k, x: k.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x),
    lambda k, x: k.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x),
    lambda k, x: k.Conv2D(4, 3, padding="same")(k.Rescaling(2.0, offset=[1.0, -2.0, 0.5])(x)),
    lambda k, x: k.Conv2D(4, 5, strides=2)(k.ZeroPadding2D(3)(x)),
    lambda k, x: k.Add()([k.Conv2D(4, 3, padding="same")(x), k.Conv2D(4, 1)(x)]),
], ids=["convolution", "depthwise", "rescaled", "padded", "read twice"])  # fmt: skip
def test_network_of_three_equal_channels_reads_one(first):
    from fer_edge_export.graph import build_model, read_graph
    from fer_edge_export.grey import take_grey
    from fer_edge_export.simplify import simplify

    model = network(first)
    grey = build_model(take_grey(simplify(read_graph(model))))
    faces = np.random.default_rng(1).normal(size=(5, 8, 8, 1)).astype(np.float32)
    assert grey.input_shape == (None, 8, 8, 1)
    np.testing.assert_allclose(grey(faces), model(np.repeat(faces, 3, axis=-1)), rtol=1e-4, atol=1e-5)


def test_input_that_no_convolution_reads_is_refused():
    from fer_edge_export.graph import read_graph
    from fer_edge_export.grey import take_grey

    with pytest.raises(ValueError, match="MaxPooling2D"):
        take_grey(read_graph(network(lambda k, x: k.MaxPooling2D()(x))))
