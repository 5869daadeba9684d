"""The training graph: 48×48 `uint8` faces in, augmented, normalised and resized on the accelerator, probabilities out."""

from __future__ import annotations

import sys
import warnings
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge_runtime.errors import DataError
from fer_edge_train.architectures import FIRST_HEAD_LAYER, PRETRAINED, build_classifier
from fer_edge_train.bundle_weights import is_bundle
from fer_edge_train.config import Augment, TrainConfig
from fer_edge_train.data import FACE_SIZE


def build_training_model(config: TrainConfig, classes: int) -> tuple[keras.Model, keras.Model]:
    """The training graph and the classifier inside it.

    The graph normalises to [-1, 1] and resizes bilinearly with half-pixel centres: exactly what
    `fer_edge_runtime.preprocess` does on the device (a test compares the two).

    Args:
        config: the recipe; ``config.weights`` fills the backbone, but for a bundle's (`bundle_weights.start_from_bundle`).
        classes: number of labels.

    Returns:
        ``(graph, classifier)``: the graph takes (N, 48, 48, 1) uint8, the classifier (N, size, size, 3) float32.

    Raises:
        DataError: the weights cannot be read, downloaded or do not fit.
    """
    if config.weights == "imagenet":
        classifier, _ = _with_imagenet(config, classes)
    else:
        classifier, backbone = build_classifier(config, classes, keras=keras)
        if config.weights != "none" and not is_bundle(config.weights):
            if Path(config.weights).is_dir():
                _take_backbone(backbone, config.architecture, Path(config.weights))
            else:
                _load_backbone(backbone, Path(config.weights))
    faces = keras.Input((FACE_SIZE, FACE_SIZE, 1), dtype="uint8", name="faces")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="normalise")(faces)
    for layer in augment_layers(config.augment, config.seed):
        x = layer(x)
    x = keras.layers.Resizing(
        config.input_size, config.input_size, interpolation="bilinear", dtype="float32", name="enlarge"
    )(x)
    x = keras.layers.Concatenate(dtype="float32", name="grey_to_three")([x, x, x])
    return keras.Model(faces, classifier(x), name=f"{config.architecture}_training"), classifier


def augment_layers(augment: Augment, seed: int) -> list[Any]:
    """Keras layers that change a face only while training; pixels in [-1, 1], borders repeated.

    Every layer has a seed of its own: with one seed for all, the angle, the shift and the zoom of a face would be the
    same random number.
    """
    exact: dict[str, Any] = {"dtype": "float32"}  # also under mixed precision
    moved: dict[str, Any] = {"fill_mode": "nearest", "interpolation": "bilinear", **exact}
    layers: list[Any] = []
    if augment.flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed, **exact))
    if augment.rotation_degrees:
        layers.append(keras.layers.RandomRotation(augment.rotation_degrees / 360, seed=seed + 1, **moved))
    if augment.shift:
        layers.append(keras.layers.RandomTranslation(augment.shift, augment.shift, seed=seed + 2, **moved))
    if augment.zoom:
        layers.append(keras.layers.RandomZoom(augment.zoom, seed=seed + 3, **moved))
    if augment.contrast:
        layers.append(keras.layers.RandomContrast(augment.contrast, value_range=(-1, 1), seed=seed + 4, **exact))
    if augment.brightness:
        layers.append(keras.layers.RandomBrightness(augment.brightness, value_range=(-1, 1), seed=seed + 5, **exact))
    if augment.erase:
        layers.append(
            keras.layers.RandomErasing(
                augment.erase, scale=(0.02, 0.2), fill_value=0.0, value_range=(-1, 1), seed=seed + 6, **exact
            )
        )
    if augment.noise:
        layers.append(keras.layers.GaussianNoise(augment.noise, seed=seed + 7, **exact))
    return layers


