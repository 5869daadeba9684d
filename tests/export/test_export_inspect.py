"""What a model file says about itself, and what `fer-edge export inspect` shows of it."""

import json
import zipfile

import pytest
from command_line import fer_edge
from marks import CONVERSION
from places import DEFAULT_BUNDLE

pytestmark = CONVERSION


def inspect(*arguments):
    return fer_edge("export", "inspect", *arguments)


def test_int8_models_are_shown_as_integers_with_their_scales():
    done = inspect(DEFAULT_BUNDLE, "--json")
    assert done.returncode == 0, done.stderr
    found = {model["file"]: model for model in json.loads(done.stdout)}
    assert set(found) == {"model.int8.tflite", "model.int8.onnx"}
    for model in found.values():
        assert model["float_operators"] == {}
        assert model["per_channel"] >= 53
        assert all(tensor["scale"] > 0 for tensor in model["tensors"])
    assert found["model.int8.tflite"]["integer_operators"]["DEPTHWISE_CONV_2D"] == 17
    assert found["model.int8.onnx"]["integer_operators"]["QLinearConv"] == 52
    assert "0 float operators" in done.stderr
    assert "tensorflow" not in done.stderr.lower()


def test_float_models_show_where_float_is_computed(exported):
    from fer_edge_export.inspection import inspect_file

    found = inspect_file(exported.out / "model.fp32.tflite")
    assert found["float_operators"]["CONV_2D"] == 4
    assert found["float_islands"][0].startswith("CONV_2D (cnn4/block1_conv")
    assert inspect_file(exported.out / "model.fp32.onnx")["float_operators"]


@pytest.mark.parametrize(
    "name", ["model.int8.tflite", "model.int8.onnx", "model.fp32.tflite", "model.fp32.onnx", "model.fp16.tflite"]
)
def test_lone_file_names_its_labels_and_its_preprocessing(exported, name):
    from fer_edge_export.inspection import inspect_file

    about = inspect_file(exported.out / name)["about"]
    assert about["labels"] == "happy,neutral,sad"
    assert json.loads(about["preprocess"])["mean"] == 127.5
    assert "not feelings" in about["meaning"]


def test_int8_tflite_satisfies_the_compilers_of_accelerators(exported):
    """Edge TPU, Hailo and Qualcomm ask for: integers only, every stored shape fixed, int8 ends, one scale per tensor of activations."""
    from ai_edge_litert import schema_py_generated as schema

    from fer_edge_export.inspection import inspect_file

    path = exported.out / "model.int8.tflite"
    found = inspect_file(path)
    assert found["float_operators"] == {}
    assert set(found["integer_operators"]) <= {
        "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "CONCATENATION", "MEAN", "FULLY_CONNECTED",
        "SOFTMAX", "RESHAPE", "RELU",
    }  # fmt: skip
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    (graph,) = model.subgraphs
    assert [tensor.name for tensor in graph.tensors if tensor.shapeSignature is not None] == []
    assert all(side >= 1 for tensor in graph.tensors if tensor.shape is not None for side in tensor.shape)
    constant = [tensor for tensor in graph.tensors if model.buffers[tensor.buffer].data is not None]
    activations = [tensor for tensor in graph.tensors if tensor not in constant]
    assert {tensor.shape[0] for tensor in activations} == {1}
    assert {tensor.type for tensor in activations} == {schema.TensorType.INT8}
    for index in (*graph.inputs, *graph.outputs):
        assert graph.tensors[index].type == schema.TensorType.INT8
        assert len(graph.tensors[index].quantization.scale) == 1


