"""The training graph: 48×48 `uint8` faces in, augmented, normalised and resized on the accelerator, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge_runtime.errors import DataError
from fer_edge_train.architectures import build_classifier
from fer_edge_train.config import Augment, TrainConfig
from fer_edge_train.data import FACE_SIZE


def build_training_model(config: TrainConfig, classes: int, weights: Path | None) -> tuple[keras.Model, keras.Model]:
    """The training graph and the classifier inside it.

    The graph normalises to [-1, 1] and resizes bilinearly with half-pixel centres: exactly what
    `fer_edge_runtime.preprocess` does on the device (a test compares the two).

    Args:
        config: the recipe.
        classes: number of labels.
        weights: backbone weights (``.weights.h5`` of ``keras.applications`` without its top), or None for random ones.

    Returns:
        ``(graph, classifier)``: the graph takes (N, 48, 48, 1) uint8, the classifier (N, size, size, 3) float32.
    """
    classifier, backbone = build_classifier(
        config.architecture,
        keras=keras,
        input_size=config.input_size,
        width=config.width,
        classes=classes,
        dropout=config.dropout,
    )
    if weights is not None:
        _load_backbone(backbone, weights)
    faces = keras.Input((FACE_SIZE, FACE_SIZE, 1), dtype="uint8", name="faces")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(faces)
    for layer in augment_layers(config.augment, config.seed):
        x = layer(x)
    x = keras.layers.Resizing(config.input_size, config.input_size, interpolation="bilinear", name="enlarge")(x)
    x = keras.layers.Concatenate(name="grey_to_three")([x, x, x])
    return keras.Model(faces, classifier(x), name=f"{config.architecture}_training"), classifier


def augment_layers(augment: Augment, seed: int) -> list[Any]:
    """Keras layers that change a face only while training; pixels in [-1, 1], borders repeated.

    Every layer has a seed of its own: with one seed for all, the angle, the shift and the zoom of a face would be the
    same random number.
    """
    moved: dict[str, Any] = {"fill_mode": "nearest", "interpolation": "bilinear"}
    layers: list[Any] = []
    if augment.flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed))
    if augment.rotation_degrees:
        layers.append(keras.layers.RandomRotation(augment.rotation_degrees / 360, seed=seed + 1, **moved))
    if augment.shift:
        layers.append(keras.layers.RandomTranslation(augment.shift, augment.shift, seed=seed + 2, **moved))
    if augment.zoom:
        layers.append(keras.layers.RandomZoom(augment.zoom, seed=seed + 3, **moved))
    if augment.contrast:
        layers.append(keras.layers.RandomContrast(augment.contrast, value_range=(-1, 1), seed=seed + 4))
    if augment.brightness:
        layers.append(keras.layers.RandomBrightness(augment.brightness, value_range=(-1, 1), seed=seed + 5))
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
    return list(classifier.layers[: names.index("pool")])


def _load_backbone(backbone: keras.Model, weights: Path) -> None:
    if not weights.is_file():
        raise DataError(
            f"There is no weights file at {weights}. Give a keras.applications '*_notop.weights.h5', or leave --weights out."
        )
    try:
        backbone.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise DataError(f"{weights} does not fit {backbone.name} of this width: {error}") from error
