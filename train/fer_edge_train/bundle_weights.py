"""Starting from a bundle: the network that ships in int8 becomes one that learns again.

Export folded batch norm into the convolutions. Here every convolution gets its de-quantized kernel back, and the batch norm after it the
statistics that its outputs have on training faces, with scale and offset that undo them: the function stays the bundle's, and learning
goes on as it would have from the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.engines.litert import interpreter_module
from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_runtime.manifest import MANIFEST_NAME
from fer_edge_runtime.shipped import shipped_folder
from fer_edge_train.config import TrainConfig

_MEASURED_FACES = 1024
_BATCH = 64
_WITH_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class Folded(NamedTuple):
    """A layer as the device computes it: kernel in Keras's order of axes, and offset, both float32."""

    kernel: NDArray[np.float32]
    offset: NDArray[np.float32]


def is_bundle(weights: str) -> bool:
    """Whether ``weights`` names a shipped bundle, a bundle's folder or a zip of one."""
    place = Path(weights)
    return shipped_folder(weights) is not None or (place / MANIFEST_NAME).is_file() or place.suffix == ".zip"


def start_from_bundle(graph: keras.Model, classifier: keras.Model, config: TrainConfig, labels: tuple[str, ...],
                      faces: NDArray[np.uint8]) -> str:  # fmt: skip
    """Fill the classifier with the bundle that ``config.weights`` names.

    The scores are taken too where the bundle has the same classes in the same order and a head without dense layers.

    Args:
        graph: the training graph, whose normalising and resizing is used.
        classifier: the network inside it; changed in place.
        config: the recipe.
        labels: classes of this training.
        faces: (N, 48, 48) uint8 training faces; some of them give the statistics.

    Returns:
        What was taken, in a sentence.

    Raises:
        BundleError: the bundle is damaged.
        DataError: it holds another network, or no int8 TFLite model.
        ConfigError: the network has a convolution without a batch norm of its own.
    """
    bundle = load_bundle(config.weights)
    network = _network_of(bundle, config)
    found = read_layers(bundle)
    kernels = [
        layer for layer in classifier.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    ]
    norms = {layer.name: _norm_after(layer, classifier, network) for layer in kernels}
    for layer in kernels:
        folded = found.get(layer.name)
        if folded is None or folded.kernel.size not in (_size(layer), _size(layer) / 3):
            raise DataError(
                f"{bundle.origin} has no layer {layer.name} of that size: it is not the {network} that this version of fer-edge builds."
            )
        _set_folded(layer, norms[layer.name], folded)
    _unfold(graph, classifier, kernels, norms, faces)
    taken = "the backbone"
    if _same_scores(bundle, config, labels):
        classifier.get_layer("scores").set_weights(list(found["scores"]))
        taken = "backbone and scores"
    return f"Starting from {taken} of the bundle '{bundle.manifest.name}', de-quantized."