@pytest.mark.parametrize(("make", "code", "said"), [
    (lambda folder: folder / "missing.tflite", 6, "There is no model at"),
    (lambda folder: folder, 6, "holds no .tflite or .onnx file"),
    (lambda folder: write(folder / "model.pb", b"x"), 6, "neither .tflite nor .onnx"),
    (lambda folder: write(folder / "model.tflite", b"x" * 100), 5, "is not a TFLite model"),
    (lambda folder: write(folder / "model.onnx", b"x" * 100), 5, "is not an ONNX model"),
])  # fmt: skip
def test_what_cannot_be_inspected_is_refused_with_one_sentence(tmp_path, make, code, said):
    done = inspect(make(tmp_path))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("target", "activations", "weights"), [
    ("x86-vnni", "uint8", "int8"), ("x86", "uint8", "uint8"), ("arm64", "int8", "int8"),
])  # fmt: skip
def test_onnx_has_the_dtypes_of_its_target_and_the_tflite_answers(exported, target, activations, weights):
    import numpy as np
    import onnx
    from onnx import TensorProto

    from fer_edge_export.onnx import check_onnx, convert_onnx, tensors_of
    from fer_edge_runtime.engines.onnx import OnnxEngine
    from fer_edge_runtime.preprocess import to_input

    bundle = exported_bundle(exported)
    tflite = bundle.artefact("tflite")
    content = convert_onnx(bundle.contents[tflite.path], target)
    ends = tensors_of(tflite.input, tflite.output, target)
    faces = np.concatenate([bundle.crops] * 2)
    samples = to_input(faces, bundle.manifest.preprocess, ends[0])
    assert samples.dtype == activations
    assert check_onnx(content, ends[1], samples, target)["operators"]["QLinearConv"] == 4
    kernels = [c for c in onnx.load_from_string(content).graph.initializer if len(c.dims) == 4]
    assert {TensorProto.DataType.Name(c.data_type).lower() for c in kernels} == {weights}
    theirs = OnnxEngine(content, name="x", output=ends[1]).run(samples)
    ours = bundle.open(tflite).run(to_input(faces, bundle.manifest.preprocess, tflite.input))
    assert np.abs(theirs - ours).mean() < 2.5 / 256


def exported_bundle(exported):
    from fer_edge_runtime.bundle import load_bundle

    return load_bundle(exported.out)


def field(table, slot):
    """The table or text that a flatbuffer's table refers to."""
    from flatbuffers.table import Table

    place = table.Pos + table.Offset(4 + 2 * slot)
    return Table(table.Bytes, table.Indirect(place))


def first_of(table, slot):
    from flatbuffers.table import Table

    return Table(table.Bytes, table.Indirect(table.Vector(table.Offset(4 + 2 * slot))))


def text(table, slot):
    return table.String(table.Pos + table.Offset(4 + 2 * slot)).decode()


def numbers(table, slot):
    from flatbuffers.number_types import Float32Flags

    return table.GetVectorAsNumpy(Float32Flags, table.Offset(4 + 2 * slot)).tolist()


def test_tflite_holds_the_standard_metadata_and_the_labels_behind_the_model(exported):
    """Slots of metadata_schema.fbs; MediaPipe's own generated reader was tried by hand."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers.number_types import UOffsetTFlags
    from flatbuffers.table import Table

    path = exported.out / "model.int8.tflite"
    model = schema.Model.GetRootAs(path.read_bytes())
    (data,) = [
        model.Buffers(model.Metadata(i).Buffer()).DataAsNumpy().tobytes()
        for i in range(model.MetadataLength())
        if model.Metadata(i).Name() == b"TFLITE_METADATA"
    ]
    assert data[4:8] == b"M001"
    root = Table(bytearray(data), Table(bytearray(data), 0).Get(UOffsetTFlags, 0))
    assert text(root, 0) == "run"
    graph = first_of(root, 3)
    faces, scores = first_of(graph, 2), first_of(graph, 3)
    assert (text(faces, 0), text(scores, 0)) == ("faces", "scores")
    assert "enlarged to 32" in text(faces, 1)
    normalization = field(first_of(faces, 4), 1)
    assert (numbers(normalization, 0), numbers(normalization, 1)) == ([127.5], [127.5])
    assert text(first_of(scores, 6), 0) == "labels.txt"
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt") == b"happy\nneutral\nsad\n"
