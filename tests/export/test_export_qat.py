"""Quantization-aware training on a small network that has everything the large ones have."""

import numpy as np
import pytest
from looks import NAMES, draw_face
from marks import CONVERSION

pytestmark = CONVERSION
SIZE = 24


def branches(k, x):
    """Depthwise, concatenations of concatenations, a pool that is read twice, an average pool, a residual."""
    x = k.Conv2D(8, 3, strides=2, activation="relu", name="stem")(x)
    pooled = k.MaxPooling2D(name="pool_read_twice")(x)
    left = k.Conv2D(4, 1, activation="relu", name="left")(pooled)
    middle = k.DepthwiseConv2D(3, padding="same", activation="relu", name="middle")(pooled)
    inner = k.Concatenate(name="inner")([left, middle])
    right = k.AveragePooling2D(3, strides=1, padding="same", name="right")(pooled)
    x = k.Concatenate(name="outer")([right, inner, k.Conv2D(4, 1, activation="relu", name="last")(pooled)])
    x = k.ReLU(name="sum_relu")(k.Add(name="sum")([x, k.Conv2D(24, 1, name="shortcut")(pooled)]))
    return k.Softmax()(k.Dense(3, name="scores")(k.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def faces():
    """``(uint8 faces, labels)`` of three classes."""
    generator = np.random.default_rng(5)
    labels = np.arange(96) % 3
    return np.stack([draw_face(NAMES[label], generator) for label in labels]), labels


def prepare(faces):
    """(N, 24, 24, 1) float32 in [-1, 1]."""
    return faces[:, ::2, ::2, None].astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def trained(faces):
    """The float network, trained for a few seconds."""
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    pixels = tf_keras.Input((SIZE, SIZE, 1))
    model = tf_keras.Model(pixels, branches(tf_keras.layers, pixels))
    model.compile(tf_keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(prepare(faces[0]), faces[1], epochs=80, batch_size=32, verbose=0)
    return model


@pytest.fixture
def graph(trained):
    from fer_edge_export.graph import read_graph
    from fer_edge_export.ranges import with_input_grid
    from fer_edge_export.simplify import simplify

    return with_input_grid(simplify(read_graph(trained)))


@pytest.fixture
def ranges(graph, faces):
    from fer_edge_export.ranges import measure_ranges

    return measure_ranges(graph, prepare(faces[0]))


@pytest.fixture(scope="module")
def augmenting(tmp_path_factory):
    """A run's ``model.keras``, as far as its augmentation goes."""
    import keras

    pixels = keras.Input((48, 48, 1), dtype="uint8")
    x = keras.layers.RandomFlip("horizontal", seed=1)(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels))
    x = keras.layers.Resizing(SIZE, SIZE)(x)
    path = tmp_path_factory.mktemp("augmenting") / "model.keras"
    keras.Model(pixels, keras.layers.Concatenate(name="grey_to_three")([x, x, x])).save(path)
    return path


@pytest.fixture
def task(graph, ranges, trained, augmenting, faces):
    from fer_edge_export.qat import Task

    return Task(graph, ranges, trained, augmenting, *(faces[0], faces[0][:48], faces[1][:48]), prepare)


def train(task, folder, said=None, progress=lambda title, done, total: None, **options):
    from fer_edge_export.config import QatConfig
    from fer_edge_export.qat import train_aware

    config = QatConfig(**{"epochs": 2, "learning_rate": 1e-4, "batch_size": 32, **options})
    say = (lambda text: None) if said is None else said.append
    return train_aware(task, config, folder, say=say, progress=progress)


def weights(graph):
    return np.concatenate([array.ravel() for step in graph.steps.values() for array in step.weights])


# The rounded model


def test_parts_of_a_concatenation_share_its_range_and_keep_their_order(graph, ranges, trained):
    from fer_edge_export.aware import aware_model

    assert {"outer", "right", "sum_relu", "scores", "shortcut", "stem"} <= set(ranges)
    assert not {"left", "middle", "inner", "last", "sum", "pool_read_twice"} & set(ranges)
    assert ranges["right"] == ranges["stem"] == ranges["outer"]  # a pool keeps the grid of what it reads
    model = aware_model(graph, ranges)
    for name in ("inner", "outer"):
        layer = next(layer for layer in model.layers if layer.name.removeprefix("quant_") == name)
        found = [tensor.node.layer.name.removeprefix("quant_") for tensor in layer.input]
        assert found == [tensor.node.layer.name for tensor in trained.get_layer(name).input]


def test_rounding_alone_costs_next_to_nothing(graph, ranges, trained, faces):
    from fer_edge_export.aware import aware_model
    from fer_edge_export.rebuild import predict

    inputs = prepare(faces[0])
    exact, rounded = predict(trained, inputs), predict(aware_model(graph, ranges), inputs)
    assert np.mean(exact.argmax(axis=1) == faces[1]) > 0.8
    assert np.mean(exact.argmax(axis=1) == rounded.argmax(axis=1)) >= 0.98
    assert 0 < np.abs(exact - rounded).mean() < 0.01


def test_depthwise_kernel_has_a_scale_for_every_channel(graph, ranges):
    from fer_edge_export.aware import aware_model

    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 1)) * np.geomspace(1e-3, 1, 8).reshape(8, 1)
    graph.steps["middle"].weights[0] = kernel.astype(np.float32)
    model = aware_model(graph, ranges)
    layer = model.get_layer("quant_middle")
    rounded = np.asarray(layer._weight_vars[0][1](kernel.astype(np.float32), False, layer._weight_vars[0][2]))
    largest = np.abs(kernel).max(axis=(0, 1, 3), keepdims=True)
    assert (np.abs(rounded - kernel) <= largest / 127 * 0.501).all()
    assert np.abs(rounded - kernel).max() > 0


