"""The ONNX artefact, made from the int8 TFLite one: same weights, same grid, so that both give the same answers.

The dtypes of activations and weights follow the target, since ONNX Runtime's integer kernels differ (its quantization
guide says which): zero points move by 128, nothing else changes. Weights have one scale per channel.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from fer_edge_export.errors import ExportError
from fer_edge_export.inspection import AVERAGED, optimised_operators
from fer_edge_export.metadata import with_open_batch
from fer_edge_export.tflite import LSB, batch_difference
from fer_edge_runtime.engines.onnx import OnnxEngine
from fer_edge_runtime.manifest import TensorSpec
from fer_edge_train.quiet import quiet

OPSET = 17
IR_VERSION = 8  # what opset 17 came with; ONNX Runtime reads it since 1.12
INPUT, OUTPUT = "faces", "scores"
# Of a probability, between the two int8 artefacts. Measured on trained models: 0 for cnn4, VGG16, InceptionV3 and Xception; ResNet50,
# whose sums the engines round differently, 0.03 LSB on average and 1 at most.
MAX_MEAN_DIFFERENCE = 2.5 * LSB
DTYPES = {  # dtype of activations, dtype of weights
    "x86-vnni": ("uint8", "int8"),  # one instruction multiplies uint8 by int8 and adds without saturating
    "x86": ("uint8", "uint8"),  # without VNNI, sums of uint8 × int8 saturate at 16 bits
    "arm64": ("int8", "int8"),
}
# More than float32 loses beside a zero point of 128; less than what lies between a half and its neighbours in 6 × 6 averages.
HALVES_OUTWARDS = 1e-4
_TO_NCHW = (0, 3, 1, 2)
_QDQ = ("QuantizeLinear", "DequantizeLinear")
_FLOAT_WORK = ("Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")


def convert_onnx(tflite: bytes, target: str) -> bytes:
    """An int8 TFLite classifier as ONNX: ``faces`` (batch, H, W, 3) to ``scores`` (batch, classes), both of the target's dtype.

    Args:
        tflite: the model.
        target: a key of `DTYPES`.

    Raises:
        ExportError: the conversion failed or the graph is not valid.
    """
    model = _from_tflite(tflite)
    try:
        activations, weights = DTYPES[target]
        move_to_uint8(model, activations=activations == "uint8", weights=weights == "uint8")
        undo_reshapes(model)
        round_averages_as_tflite(model)
        rename_ends(model)
        model.ir_version = IR_VERSION
        model.producer_name, model.doc_string = "fer-edge", ""
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, KeyError, ValueError) as error:
        raise ExportError(f"The ONNX graph made from the TFLite model is not valid: {error}") from error
    return bytes(model.SerializeToString(deterministic=True))


def _from_tflite(tflite: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder, quiet() as noise:
        import tf2onnx

        source = Path(folder) / "model.tflite"
        source.write_bytes(with_open_batch(tflite))
        try:
            model, _ = tf2onnx.convert.from_tflite(str(source), opset=OPSET)
        except Exception as error:  # tf2onnx raises plain exceptions of many kinds
            raise ExportError(
                f"tf2onnx could not convert the int8 TFLite model: {error}\n{noise()}".rstrip()
            ) from error
    return model


def convert_float_onnx(model: Any) -> tuple[bytes, TensorSpec, TensorSpec]:
    """A `tf_keras` classifier as float32 ONNX, with its input and output.

    Raises:
        ExportError: the conversion failed.
    """
    with quiet() as noise:
        import tf2onnx

        try:
            converted, _ = tf2onnx.convert.from_keras(model, opset=OPSET)
        except Exception as error:  # tf2onnx raises plain exceptions of many kinds
            raise ExportError(f"tf2onnx could not convert the float model: {error}\n{noise()}".rstrip()) from error
    rename_ends(converted)
    converted.ir_version = IR_VERSION
    converted.producer_name, converted.doc_string = "fer-edge", ""
    ends = (
        TensorSpec(INPUT, tuple(model.input_shape[1:]), "float32", "HWC"),
        TensorSpec(OUTPUT, tuple(model.output_shape[1:]), "float32", "C"),
    )
    return bytes(converted.SerializeToString(deterministic=True)), *ends


def move_to_uint8(model: Any, *, activations: bool, weights: bool) -> None:
    """Move int8 tensors to uint8 in place: zero points, and the values of weights, rise by 128."""
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    added: dict[str, Any] = {}

    def moved(name: str) -> str:
        raised = (numpy_helper.to_array(constants[name]).astype(np.int16) + 128).astype(np.uint8)
        added.setdefault(f"{name}_u8", numpy_helper.from_array(raised, f"{name}_u8"))
        return f"{name}_u8"

    for node in graph.node:
        if node.op_type not in _QDQ or len(node.input) < 3:
            continue
        is_weight = node.input[0] in constants
        if constants[node.input[2]].data_type != TensorProto.INT8 or not (weights if is_weight else activations):
            continue
        node.input[2] = moved(node.input[2])
        if is_weight:
            node.input[0] = moved(node.input[0])
    graph.initializer.extend(added.values())
    for value in (*graph.input, *graph.output):
        if activations and value.type.tensor_type.elem_type == TensorProto.INT8:
            value.type.tensor_type.elem_type = TensorProto.UINT8
    del graph.value_info[:]
    drop_unread(model)


def drop_unread(model: Any) -> None:
    """Remove nodes and constants that nothing reads, in place."""
    graph = model.graph
    read = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for constant in [c for c in graph.initializer if c.name not in read]:
        graph.initializer.remove(constant)


def round_averages_as_tflite(model: Any) -> None:
    """Give every average pool a grid of its own, in place, on which ONNX Runtime rounds as TFLite does.

    An average does not depend on scale and zero point. TFLite averages the int8 values and rounds halves away from zero; ONNX
    Runtime rounds them to the even neighbour, after float arithmetic that moves them. On the grid of scale 1 around int8's
    zero its sums are exact, and an output scale that is a little smaller moves the halves, and nothing else, outwards.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    added: dict[str, Any] = {}

    def constant(name: str, value: NDArray[Any]) -> str:
        added[name] = numpy_helper.from_array(value, name)
        return name

    for node in [node for node in graph.node if node.op_type == "AveragePool"]:
        before = producers[node.input[0]]
        after = next(reader for reader in graph.node if node.output[0] in reader.input)
        if before.op_type != "DequantizeLinear" or after.op_type != "QuantizeLinear":
            continue
        uint8 = constants[after.input[2]].data_type == TensorProto.UINT8
        zero = constant("average_zero", np.array(128, np.uint8) if uint8 else np.array(0, np.int8))
        one = constant("average_scale", np.array(1, np.float32))
        raw = onnx.helper.make_node(
            "DequantizeLinear",
            [before.input[0], one, zero],
            [f"{node.output[0]}{AVERAGED}"],
            name=f"{node.name}{AVERAGED}",
        )
        graph.node.insert(list(graph.node).index(node), raw)
        node.input[0] = raw.output[0]
        outwards = constant("average_rounding", np.array(1 - HALVES_OUTWARDS, np.float32))
        after.input[1], after.input[2] = outwards, zero
    graph.initializer.extend(added.values())
    drop_unread(model)


