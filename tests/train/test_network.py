"""The training graph sees what the device sees, augments only while training, and freezes what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn import MOBILENET, TINY, drawn_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import TRAINING

from fer_edge_runtime.errors import DataError
from fer_edge_runtime.manifest import Preprocess, TensorSpec
from fer_edge_runtime.preprocess import to_input
from fer_edge_train.config import Augment
from fer_edge_train.network import (
    augment_layers,
    backbone_layers,
    build_training_model,
    restart_randomness,
    unfreeze_top,
)

pytestmark = TRAINING


@pytest.fixture(scope="module")
def network() -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(1)
    return build_training_model(MOBILENET, 7)


def part_before_classifier(graph: keras.Model) -> keras.Model:
    return keras.Model(graph.input, graph.get_layer("grey_to_three").output)


def device_input(faces: np.ndarray, input_size: int) -> np.ndarray:
    spec = Preprocess(
        color="grey", face_size=48, input_size=input_size, channels=3, enlarge="linear", align="eyes",
        mean=127.5, std=127.5, framing={},
    )  # fmt: skip
    tensor = TensorSpec("input", (input_size, input_size, 3), "float32", "HWC")
    return to_input(faces, spec, tensor)


@pytest.mark.parametrize("input_size", [32, 48, 96, 128])
def test_graph_prepares_faces_exactly_as_the_device_does(input_size: int) -> None:
    graph, _ = build_training_model(replace(TINY, input_size=input_size), 7)
    faces = np.random.default_rng(input_size).integers(0, 256, (8, 48, 48), np.uint8)
    faces[0], faces[1] = 0, 255

    prepared = np.asarray(part_before_classifier(graph)(faces[..., None], training=False))

    assert prepared.shape == (8, input_size, input_size, 3)
    assert np.abs(prepared - device_input(faces, input_size)).max() <= 1e-5


@given(seed=st.integers(0, 2**32 - 1), low=st.integers(0, 255), span=st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_graph_and_device_agree_for_any_range_of_pixels(
    network: tuple[keras.Model, keras.Model], seed: int, low: int, span: int
) -> None:
    faces = np.random.default_rng(seed).integers(low, min(255, low + span) + 1, (1, 48, 48)).astype(np.uint8)
    prepared = np.asarray(part_before_classifier(network[0])(faces[..., None], training=False))
    assert np.abs(prepared - device_input(faces, MOBILENET.input_size)).max() <= 1e-5


# Augmentation


def augmented(faces: np.ndarray, augment: Augment, *, training: bool, seed: int = 5) -> np.ndarray:
    pixels = faces[..., None].astype(np.float32) / 127.5 - 1
    for layer in augment_layers(augment, seed):
        pixels = layer(pixels, training=training)
    return np.asarray(pixels)


NONE = Augment(flip=False, rotation_degrees=0, shift=0, zoom=0, brightness=0, contrast=0)
ONE_EACH = {
    "erase": replace(NONE, erase=1.0),
    "noise": replace(NONE, noise=0.1),
    "flip": replace(NONE, flip=True),
    "rotation": replace(NONE, rotation_degrees=10.0),
    "shift": replace(NONE, shift=0.1),
    "zoom": replace(NONE, zoom=0.1),
    "brightness": replace(NONE, brightness=0.2),
    "contrast": replace(NONE, contrast=0.2),
}


@pytest.mark.parametrize("kind", ONE_EACH)
def test_augmentation_changes_pixels_in_training_and_nothing_at_inference(kind: str) -> None:
    faces = drawn_dataset(training=2, selection=1, test=1).images
    before = faces[..., None].astype(np.float32) / 127.5 - 1

    trained = augmented(faces, ONE_EACH[kind], training=True)

    assert np.array_equal(augmented(faces, ONE_EACH[kind], training=False), before)
    assert np.abs(trained - before).max() > 0.05
    if kind != "noise":
        assert trained.min() >= -1.0001
        assert trained.max() <= 1.0001


def test_augmentation_that_is_all_off_adds_no_layer() -> None:
    assert augment_layers(NONE, 1) == []


def test_augmentations_of_a_face_are_independent_of_each_other() -> None:
    rotation, translation = augment_layers(replace(NONE, rotation_degrees=10.0, shift=0.1), 7)
    shape = (512, 48, 48, 1)

    angle = np.asarray(rotation.get_random_transformation(np.zeros(shape), training=True)["angle"])
    shift = np.asarray(translation.get_random_transformation(np.zeros(shape), training=True)["translations"])

    assert abs(np.corrcoef(angle, shift[:, 0])[0, 1]) < 0.2
    assert abs(np.corrcoef(angle, shift[:, 1])[0, 1]) < 0.2


def test_randomness_restarts_from_the_seed_alone(network: tuple[keras.Model, keras.Model]) -> None:
    graph, classifier = network
    faces = drawn_dataset(training=2, selection=1, test=1).images[..., None]
    results = []
    for seed in (3, 4, 3):
        restart_randomness(graph, classifier, seed)
        results.append(np.asarray(part_before_classifier(graph)(faces, training=True)))

    assert np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], results[1])


# Freezing


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_unfreeze_top_freezes_exactly_the_share_it_says(network: tuple[keras.Model, keras.Model], share: float) -> None:
    classifier = network[1]
    unfreeze_top(classifier, share)

    backbone = backbone_layers(classifier)
    frozen = round(len(backbone) * (1 - share))
    assert [layer.trainable for layer in classifier.layers] == [n >= frozen for n in range(len(classifier.layers))]
    names = [weight.path for layer in classifier.layers[frozen:] for weight in layer.trainable_weights]
    assert [weight.path for weight in classifier.trainable_weights] == names
    assert len(classifier.layers) - len(backbone) == 3  # pool, dropout, scores


def one_step(graph: keras.Model, classifier: keras.Model) -> tuple[dict, dict]:
    """Weights and statistics of every layer, before and after one training step."""
    data = drawn_dataset(training=4, selection=1, test=1)
    images, labels = data.part("Training")
    graph.compile(optimizer=keras.optimizers.Adam(1e-2), loss="categorical_crossentropy", run_eagerly=True)
    states = []
    for train in (False, True):
        if train:
            graph.train_on_batch(images[..., None], np.eye(7, dtype=np.float32)[labels])
        states.append({layer.name: [w.copy() for w in layer.get_weights()] for layer in classifier.layers})
    return states[0], states[1]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_training_step_changes_the_unfrozen_layers_and_no_statistics_below(
    network: tuple[keras.Model, keras.Model], share: float
) -> None:
    graph, classifier = network
    unfreeze_top(classifier, share)

    before, after = one_step(graph, classifier)

    changed = {
        name for name in before if any(not np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }
    weighted = {layer.name for layer in classifier.layers if layer.weights}
    frozen = {layer.name for layer in classifier.layers if not layer.trainable}
    assert changed == weighted - frozen
    if share == 0:
        assert changed == {"scores"}
    else:
        assert any("BN" in name or "bn" in name for name in frozen & weighted)


# Weights


def test_backbone_weights_are_loaded_from_a_file(tmp_path: Path) -> None:
    _, source = build_training_model(MOBILENET, 7)
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35)
    backbone.save_weights(tmp_path / "own.weights.h5")

    _, loaded = build_training_model(replace(MOBILENET, weights=str(tmp_path / "own.weights.h5")), 7)

    pairs = list(zip(backbone.get_weights(), loaded.get_weights()[:-2], strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert any(not np.array_equal(a, b) for (a, _), b in zip(pairs, source.get_weights(), strict=False))


def test_another_runs_backbone_is_taken_whatever_its_classes(tmp_path: Path) -> None:
    graph, trained = build_training_model(MOBILENET, 7)
    graph.save(tmp_path / "model.keras")

    _, started = build_training_model(replace(MOBILENET, weights=str(tmp_path)), 2)

    pairs = list(zip(trained.get_weights()[:-2], started.get_weights()[:-2], strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert started.output_shape == (None, 2)


def test_run_of_another_network_or_width_or_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives no weights to start from: there is no mobilenetv2"):
        build_training_model(replace(MOBILENET, weights=str(tmp_path)), 7)
    build_training_model(replace(MOBILENET, width=0.5), 7)[0].save(tmp_path / "model.keras")
    with pytest.raises(DataError, match="of another width"):
        build_training_model(replace(MOBILENET, weights=str(tmp_path)), 7)


def test_missing_weights_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no weights file at .*none.weights.h5"):
        build_training_model(replace(MOBILENET, weights=str(tmp_path / "none.weights.h5")), 7)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all" * 100])
def test_weights_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(content)

    with pytest.raises(
        DataError, match=r"broken\.weights\.h5 cannot be read as Keras weights: .* Download or copy it again"
    ):
        build_training_model(replace(MOBILENET, weights=str(path)), 7)


@pytest.mark.filterwarnings("error")  # the error says it all: no warning of Keras before it
def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    wider = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.5)
    wider.save_weights(tmp_path / "wider.weights.h5")

    with pytest.raises(DataError, match=r"wider\.weights\.h5 does not fit"):
        build_training_model(replace(MOBILENET, weights=str(tmp_path / "wider.weights.h5")), 7)


def test_weights_file_with_another_name_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")

    with pytest.raises(DataError, match=r"weights\.bin"):
        build_training_model(replace(MOBILENET, weights=str(tmp_path / "weights.bin")), 7)