def test_integer_graph_has_no_float_and_gives_the_rounded_models_answers(graph, ranges, faces):
    from fer_edge_export.aware import aware_model
    from fer_edge_export.inspection import inspect_tflite
    from fer_edge_export.rebuild import predict
    from fer_edge_export.tflite import convert_int8
    from fer_edge_runtime.engines.litert import LiteRTEngine

    content = convert_int8(aware_model(graph, ranges, round_weights=False))
    found = inspect_tflite(content, "x")
    assert found["float_islands"] == []
    assert found["integer_operators"]["CONCATENATION"] == 2
    engine = LiteRTEngine(content, name="x")
    inputs = prepare(faces[0])
    grid = np.clip(np.rint(inputs / engine.input.scale) + engine.input.zero_point, -128, 127).astype(np.int8)
    simulated = predict(aware_model(graph, ranges), inputs)
    assert np.abs(engine.run(grid) - simulated).mean() < 1 / 128


def test_concatenation_of_signed_and_rectified_values_costs_the_rectified_ones_no_precision(graph, faces):
    from fer_edge_export.ranges import measure_ranges

    graph.steps["last"].config["activation"] = "linear"
    ranges = measure_ranges(graph, prepare(faces[0]))
    assert ranges["outer"][0] < 0
    assert ranges["stem"][0] == 0


def test_onnx_gives_the_very_answers_of_tflite_whatever_is_pooled(graph, ranges, faces):
    from fer_edge_export.aware import aware_model
    from fer_edge_export.inspection import inspect_onnx, inspect_tflite, optimised_operators
    from fer_edge_export.onnx import convert_onnx, tensors_of
    from fer_edge_export.tflite import convert_int8
    from fer_edge_runtime.engines.litert import LiteRTEngine
    from fer_edge_runtime.engines.onnx import OnnxEngine

    tflite = convert_int8(aware_model(graph, ranges, round_weights=False))
    onnx = convert_onnx(tflite, "x86-vnni")
    operators = inspect_tflite(tflite, "x")["integer_operators"]
    assert operators["AVERAGE_POOL_2D"] == 1
    assert "QUANTIZE" not in operators  # a concatenation and the pool it takes share a grid
    optimised = optimised_operators(onnx, int8_activations=False)
    assert optimised["QLinearAveragePool"] == 1
    assert not {"Reshape", "QuantizeLinear", "DequantizeLinear"} & set(optimised)
    shown = inspect_onnx(onnx, "x")
    assert shown["float_operators"] == {}
    average = next(tensor for tensor in shown["tensors"] if "right" in tensor["name"])
    assert average["scale"] == pytest.approx((ranges["right"][1] - ranges["right"][0]) / 255, rel=1e-3)
    ours = LiteRTEngine(tflite, name="x")
    theirs = OnnxEngine(onnx, name="x", output=tensors_of(ours.input, ours.output, "x86-vnni")[1])
    grid = np.clip(np.rint(prepare(faces[0]) / ours.input.scale) + ours.input.zero_point, -128, 127)
    np.testing.assert_array_equal(theirs.run((grid + 128).astype(np.uint8)), ours.run(grid.astype(np.int8)))