def undo_reshapes(model: Any) -> None:
    """Remove, in place, the reshapes that change nothing, and make transpositions of the others between layouts.

    tf2onnx turns a transposition of one channel or one pixel into a reshape, around which ONNX Runtime then transposes forth
    and back: it cancels transpositions alone.
    """
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]  # 0 is unknown: the batch
        for value in (*inferred.value_info, *inferred.input)
    }
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        shape, wanted = shapes.get(node.input[0]), constants.get(node.input[1])
        if shape is None or wanted is None or 0 in shape[1:]:
            continue
        if len(shape) == 4 and [-1, *(shape[axis] for axis in _TO_NCHW[1:])] == list(wanted) and shape[1:3] != [1, 1]:
            node.op_type = "Transpose"
            del node.input[1], node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("perm", _TO_NCHW))
            continue
        if [-1, *shape[1:]] != list(wanted):
            continue
        for reader in graph.node:
            for position, name in enumerate(reader.input):
                if name == node.output[0]:
                    reader.input[position] = node.input[0]
        graph.node.remove(node)


def rename_ends(model: Any) -> None:
    """Call the input ``faces``, the output ``scores`` and their first axis ``batch``, in place."""
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ValueError(f"{len(graph.input)} inputs and {len(graph.output)} outputs; a classifier has one of each")
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for node in graph.node:
        for names_of in (node.input, node.output):
            for position, name in enumerate(names_of):
                names_of[position] = names.get(name, name)
    for value in (graph.input[0], graph.output[0]):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def tensors_of(tflite_input: TensorSpec, tflite_output: TensorSpec, target: str) -> tuple[TensorSpec, TensorSpec]:
    """The ONNX model's tensors as the manifest describes them: the TFLite model's grid, in the target's dtype."""
    dtype, _ = DTYPES[target]
    rise = 128 if dtype == "uint8" else 0

    def moved(tensor: TensorSpec, name: str) -> TensorSpec:
        return TensorSpec(name, tensor.shape, dtype, tensor.layout, tensor.scale, tensor.zero_point + rise)

    return moved(tflite_input, INPUT), moved(tflite_output, OUTPUT)


def check_onnx(
    content: bytes, output: TensorSpec, samples: NDArray[Any], target: str, *, floats: int = 0
) -> dict[str, Any]:
    """Prove that ONNX Runtime runs the model in integers and in any batch.

    Args:
        content: the model.
        output: of the manifest, for its scale.
        samples: (3 or more, H, W, 3) inputs from real faces, of the target's dtype.
        target: a key of `DTYPES`.
        floats: layers that were asked to stay in float.

    Returns:
        Facts for the report: operators after ONNX Runtime's optimisation, and the difference of a batch to single faces.

    Raises:
        ExportError: float work is left, weights are not int8, or the batch is fixed.
    """
    activations, weights_dtype = DTYPES[target]
    operators = optimised_operators(content, int8_activations=activations == "int8")
    left = {name: operators[name] for name in _FLOAT_WORK if operators.get(name)}
    if sum(left.values()) > floats or not operators.get("QLinearConv"):
        raise ExportError(
            f"ONNX Runtime {onnxruntime.__version__} would run this model in float: {left or 'no QLinearConv'} "
            f"(QLinearConv: {operators.get('QLinearConv', 0)}). That happens when ReLU outputs keep negative ranges, as in a "
            "hardly trained network. The TFLite model is complete: train longer, or export it alone with --no-onnx."
        )
    weights = [c for c in onnx.load_from_string(content).graph.initializer if len(c.dims) == 4]
    wanted = TensorProto.INT8 if weights_dtype == "int8" else TensorProto.UINT8
    if not weights or sum(c.data_type != wanted for c in weights) > floats:
        raise ExportError(f"The ONNX model's convolution weights are not all {weights_dtype}.")
    engine = OnnxEngine(content, name="model.int8.onnx", output=output)
    difference = batch_difference(engine, samples[:3])
    if not difference <= 2 * LSB:
        raise ExportError(f"ONNX: a batch of three faces differs from three single ones by {difference:.4f}.")
    return {"operators": operators, "batch_difference": difference}