def restart_randomness(graph: keras.Model, classifier: keras.Model, seed: int) -> None:
    """Make augmentation and dropout depend on ``seed`` alone.

    A saved Keras model does not hold the state of its random layers, so a resumed run could not repeat what an
    uninterrupted one does without this.
    """
    layers = [*graph.layers, *classifier.layers]
    found = [getattr(layer, "generator", None) or getattr(layer, "seed_generator", None) for layer in layers]
    for position, generator in enumerate(generator for generator in found if generator is not None):
        generator.state.assign(np.array([seed, position << 20], generator.state.dtype))


def unfreeze_top(classifier: keras.Model, share: float) -> None:
    """Let the head and the top ``share`` of the backbone's layers learn; those below keep weights and statistics.

    Stage 1 is ``share = 0``: only the head learns.
    """
    backbone = backbone_layers(classifier)
    frozen = round(len(backbone) * (1 - share))
    for position, layer in enumerate(
        classifier.layers
    ):  # each by itself: Keras does not hand a model's flag to its layers
        layer.trainable = position >= frozen


def backbone_layers(classifier: keras.Model) -> list[Any]:
    """The classifier's layers below its head."""
    names = [layer.name for layer in classifier.layers]
    return list(classifier.layers[: names.index(FIRST_HEAD_LAYER)])


def _with_imagenet(config: TrainConfig, classes: int) -> tuple[keras.Model, keras.Model]:
    advice = "Give a downloaded '*_notop.weights.h5' with --weights, or start from nothing with --weights none."
    if config.architecture not in PRETRAINED:
        raise DataError(f"There are no ImageNet weights for {config.architecture}. {advice}")
    try:
        with redirect_stdout(sys.stderr):  # where Keras says that it downloads; stdout is for --json
            return build_classifier(config, classes, keras=keras, weights="imagenet")
    except Exception as error:  # whatever a download can raise: URL errors, time-outs, hash mismatches, unknown widths
        raise DataError(
            f"Keras cannot give ImageNet weights for {config.architecture} of width {config.width:g}: {error}. {advice}"
        ) from error


def _take_backbone(backbone: keras.Model, architecture: str, run: Path) -> None:
    """The best backbone of another run, which may have had other classes."""
    try:
        trained = keras.models.load_model(run / "model.keras", compile=False).get_layer(architecture)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{run} gives no weights to start from: there is no {architecture} in a model.keras of it. {_reason(error)}"
        ) from error
    try:
        for layer, learned in zip(backbone.layers, backbone_layers(trained), strict=True):
            layer.set_weights(learned.get_weights())
    except ValueError as error:
        raise DataError(f"{run} has a {architecture} of another width, which does not fit: {_reason(error)}") from error


def _load_backbone(backbone: keras.Model, weights: Path) -> None:
    if not weights.is_file():
        raise DataError(
            f"There is no weights file at {weights}. Give a keras.applications '*_notop.weights.h5', a run folder, a bundle, 'imagenet' or 'none'."
        )
    before = [w.copy() for w in backbone.get_weights()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of a layer before it raises about it
            backbone.load_weights(weights)
    except OSError as error:
        raise DataError(
            f"{weights} cannot be read as Keras weights: {_reason(error)}. Download or copy it again."
        ) from error
    except (ValueError, KeyError) as error:
        raise DataError(f"{weights} does not fit {backbone.name}: {_reason(error)}") from error
    if all(np.array_equal(old, new) for old, new in zip(before, backbone.get_weights(), strict=True)):
        raise DataError(f"{weights} holds no weights of {backbone.name}: nothing in it fits.")


def _reason(error: Exception) -> str:
    """The sentence that matters: Keras's messages go on with lists of layers and their values."""
    paragraphs = [part.strip() for part in str(error).split("\n\n") if part.strip()] or [type(error).__name__]
    example = paragraphs[1] if len(paragraphs) > 1 and paragraphs[0].endswith(":") else paragraphs[0]
    return " ".join(example.partition(" Target variable")[0].split())[:300]