def read_layers(bundle: Bundle) -> dict[str, Folded]:
    """Layer name -> kernel and offset of every convolution and dense layer in the bundle's int8 TFLite model."""
    artefact = next((a for a in bundle.manifest.artefacts if (a.format, a.precision) == ("tflite", "int8")), None)
    if artefact is None:
        raise DataError(f"{bundle.origin} holds no int8 TFLite model, from which the weights could be taken.")
    module = interpreter_module()[0]
    interpreter = module.Interpreter(
        model_content=bundle.contents[artefact.path],
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    found = {}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in _WITH_KERNELS:
            kernel, offset = (tensors[index] for index in operator["inputs"][1:3])
            values = _keras_order(operator["op_name"], _real(interpreter, kernel))
            found[_layer_of(kernel["name"])] = Folded(values, _real(interpreter, offset))
    return found


def _layer_of(tensor_name: str) -> str:
    """``network/quant_LAYER/Conv2D`` is of LAYER."""
    return tensor_name.partition(";")[0].split("/")[-2].removeprefix("quant_") if "/" in tensor_name else tensor_name


def _real(interpreter: Any, tensor: dict[str, Any]) -> NDArray[np.float32]:
    """The real values of a constant; one scale, or one a channel along one axis."""
    values = interpreter.get_tensor(tensor["index"]).astype(np.float32)
    scales = tensor["quantization_parameters"]["scales"]
    if len(scales) > 1:
        shape = [1] * values.ndim
        shape[tensor["quantization_parameters"]["quantized_dimension"]] = len(scales)
        scales = scales.reshape(shape)
    return np.asarray(values * scales, np.float32)


def _keras_order(operator: str, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return kernel.T if operator == "FULLY_CONNECTED" else kernel.transpose(1, 2, 3, 0)


def _network_of(bundle: Bundle, config: TrainConfig) -> str:
    """The architecture that recipe and bundle share."""
    recipe = bundle.manifest.provenance.get("recipe")
    made = (
        TrainConfig.from_dict(recipe, where=f"{bundle.origin}, the recipe in its manifest")
        if isinstance(recipe, dict)
        else None
    )
    if made is None:
        raise DataError(
            f"{bundle.origin} does not say what network it holds; fer-edge export writes that into a bundle."
        )
    if (made.architecture, made.width) != (config.architecture, config.width):
        raise DataError(
            f"{bundle.origin} holds {made.architecture} of width {made.width:g}, this recipe trains {config.architecture} of width "
            f"{config.width:g}. Choose a recipe with the bundle's network, or other weights."
        )
    return made.architecture


def _norm_after(layer: Any, classifier: keras.Model, network: str) -> Any:
    """The batch norm that reads a convolution's output."""
    norm = next(
        (n for n in classifier.layers if isinstance(n, keras.layers.BatchNormalization) and n.input is layer.output),
        None,
    )
    if norm is None or not norm.scale or layer.use_bias:
        raise ConfigError(
            f"{network} cannot start from a bundle: its layer {layer.name} has no batch norm of its own with a scale. mobilenetv2, nano, "
            "resnet14 and cnn4 can; start others from a run folder."
        )
    return norm


def _size(layer: Any) -> int:
    return int(np.prod(layer.get_weights()[0].shape))


def _set_folded(layer: Any, norm: Any, folded: Folded) -> None:
    """Kernel and offset as the device has them; the batch norm does nothing but add the offset."""
    (shape,) = [w.shape for w in layer.get_weights()]
    kernel = folded.kernel
    if kernel.shape[2] == 1 and shape[2] == 3:  # export merged the three equal channels of a grey face
        kernel = np.repeat(kernel / 3, 3, axis=2)
    layer.set_weights([kernel.reshape(shape)])
    one = np.ones_like(folded.offset)
    norm.set_weights([one, folded.offset, 0 * one, one - norm.epsilon])


def _unfold(
    graph: keras.Model, classifier: keras.Model, kernels: list[Any], norms: dict[str, Any], faces: NDArray[np.uint8]
) -> None:
    """Give every batch norm the statistics of what it reads, and every kernel the size of a fresh one.

    The size matters to learning though not to the function: weight decay and step sizes are made for it.
    """
    views = keras.Model(graph.input, graph.get_layer("grey_to_three").output)
    outputs = keras.Model(classifier.input, [layer.output for layer in kernels])
    chosen = faces[np.linspace(0, len(faces) - 1, min(_MEASURED_FACES, len(faces))).astype(int)]
    sums = [np.zeros((2, layer.output.shape[-1])) for layer in kernels]
    counts = [0] * len(kernels)
    for start in range(0, len(chosen), _BATCH):
        inputs = views(chosen[start : start + _BATCH, ..., None], training=False)
        for number, tensor in enumerate(outputs(inputs, training=False)):
            values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), np.float64)
            values = values.reshape(-1, values.shape[-1])
            sums[number] += [values.sum(axis=0), (values**2).sum(axis=0)]
            counts[number] += len(values)
    for layer, (total, squares), count in zip(kernels, sums, counts, strict=True):
        mean = total / count
        _set_statistics(layer, norms[layer.name], mean, np.maximum(squares / count - mean**2, 0))


def _set_statistics(layer: Any, norm: Any, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
    (kernel,) = layer.get_weights()
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    axes = (0, 1, 3) if depthwise else (0, 1, 2)
    inputs = kernel.size / len(mean)
    root = np.sqrt(np.mean(kernel.astype(np.float64) ** 2, axis=axes))
    factor = np.where(root > 0, np.sqrt(2 / inputs) / np.maximum(root, 1e-12), 1.0)  # He's, arXiv 1502.01852
    layer.set_weights([kernel * (factor[:, None] if depthwise else factor)])
    mean, variance = mean * factor, variance * factor**2
    scale = np.sqrt(variance + norm.epsilon)
    offset = norm.get_weights()[1]
    norm.set_weights([scale / factor, offset + mean / factor, mean, variance])


def _same_scores(bundle: Bundle, config: TrainConfig, labels: tuple[str, ...]) -> bool:
    return bundle.manifest.labels == labels and not (config.top.dense or config.top.batch_norm or config.top.sigmoid)
