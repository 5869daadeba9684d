"""A lone model file explains itself: names, labels and preprocessing inside TFLite and ONNX files.

TFLite: the standard ``TFLITE_METADATA`` with labels behind the model, and the entry ``fer_edge`` with all of it as JSON. ONNX: ``metadata_props``, one value a key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as schema

from fer_edge_export.tflite_metadata import ENTRY, classifier_metadata, with_labels
from fer_edge_runtime.manifest import Preprocess

KEY = "fer_edge"
INPUT, OUTPUT = "faces", "scores"
_IDENTIFIER = b"TFL3"


def model_facts(name: str, labels: Sequence[str], spec: Preprocess) -> dict[str, str]:
    """What a model file says about itself; every value is text.

    Args:
        name: of the bundle.
        labels: class names in the order of the scores.
        spec: preprocessing; ``framing`` is the bundle's business.
    """
    preparing = {key: value for key, value in spec._asdict().items() if key != "framing"}
    return {
        "name": name, "labels": ",".join(labels), "preprocess": json.dumps(preparing),
        "input": f"{spec.color} face, {spec.face_size} pixels, enlarged to {spec.input_size}: (pixel - {spec.mean:g}) / {spec.std:g}",
        "meaning": "Scores of apparent expressions, not feelings.", "made_by": "fer-edge",
    }  # fmt: skip


def describe_tflite(content: bytes, facts: dict[str, str]) -> bytes:
    """The model with its facts inside, its ends named ``faces`` and ``scores``, and every stored shape fixed at one face.

    A fixed shape is what the compilers of accelerators ask for; LiteRT resizes the batch all the same.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    graph.tensors[graph.inputs[0]].name, graph.tensors[graph.outputs[0]].name = INPUT, OUTPUT
    for signature in model.signatureDefs or ():
        signature.inputs[0].name, signature.outputs[0].name = INPUT, OUTPUT
    model.description = f"{facts['name']}: {facts['meaning']}"
    spec = Preprocess(**json.loads(facts["preprocess"]), framing={})
    standard = classifier_metadata(facts["name"], facts["meaning"], (INPUT, OUTPUT), facts["input"], spec)
    for name, data in ((KEY, json.dumps(facts).encode()), (ENTRY, standard)):
        buffer = schema.BufferT()
        buffer.data = list(data)
        model.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers) - 1
        model.metadata = [*(model.metadata or ()), entry]
    return with_labels(_packed(model, len(content)), facts["labels"].split(","))


def with_open_batch(content: bytes) -> bytes:
    """The model for another converter, which then takes no shape for that of one face: the batch of every activation is unknown."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        constant = model.buffers[tensor.buffer].data is not None
        tensor.shapeSignature = None if constant or len(tensor.shape) < 2 else [-1, *tensor.shape[1:]]
    return _packed(model, len(content))


def _packed(model: Any, size: int) -> bytes:
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def facts_of_tflite(content: bytes) -> dict[str, str]:
    """What `describe_tflite` put in; empty where nothing is."""
    model = schema.Model.GetRootAs(content)
    for position in range(model.MetadataLength()):
        entry = model.Metadata(position)
        if entry.Name().decode() == KEY:
            return dict(json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()))
    return {}


def describe_onnx(content: bytes, facts: dict[str, str]) -> bytes:
    """The model with its facts inside."""
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, facts)
    model.doc_string = f"{facts['name']}: {facts['meaning']}"
    return bytes(model.SerializeToString(deterministic=True))


def facts_of_onnx(model: Any) -> dict[str, str]:
    """What `describe_onnx` put in."""
    return {entry.key: entry.value for entry in model.metadata_props}
