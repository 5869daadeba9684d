"""The trained classifier again, in `tf_keras`: what TensorFlow's converter and its quantization tools understand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tf_keras
from numpy.typing import NDArray

from fer_edge_export.errors import ExportError
from fer_edge_train.architectures import build_classifier
from fer_edge_train.config import TrainConfig

# Batch normalisation differs between the two libraries in the last bits. Measured on faces: at most 2e-6 for a trained
# MobileNetV2; 2e-4 (3e-5 on average) for random deep networks, which amplify rounding. A wrong weight shows as 1e-2 or more.
MEAN_TOLERANCE = 1e-4
MAX_TOLERANCE = 1e-3


def rebuild_classifier(
    model_file: Path, config: TrainConfig, *, classes: int, inputs: NDArray[np.float32]
) -> tuple[Any, float]:
    """The classifier of a run as a standalone `tf_keras` model.

    Weights are copied by order: both libraries list them alike, only some names differ.

    Args:
        model_file: the run's ``model.keras`` (the training graph with the classifier inside).
        config: the run's recipe.
        classes: number of labels.
        inputs: (N, size, size, 3) float32 in [-1, 1]: real faces on which the two must agree.

    Returns:
        ``(model, difference)``: the flat model, (N, size, size, 3) float32 to (N, classes) float32 probabilities, and
        the largest difference of a probability between it and the original.

    Raises:
        ExportError: the file does not hold that classifier, or the outputs differ by more than rounding (1e-4 on average, 1e-3 at most).
    """
    original = _load(model_file, config.architecture)
    weights = original.get_weights()
    if config.top.sigmoid:
        config, weights = two_scores(config, weights)
    model, _ = build_classifier(config, classes, keras=tf_keras)
    shapes, wanted = [w.shape for w in weights], [w.shape for w in model.get_weights()]
    if shapes != wanted:
        first = next(
            (i for i, pair in enumerate(zip(shapes, wanted, strict=False)) if pair[0] != pair[1]),
            min(len(shapes), len(wanted)),
        )
        raise ExportError(
            f"{model_file}: {len(shapes)} weight arrays, the rebuilt {config.architecture} has {len(wanted)}; the first that differs is "
            f"number {first}. Was the run trained with another version of fer-edge?"
        )
    model.set_weights(weights)
    difference = check_equal(predict(model, inputs), predict(original, inputs), f"{model_file}: the rebuilt classifier")
    return model, difference


def check_equal(found: NDArray[np.float32], wanted: NDArray[np.float32], what: str) -> float:
    """The largest difference between the (N, classes) probabilities of two models of the same function.

    Raises:
        ExportError: it is more than rounding (1e-4 on average, 1e-3 at most).
    """
    differences = np.abs(found - wanted)
    mean, worst = float(differences.mean()), float(differences.max())
    if not (mean <= MEAN_TOLERANCE and worst <= MAX_TOLERANCE):
        raise ExportError(
            f"{what} differs from the trained one by {mean:.2g} on average and at most {worst:.2g} on {len(found)} faces "
            f"({MEAN_TOLERANCE:g} and {MAX_TOLERANCE:g} are allowed)."
        )
    return worst


def predict(model: Any, inputs: NDArray[np.float32], *, batch: int = 64) -> NDArray[np.float32]:
    """(N, classes) float32 probabilities in inference mode, from a model of either library."""
    fed = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
    # Keras 3 warns when one tensor comes for the list of one that an application has, or the other way round.
    listed = isinstance(getattr(model, "input", None), list)
    return np.concatenate([np.asarray(model([part] if listed else part, training=False), np.float32) for part in fed])


def two_scores(config: TrainConfig, weights: list[Any]) -> tuple[TrainConfig, list[Any]]:
    """A one-logit head as two scores: softmax(-z/2, z/2) with the halves inside the last layer, which is exact.

    Quantized, the halves would be two more roundings, at which engines differ by a step of the logit: 0.02 of a probability.
    """
    halves = [np.concatenate([-array / 2, array / 2], axis=-1) for array in weights[-2:]]
    return replace(config, top=replace(config.top, sigmoid=False)), [*weights[:-2], *halves]


def _load(model_file: Path, architecture: str) -> Any:
    try:
        graph = keras.models.load_model(model_file, compile=False)
        return graph.get_layer(architecture)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ExportError(
            f"{model_file} holds no '{architecture}' classifier that Keras {keras.__version__} can load: {error}"
        ) from error
