"""The networks, as flat functional graphs from a normalised face to class probabilities.

Flat matters: quantization cannot see into a model nested as a layer, and the export package rebuilds the same graph in
`tf_keras` by calling the same function with that library's `layers`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from fer_edge_runtime.errors import ConfigError


def _mobilenetv2(applications: Any, *, input_shape: tuple[int, int, int], width: float) -> Any:
    """MobileNetV2, arXiv 1801.04381."""
    return applications.MobileNetV2(include_top=False, weights=None, input_shape=input_shape, alpha=width)


BACKBONES: dict[str, Callable[..., Any]] = {"mobilenetv2": _mobilenetv2}


def check_architecture(name: str) -> None:
    """Refuse a name that is not in `BACKBONES`, with the closest one that is."""
    if name not in BACKBONES:
        close = difflib.get_close_matches(name, BACKBONES, 1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"There is no architecture '{name}'. Known: {', '.join(sorted(BACKBONES))}.{hint}")


def build_classifier(
    name: str, *, keras: Any, input_size: int, width: float, classes: int, dropout: float
) -> tuple[Any, Any]:
    """The flat classifier and the backbone it contains.

    Args:
        name: a key of `BACKBONES`.
        keras: the library that builds: `keras` (Keras 3) or `tf_keras`; both give the same layers and weight order.
        input_size: side of the input in pixels.
        width: width multiplier of the backbone.
        classes: number of labels.
        dropout: rate before the last layer.

    Returns:
        ``(classifier, backbone)``: input (N, size, size, 3) float32 in [-1, 1], output (N, classes) float32 probabilities.
        The backbone shares its layers with the classifier.
    """
    check_architecture(name)
    backbone = BACKBONES[name](keras.applications, input_shape=(input_size, input_size, 3), width=width)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    probabilities = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="scores")(x)
    return keras.Model(backbone.input, probabilities, name=name), backbone
