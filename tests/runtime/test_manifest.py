"""Manifest schema v1 is parsed strictly."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import MAX_MANIFEST_BYTES, parse_manifest

TENSOR_IN = {"name": "x", "shape": [96, 96, 3], "dtype": "int8", "layout": "HWC", "scale": 0.0078, "zero_point": 0}
TENSOR_OUT = {"name": "y", "shape": [2], "dtype": "int8", "layout": "C", "scale": 0.00390625, "zero_point": -128}
GOOD = {
    "schema": 1, "name": "tiny", "version": "1", "task": "custom", "labels": ["a", "b"],
    "artefacts": [{
        "path": "model.int8.tflite", "format": "tflite", "precision": "int8", "size_bytes": 10, "sha256": "0" * 64,
        "input": TENSOR_IN, "output": TENSOR_OUT,
    }],
    "golden": {"path": "golden.npz", "size_bytes": 10, "sha256": "1" * 64, "tolerance": 0.05},
    "preprocess": {
        "color": "grey", "face_size": 48, "input_size": 96, "channels": 3, "enlarge": "linear", "align": "eyes",
        "mean": 127.5, "std": 127.5, "framing": {"full": {"scale": 1.2, "offset_x": 0.0, "offset_y": -0.1}},
    },
    "uncertain_below": 0.4, "files": [], "metrics": [], "provenance": {}, "tools": {}, "created": "2026-11-22",
}  # fmt: skip


def changed(path, value):
    """GOOD with the value at a dotted path replaced (or removed, for ``...``)."""
    record = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    target = record
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return json.dumps(record)


def test_good_manifest_survives_a_round_trip():
    manifest = parse_manifest(json.dumps(GOOD))
    assert manifest.labels == ("a", "b")
    assert manifest.artefacts[0].input.shape == (96, 96, 3)
    assert parse_manifest(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", 2, "schema 2 is not known"),
        ("schema", ..., "'schema' is missing"),
        ("labels", ["a"], "at least two different names"),
        ("labels", ["a", "a"], "at least two different names"),
        ("labels", "ab", "list of strings"),
        ("labels", ["a", "b", "c"], "there are 3 labels"),
        ("artefacts", [], "'artefacts' is empty"),
        ("artefacts.0.path", "../model.tflite", "plain file name"),
        ("artefacts.0.path", "/etc/model.tflite", "plain file name"),
        ("artefacts.0.path", "a\\model.tflite", "plain file name"),
        ("artefacts.0.path", "a/model.tflite", "plain file name"),
        ("artefacts.0.path", ".model.tflite", "plain file name"),
        ("artefacts.0.path", "model.pkl", "ending in .tflite"),
        ("artefacts.0.path", "mod\u0000el.tflite", "plain file name"),
        ("artefacts.0.format", "torch", "tflite or onnx"),
        ("artefacts.0.precision", "int4", "int8 or float16 or float32"),
        ("artefacts.0.size_bytes", 0, "an integer from 1"),
        ("artefacts.0.size_bytes", 10**12, "an integer from 1"),
        ("artefacts.0.sha256", "xyz", "64 lower-case hexadecimal digits"),
        ("artefacts.0.input.shape", [96, 96], "3 integers"),
        ("artefacts.0.input.shape", [32, 32, 3], "'preprocess' makes (96, 96, 3)"),
        ("artefacts.0.input.scale", 0, "a number from 1e-09"),
        ("artefacts.0.input.scale", True, "a number"),
        ("artefacts.0.input.zero_point", 300, "an integer from -128 to 127"),
        ("artefacts.0.input.dtype", "int16", "int8 or uint8 or float32"),
        ("golden.path", "golden.pkl", "ending in .npz"),
        ("golden.tolerance", 0.9, "a number from 0.0 to 0.5"),
        ("preprocess.framing.full.scale", 0, "a number from 0.1"),
        ("preprocess.color", "bgr", "grey or rgb"),
        ("preprocess.std", 0, "a number from 0.001"),
        ("uncertain_below", float("nan"), "a number from 0.0 to 1.0"),
        ("temperature", 0, "a number from 0.1 to 10.0"),
        (
            "files",
            [{"path": "model.int8.tflite", "size_bytes": 1, "sha256": "0" * 64}],
            "two entries name the same file",
        ),
        (
            "files",
            [{"path": "MODEL.INT8.TFLITE", "size_bytes": 1, "sha256": "0" * 64}],
            "two entries name the same file",
        ),
        ("files", [{"path": "manifest.json", "size_bytes": 1, "sha256": "0" * 64}], "plain file name"),
    ],
)
def test_bad_value_is_refused_with_its_key(path, value, said):
    with pytest.raises(BundleError) as refusal:
        parse_manifest(changed(path, value))
    assert said in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, " " * (MAX_MANIFEST_BYTES + 1), b"\xff\xfe"])
def test_other_text_is_refused(text):
    with pytest.raises(BundleError):
        parse_manifest(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def leaves(value, path=""):
    """Dotted paths of every value in the manifest."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield f"{path}{key}"
        yield from leaves(inner, f"{path}{key}.")


@given(path=st.sampled_from(sorted(set(leaves(GOOD)) - {"artefacts.0", "labels.0", "labels.1"})), value=json_values)
@settings(max_examples=300, deadline=None)
def test_any_replacement_is_accepted_whole_or_refused_as_a_bundle_error(path, value):
    if path.split(".")[-1].isdigit():
        return
    try:
        manifest = parse_manifest(changed_at(path, value))
    except BundleError:
        return
    assert parse_manifest(manifest.to_json()) == manifest


def changed_at(path, value):
    record = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    target = record
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target[key]
    if isinstance(target, list):
        target[int(last)] = value
    else:
        target[last] = value
    return json.dumps(record)
