"""A bundle's int8 weights become a network that answers as the bundle does, and learns on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn import drawn_dataset
from marks import TRAINING

from fer_edge_export.evaluate import engine_predictor
from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.errors import BundleError, ConfigError, DataError
from fer_edge_runtime.shipped import ASSETS
from fer_edge_train.bundle_weights import is_bundle, start_from_bundle
from fer_edge_train.config import Augment, FineTuneStage, HeadStage, TrainConfig
from fer_edge_train.network import build_training_model
from fer_edge_train.trainer import Listener, train

pytestmark = TRAINING

PLAIN = Augment(flip=False, rotation_degrees=0, shift=0, zoom=0, brightness=0, contrast=0)
NANO = TrainConfig(
    "nano", weights="nano", input_size=48, batch_size=32, dropout=0.0, label_smoothing=0.0, augment=PLAIN,
    head=HeadStage(epochs=0), finetune=FineTuneStage(epochs=1, learning_rate=1e-5, unfreeze=1.0),
)  # fmt: skip
DEFAULT = replace(NANO, architecture="mobilenetv2", weights="default", input_size=96)
LABELS = load_bundle("nano").manifest.labels


def started(config: TrainConfig, labels: tuple[str, ...] = LABELS) -> tuple[keras.Model, keras.Model]:
    graph, classifier = build_training_model(config, len(labels))
    start_from_bundle(graph, classifier, config, labels, drawn_dataset().images)
    return graph, classifier


def answers(graph: keras.Model, faces: np.ndarray, *, training: bool = False) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(graph(faces[..., None], training=training)))


def bundles_answers(name: str, faces: np.ndarray) -> np.ndarray:
    bundle = load_bundle(name)
    artefact = bundle.artefact("tflite")
    return engine_predictor(bundle.open(artefact), artefact, bundle.manifest.preprocess, 1.0)(faces)


@pytest.mark.parametrize("config", [NANO, DEFAULT], ids=["nano", "default"])
def test_network_answers_as_the_bundle_does(config: TrainConfig) -> None:
    faces = load_bundle(config.weights).crops

    graph, _ = started(config)

    assert np.abs(answers(graph, faces) - bundles_answers(config.weights, faces)).mean() < 0.02


def test_statistics_are_those_of_the_training_faces_so_that_learning_starts_where_the_bundle_is() -> None:
    faces = drawn_dataset().images
    graph, _ = started(NANO)

    difference = answers(graph, faces) - answers(graph, faces, training=True)

    assert np.abs(difference).max() < 1e-3


def test_kernels_have_the_size_of_fresh_ones() -> None:
    _, classifier = started(NANO)

    kernel = classifier.get_layer("stage2_block1_1_conv").get_weights()[0]

    assert np.sqrt((kernel**2).mean(axis=(0, 1, 2))) == pytest.approx(np.sqrt(2 / np.prod(kernel.shape[:3])), rel=1e-4)


def test_other_classes_keep_the_backbone_and_get_new_scores() -> None:
    _, of_seven = started(NANO)
    _, of_two = started(NANO, ("calm", "tense"))

    assert np.array_equal(
        of_two.get_layer("stem_conv").get_weights()[0], of_seven.get_layer("stem_conv").get_weights()[0]
    )
    assert of_two.output_shape == (None, 2)


def test_bundle_is_a_shipped_name_a_folder_or_a_zip(tmp_path: Path) -> None:
    assert is_bundle("nano")
    assert is_bundle(str(ASSETS / "nano"))
    assert is_bundle("mine.zip")
    assert not any(is_bundle(weights) for weights in ("none", "imagenet", "w.weights.h5", str(tmp_path)))


def test_training_goes_on_from_a_zip_and_says_so(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", ASSETS / "nano")
    said: list[str] = []

    train(replace(NANO, weights=archive), drawn_dataset(), tmp_path / "run", listener=Listener(said.append))

    assert "Starting from backbone and scores of the bundle 'nano', de-quantized." in said
    learned = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    faces = drawn_dataset().images
    assert np.abs(answers(learned, faces) - bundles_answers("nano", faces)).mean() < 0.03


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(NANO, weights="default"), "holds mobilenetv2 of width 1, this recipe trains nano of width 1"),
        (replace(NANO, width=0.5), "holds nano of width 1, this recipe trains nano of width 0.5"),
    ],
    ids=["network", "width"],
)
def test_bundle_of_another_network_is_refused_and_leaves_no_run(config: TrainConfig, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        train(config, drawn_dataset(), tmp_path / "run", listener=Listener())
    assert not (tmp_path / "run" / "config.json").exists()


def changed_bundle(tmp_path: Path, **recipe: object) -> str:
    """The shipped nano, whose manifest tells another recipe; no recipe at all without any change."""
    folder = shutil.copytree(ASSETS / "nano", tmp_path / "changed")
    manifest = json.loads((folder / "manifest.json").read_text())
    provenance = manifest["provenance"]
    provenance["recipe"] = provenance["recipe"] | recipe if recipe else None
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


def test_bundle_that_lies_about_its_network_is_refused(tmp_path: Path) -> None:
    weights = changed_bundle(tmp_path, architecture="resnet14")
    with pytest.raises(DataError, match=r"is not the resnet14 that this version of fer-edge builds"):
        started(replace(NANO, architecture="resnet14", weights=weights))


def test_network_without_a_batch_norm_for_every_convolution_is_refused(tmp_path: Path) -> None:
    weights = changed_bundle(tmp_path, architecture="vgg16")
    with pytest.raises(ConfigError, match="vgg16 cannot start from a bundle: its layer block1_conv1 has no batch norm"):
        started(replace(NANO, architecture="vgg16", weights=weights))


def test_bundle_that_does_not_say_what_it_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say what network it holds"):
        started(replace(NANO, weights=changed_bundle(tmp_path)))


def test_damaged_bundle_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(ASSETS / "nano", tmp_path / "damaged")
    model = folder / "model.int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError):
        started(replace(NANO, weights=str(folder)))
