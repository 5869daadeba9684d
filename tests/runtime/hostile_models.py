"""Models that a forger could put into a bundle that vouches for them. Run as a program it opens each, in little memory, and says what happens."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.errors import FerEdgeError
from fer_edge_runtime.manifest import Artefact
from fer_edge_runtime.shipped import ASSETS

MEMORY_BYTES = 2 * 2**30
SHIPPED = ASSETS / "default"


def onnx_models() -> Iterator[tuple[str, bytes]]:
    """Name and bytes; each differs from the shipped one in what its name says."""
    original = (SHIPPED / "model.int8.onnx").read_bytes()

    def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
        model = onnx.load_from_string(original)
        change(model)
        return model.SerializeToString()

    def external(model: onnx.ModelProto, location: str) -> None:
        tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    def last(model: onnx.ModelProto, operator: str, inputs: list[str], **attributes: object) -> None:
        """Another node makes the output."""
        name = model.graph.output[0].name
        next(node for node in model.graph.node if name in node.output).output[0] = "before"
        model.graph.node.append(helper.make_node(operator, inputs, [name], **attributes))

    def huge(model: onnx.ModelProto, bytes_each: int) -> None:
        tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        tensor.dims[:] = [2**20, bytes_each >> 20]

    def cyclic(model: onnx.ModelProto) -> None:
        first, second = model.graph.node[0], model.graph.node[3]
        first.input[0] = second.output[0]

    def big_constant(model: onnx.ModelProto, size: int) -> None:
        model.graph.initializer.append(helper.make_tensor("size", TensorProto.INT64, [1], [size]))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["zeros"]))
        model.graph.node.append(helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0))
        model.graph.node.append(
            helper.make_node("Cast", ["sum"], ["cast"], to=model.graph.output[0].type.tensor_type.elem_type)
        )
        last(model, "Add", ["before", "cast"])

    for place in ("/etc/passwd", "../../etc/passwd", "weights.bin", "*/_ORT_MEM_ADDR_/*"):
        yield f"weights are in {place}", changed(lambda model, place=place: external(model, place))
    yield "operators of version 999", changed(lambda model: setattr(model.opset_import[0], "version", 999))
    yield "file format of version 99", changed(lambda model: setattr(model, "ir_version", 99))
    yield "an operator that nobody knows", changed(lambda model: last(model, "Launch", ["before"]))
    yield "an operator of another domain", changed(lambda model: last(model, "Launch", ["before"], domain="evil"))
    yield "weights of a terabyte that are not there", changed(lambda model: huge(model, 2**40))
    yield "weights whose size overflows", changed(lambda model: huge(model, 2**62))
    yield "a circle", changed(cyclic)
    yield "a constant of a terabyte", changed(lambda model: big_constant(model, 2**38))
    yield "another number of classes", changed(lambda model: last(model, "Concat", ["before", "before"], axis=1))
    yield "no nodes", changed(lambda model: model.graph.ClearField("node"))
    yield "no input", changed(lambda model: model.graph.ClearField("input"))
    yield "two outputs", changed(lambda model: model.graph.output.append(model.graph.output[0]))
    yield "half of it", original[: len(original) // 2]


def tflite_models() -> Iterator[tuple[str, bytes]]:
    """Name and bytes; each differs from the shipped one in what its name says."""
    original = (SHIPPED / "model.int8.tflite").read_bytes()

    def changed(change: Callable[[schema.ModelT, schema.SubGraphT], object]) -> bytes:
        model = schema.ModelT.InitFromPackedBuf(original, 0)
        change(model, model.subgraphs[0])
        builder = flatbuffers.Builder(len(original))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def tensor(graph: schema.SubGraphT, role: str) -> schema.TensorT:
        return graph.tensors[int((graph.inputs if role == "in" else graph.outputs)[0])]

    def shape(graph: schema.SubGraphT, role: str, sides: list[int]) -> None:
        tensor(graph, role).shape = np.array(sides, np.int32)
        tensor(graph, role).shapeSignature = None

    def rewire(graph: schema.SubGraphT, operator: int, number: int) -> None:
        inputs = graph.operators[operator].inputs.copy()
        inputs[0] = number
        graph.operators[operator].inputs = inputs

    def weights(model: schema.ModelT, graph: schema.SubGraphT) -> schema.TensorT:
        return max(
            graph.tensors,
            key=lambda each: 0 if model.buffers[each.buffer].data is None else len(model.buffers[each.buffer].data),
        )

    for role in ("in", "out"):
        for sides in ([], [0], [1], [-1, -1], [1, 96, 96], [1, 2**30, 2**30, 4], [2**31 - 1] * 4, [1] * 40):
            yield (
                f"{role}put of shape {sides}",
                changed(lambda _, graph, role=role, sides=sides: shape(graph, role, sides)),
            )
        for kind in ("FLOAT32", "INT64", "STRING", "RESOURCE", "BOOL"):
            yield (
                f"{role}put of {kind}",
                changed(
                    lambda _, graph, role=role, kind=kind: setattr(
                        tensor(graph, role), "type", getattr(schema.TensorType, kind)
                    )
                ),
            )
    yield "no inputs", changed(lambda _, graph: setattr(graph, "inputs", np.array([], np.int32)))
    yield "two outputs", changed(lambda _, graph: setattr(graph, "outputs", np.repeat(graph.outputs, 2)))
    yield (
        "an output that is no tensor",
        changed(lambda _, graph: setattr(graph, "outputs", np.array([10**6], np.int32))),
    )
    yield (
        "an output that is a weight",
        changed(
            lambda model, graph: setattr(
                graph, "outputs", np.array([graph.tensors.index(weights(model, graph))], np.int32)
            )
        ),
    )
    yield (
        "weights that are cut off",
        changed(
            lambda model, graph: setattr(model.buffers[weights(model, graph).buffer], "data", np.zeros(8, np.uint8))
        ),
    )
    yield "weights that are not there", changed(lambda model, graph: setattr(weights(model, graph), "buffer", 10**6))
    yield (
        "weights of another shape",
        changed(lambda model, graph: setattr(weights(model, graph), "shape", np.array([2**15] * 4, np.int32))),
    )
    yield (
        "an operator's input that is no tensor",
        changed(lambda _, graph: rewire(graph, 3, 10**6)),
    )
    yield "an operator's input that is negative", changed(lambda _, graph: rewire(graph, 3, -7))
    yield (
        "an operator that nobody knows",
        changed(
            lambda model, _: model.operatorCodes.__setitem__(model.subgraphs[0].operators[0].opcodeIndex, _custom())
        ),
    )
    yield (
        "an operator code that is not there",
        changed(lambda _, graph: setattr(graph.operators[2], "opcodeIndex", 10**6)),
    )
    yield (
        "a circle",
        changed(lambda _, graph: rewire(graph, 0, int(graph.operators[3].outputs[0]))),
    )
    yield "no graph", changed(lambda model, _: model.subgraphs.clear())
    yield "no operators", changed(lambda _, graph: graph.operators.clear())
    yield "half of it", original[: len(original) // 2]
    yield "version 99", changed(lambda model, _: setattr(model, "version", 99))


def _custom() -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Launch"
    return code


def tried(bundle: Bundle, artefact: Artefact, content: bytes) -> str:
    """What opening it comes to, golden vectors included."""
    try:
        bundle._replace(contents={artefact.path: content}).open(artefact)
    except FerEdgeError as error:
        return f"{type(error).__name__}: {error}"
    return "runs"


def _say(name: str, outcome: str) -> None:
    sys.stdout.write(json.dumps([name, outcome]) + "\n")
    sys.stdout.flush()


def main() -> None:
    """One JSON line before each model, with its name, and one after it, with what it came to."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    models = {"onnx": onnx_models, "tflite": tflite_models}[sys.argv[1]]
    bundle = load_bundle("default")
    artefact = bundle.artefact(sys.argv[1])
    for name, content in models():
        _say(name, "")
        try:
            outcome = tried(bundle, artefact, content)
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        _say(name, outcome)


if __name__ == "__main__":
    main()