# Its training


def test_training_continues_after_an_interruption_as_if_nothing_had_happened(task, tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole, report = train(task, tmp_path / "whole")

    def interrupt(title, done, total):
        if title.endswith("2/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path / "cut", progress=interrupt)
    said = []
    resumed, again = train(task, tmp_path / "cut", said)
    assert again == report
    assert [row["epoch"] for row in again["history"]] == [0, 1, 2]
    assert "1 epoch(s) found" in said[0]
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    assert [entry.name for entry in (tmp_path / "cut").iterdir()] == ["qat.npz"]


def test_best_epoch_by_the_selection_rows_is_kept(task, tmp_path):
    kept, report = train(task, tmp_path, epochs=3, learning_rate=1.0)  # far too high: every epoch is worse
    scores = [row["public_accuracy"] for row in report["history"]]
    assert max(scores[1:]) < scores[0]
    np.testing.assert_array_equal(weights(kept), weights(task.graph))


@pytest.mark.parametrize("damage", ["other settings", "truncated"])
def test_state_of_another_training_is_not_continued(task, tmp_path, damage):
    train(task, tmp_path, epochs=1)
    said = []
    if damage == "truncated":
        (tmp_path / "qat.npz").write_bytes((tmp_path / "qat.npz").read_bytes()[:-100])
        train(task, tmp_path, said, epochs=1)
    else:
        train(task, tmp_path, said, epochs=1, seed=8)
    assert "begins anew" in said[0]
    assert "before any step" in said[1]


def test_loss_that_is_no_number_ends_the_export_with_advice(task, tmp_path):
    from dataclasses import replace

    from fer_edge_export.errors import ExportError

    broken = replace(task, prepare=prepare, teacher=lambda inputs, training: task.teacher(inputs) * np.nan)
    with pytest.raises(ExportError, match="no number. Lower --qat-learning-rate"):
        train(broken, tmp_path)
    assert not list(tmp_path.iterdir())


# Mixed precision


def test_named_layers_stay_in_float_and_come_closer_to_it(graph, ranges, trained, faces):
    from fer_edge_export.aware import aware_model
    from fer_edge_export.inspection import inspect_tflite
    from fer_edge_export.mixed import check_layers, keep_float
    from fer_edge_export.rebuild import predict
    from fer_edge_export.tflite import convert_int8
    from fer_edge_runtime.engines.litert import LiteRTEngine

    names = ["shortcut", "middle", "scores"]
    check_layers(graph, names)
    rounded = convert_int8(aware_model(graph, ranges, round_weights=False))
    mixed = keep_float(rounded, graph, names)
    found = inspect_tflite(mixed, "x")
    assert found["float_operators"] == {
        "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "DEQUANTIZE": 3, "QUANTIZE": 3,
    }  # fmt: skip
    inputs = prepare(faces[0])
    grid = np.rint(inputs * 127.5).astype(np.int8)
    exact = predict(trained, inputs)
    errors = [np.abs(LiteRTEngine(content, name="x").run(grid) - exact).mean() for content in (rounded, mixed)]
    assert errors[1] < errors[0] < 0.02


def test_layer_that_is_not_there_is_refused_with_the_closest_names(graph):
    from fer_edge_export.mixed import check_layers
    from fer_edge_runtime.errors import ConfigError

    with pytest.raises(ConfigError, match=r"no such convolution or dense layer.* midle|middle"):
        check_layers(graph, ["midle"])
    with pytest.raises(ConfigError, match="no such convolution"):
        check_layers(graph, ["sum"])


def test_converter_that_fails_is_one_sentence():
    import tensorflow as tf
    import tf_keras

    from fer_edge_export.errors import ExportError
    from fer_edge_export.tflite import convert_float

    pixels = tf_keras.Input((8, 8, 1))
    model = tf_keras.Model(pixels, tf_keras.layers.Lambda(lambda x: tf.math.igamma(x, x))(pixels))
    with pytest.raises(ExportError, match="TensorFlow could not convert the model to float32 TFLite"):
        convert_float(model)
