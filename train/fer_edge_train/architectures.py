"""The networks, as flat functional graphs from a normalised face to class probabilities.

Flat matters: quantization cannot see into a model nested as a layer, and the export package rebuilds the same graph in
`tf_keras` by calling the same function with that library's `layers`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge_train.config import TrainConfig

FIRST_HEAD_LAYER = "pool"
_CAFFE_MEANS = (103.939, 116.779, 123.68)  # of ImageNet, blue green red: what VGG16's and ResNet50's weights expect


class Backbone(NamedTuple):
    """A network without its top.

    Attributes:
        build: ``build(keras, pixels, width, weights)`` gives the model over the ``pixels`` input tensor.
        min_size: smallest side of the input in pixels.
        widths: whether a width multiplier other than 1 exists.
        reference: where the network was described.
    """

    build: Callable[..., Any]
    min_size: int = 32
    widths: bool = False
    reference: str = ""


def _application(name: str, *, caffe: bool = False, widths: bool = False) -> Callable[..., Any]:
    def build(keras: Any, pixels: Any, width: float, weights: str | None) -> Any:
        if caffe:
            offsets = [127.5 - mean for mean in _CAFFE_MEANS]
            pixels = keras.layers.Rescaling(127.5, offset=offsets, name="caffe_range")(pixels)
        options = {"alpha": width} if widths else {}
        return getattr(keras.applications, name)(include_top=False, weights=weights, input_tensor=pixels, **options)

    return build


def _cnn4(keras: Any, pixels: Any, width: float, weights: str | None) -> Any:
    """Four blocks of convolution, batch norm, ReLU, dropout and max pooling."""
    x = pixels
    for number, filters in enumerate((64, 128, 256, 512), 1):
        x = keras.layers.Conv2D(
            max(1, round(filters * width)), 3, padding="same", use_bias=False, name=f"block{number}_conv"
        )(x)
        x = keras.layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = keras.layers.ReLU(name=f"block{number}_relu")(x)
        x = keras.layers.Dropout(0.1, name=f"block{number}_dropout")(x)
        x = keras.layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return keras.Model(pixels, x, name="cnn4")


_NANO_STAGES = ((32, 2, 2), (64, 2, 2), (96, 2, 1))
_RESNET14_STAGES = ((64, 2, 2), (128, 2, 2), (256, 2, 2))


def _residual(name: str, stages: tuple[tuple[int, int, int], ...]) -> Callable[..., Any]:
    """A residual network (arXiv 1512.03385) for faces of 48 pixels: two or three halvings instead of five, one operator a layer in int8.

    ``stages`` are filters, blocks and the stride that the stage starts with.
    """

    def build(keras: Any, pixels: Any, width: float, weights: str | None) -> Any:
        layers = keras.layers

        def convolution(x: Any, filters: int, size: int, stride: int, name: str) -> Any:
            x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
            return layers.BatchNormalization(name=f"{name}_bn")(x)

        x = layers.ReLU(name="stem_relu")(convolution(pixels, max(1, round(32 * width)), 3, 1, "stem"))
        for stage, (full, blocks, first_stride) in enumerate(stages, 1):
            filters = max(1, round(full * width))
            for block in range(1, blocks + 1):
                prefix, stride = f"stage{stage}_block{block}", first_stride if block == 1 else 1
                y = layers.ReLU(name=f"{prefix}_relu1")(convolution(x, filters, 3, stride, f"{prefix}_1"))
                y = convolution(y, filters, 3, 1, f"{prefix}_2")
                shortcut = convolution(x, filters, 1, stride, f"{prefix}_shortcut") if block == 1 else x
                x = layers.ReLU(name=f"{prefix}_relu2")(layers.Add(name=f"{prefix}_add")([y, shortcut]))
        return keras.Model(pixels, x, name=name)

    return build


BACKBONES: dict[str, Backbone] = {
    "mobilenetv2": Backbone(_application("MobileNetV2", widths=True), 32, True, "arXiv 1801.04381"),
    "inceptionv3": Backbone(_application("InceptionV3"), 75, False, "arXiv 1512.00567"),
    "inceptionresnetv2": Backbone(_application("InceptionResNetV2"), 75, False, "arXiv 1602.07261"),
    "vgg16": Backbone(_application("VGG16", caffe=True), 32, False, "arXiv 1409.1556"),
    "resnet50": Backbone(_application("ResNet50", caffe=True), 32, False, "arXiv 1512.03385"),
    "xception": Backbone(_application("Xception"), 71, False, "arXiv 1610.02357"),
    "cnn4": Backbone(_cnn4, 32, True, "four convolution blocks, two dense blocks"),
    "nano": Backbone(_residual("nano", _NANO_STAGES), 32, True, "six residual blocks, arXiv 1512.03385"),
    "resnet14": Backbone(
        _residual("resnet14", _RESNET14_STAGES),
        32,
        True,
        "nano with two to three times the filters and one halving more, arXiv 1512.03385",
    ),
}
PRETRAINED = tuple(
    name for name in BACKBONES if name not in ("cnn4", "nano", "resnet14")
)  # keras.applications has ImageNet weights for these


def check_architecture(name: str, input_size: int, width: float) -> None:
    """Refuse a name that is not in `BACKBONES` (naming the closest one), and sizes that it cannot have."""
    if name not in BACKBONES:
        close = difflib.get_close_matches(name, BACKBONES, 1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"There is no architecture '{name}'. Known: {', '.join(sorted(BACKBONES))}.{hint}")
    backbone = BACKBONES[name]
    if input_size < backbone.min_size:
        raise ConfigError(f"input_size = {input_size} is too small for {name}: {backbone.min_size} pixels or more.")
    if width != 1 and not backbone.widths:
        raise ConfigError(
            f"width = {width:g} cannot be used: {name} has one width only; mobilenetv2, cnn4, nano and resnet14 have several."
        )


def build_classifier(config: TrainConfig, classes: int, *, keras: Any, weights: str | None = None) -> tuple[Any, Any]:
    """The flat classifier and the backbone it contains.

    The head is: pooling, an optional batch norm, dense blocks (affine, optional batch norm, ReLU, dropout) or one
    dropout, and the scores. A ``sigmoid`` head has one logit z; its two columns are softmax(-z/2, z/2), which is exactly
    (1 - sigmoid(z), sigmoid(z)), so that every model of the toolkit gives one probability a class.

    Args:
        config: the recipe: architecture, input size, width, dropout and head.
        classes: number of labels.
        keras: the library that builds: `keras` (Keras 3) or `tf_keras`; both give the same layers and weight order.
        weights: ``imagenet`` downloads them; None leaves the initial ones.

    Returns:
        ``(classifier, backbone)``: input (N, size, size, 3) float32 in [-1, 1], output (N, classes) float32 probabilities.
        The backbone shares its layers with the classifier.
    """
    layers, top = keras.layers, config.top
    pixels = keras.Input((config.input_size, config.input_size, 3), name="pixels")
    backbone = BACKBONES[config.architecture].build(keras, pixels, config.width, weights)
    pool = layers.Flatten if top.pool == "flatten" else layers.GlobalAveragePooling2D
    x = pool(name=FIRST_HEAD_LAYER)(backbone.output)
    if top.batch_norm:
        x = layers.BatchNormalization(name="head_bn")(x)
    for number, units in enumerate(top.dense, 1):
        penalty = keras.regularizers.L2(top.l2) if top.l2 else None
        x = layers.Dense(units, kernel_regularizer=penalty, name=f"dense{number}")(x)
        if top.batch_norm:
            x = layers.BatchNormalization(name=f"dense{number}_bn")(x)
        x = layers.ReLU(name=f"dense{number}_relu")(x)
        x = layers.Dropout(config.dropout, name=f"dense{number}_dropout")(x)
    if not top.dense:
        x = layers.Dropout(config.dropout, name="dropout")(x)
    if top.sigmoid:
        if classes != 2:
            raise ConfigError(f"top.sigmoid = true needs two classes, the data has {classes}.")
        logit = layers.Dense(1, dtype="float32", name="logit")(x)
        pair = [
            layers.Rescaling(half, dtype="float32", name=name)(logit) for name, half in (("no", -0.5), ("yes", 0.5))
        ]
        x = layers.Concatenate(dtype="float32", name="pair")(pair)
        scores = layers.Softmax(dtype="float32", name="scores")(x)
    else:
        scores = layers.Dense(classes, activation="softmax", dtype="float32", name="scores")(x)
    return keras.Model(backbone.input, scores, name=config.architecture), backbone
