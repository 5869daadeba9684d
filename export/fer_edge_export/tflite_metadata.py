"""TFLite's own metadata: what Netron, Android Studio and MediaPipe show and read of a model file.

A flatbuffer of ``metadata_schema.fbs`` (ai.google.dev/edge/litert/conversion/tensorflow/metadata) and, behind the model, a zip
with the labels. No maintained package writes it on current Pythons, so the few tables that an image classifier needs are
written here, with the slots of that schema.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers

from fer_edge_runtime.manifest import Preprocess

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
_TENSOR_AXIS_LABELS = 2
_RGB, _GREYSCALE = 1, 2
_FEATURES, _IMAGE = 1, 2  # kinds of content
_NORMALIZATION = 1  # kind of process unit
_EPOCH = (1980, 1, 1, 0, 0, 0)


def classifier_metadata(name: str, meaning: str, ends: tuple[str, str], about_input: str, spec: Preprocess) -> bytes:
    """The flatbuffer.

    Args:
        name: of the model.
        meaning: of its scores.
        ends: names of input and output.
        about_input: how a face becomes the input, in words.
        spec: the same in numbers.
    """
    b = flatbuffers.Builder(1024)
    size = _table(b, {0: _uint(spec.input_size), 1: _uint(spec.input_size)})
    image = _table(b, {0: _byte(_GREYSCALE if spec.color == "grey" else _RGB), 1: size})
    normalization = _table(b, {0: _floats(b, [spec.mean]), 1: _floats(b, [spec.std])})
    source = _table(b, {
        0: _text(b, ends[0]), 1: _text(b, about_input), 3: _table(b, {0: _byte(_IMAGE), 1: image}),
        4: _tables(b, [_table(b, {0: _byte(_NORMALIZATION), 1: normalization})]),
    })  # fmt: skip
    labels = _table(b, {0: _text(b, LABELS), 1: _text(b, "One label a line."), 2: _byte(_TENSOR_AXIS_LABELS)})
    scores = _table(b, {
        0: _text(b, ends[1]), 1: _text(b, meaning), 3: _table(b, {0: _byte(_FEATURES), 1: _table(b, {})}),
        6: _tables(b, [labels]),
    })  # fmt: skip
    graph = _table(b, {2: _tables(b, [source]), 3: _tables(b, [scores])})
    model = _table(b, {0: _text(b, name), 1: _text(b, meaning), 3: _tables(b, [graph]), 7: _text(b, _PARSER)})
    b.Finish(model[1], _IDENTIFIER)
    return bytes(b.Output())


def with_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """The model with the labels' file behind it; readers of flatbuffers do not look there."""
    whole = io.BytesIO(model)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), "\n".join(labels) + "\n")
    return whole.getvalue()


_Slot = tuple[str, Any]


def _byte(value: int) -> _Slot:
    return "byte", value


def _uint(value: int) -> _Slot:
    return "uint", value


def _text(builder: Any, text: str) -> _Slot:
    return "offset", builder.CreateString(text)


def _floats(builder: Any, values: Sequence[float]) -> _Slot:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return "offset", builder.EndVector()


def _tables(builder: Any, tables: Sequence[_Slot]) -> _Slot:
    builder.StartVector(4, len(tables), 4)
    for _, offset in reversed(tables):
        builder.PrependUOffsetTRelative(offset)
    return "offset", builder.EndVector()


def _table(builder: Any, slots: dict[int, _Slot]) -> _Slot:
    """A table; everything it refers to is written before."""
    builder.StartObject(1 + max(slots, default=-1))
    for slot, (kind, value) in slots.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        elif kind == "uint":
            builder.PrependUint32Slot(slot, value, 0)
        else:
            builder.PrependInt8Slot(slot, value, 0)
    return "offset", builder.EndObject()
