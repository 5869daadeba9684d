"""A forger's models, each in a process with little memory: refused in words, no crash."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import DEFAULT_BUNDLE

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import parse_manifest

PROGRAM = Path(__file__).with_name("hostile_models.py")


@pytest.mark.train
@pytest.mark.parametrize(("kind", "models"), [("onnx", 17), ("tflite", 42)])
def test_model_that_is_none_of_ours_is_refused_without_a_crash(kind, models, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("flatbuffers")
    done = subprocess.run(
        [sys.executable, PROGRAM, kind], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    outcomes = dict(map(json.loads, done.stdout.splitlines()))
    assert done.returncode == 0, (list(outcomes)[-1:], done.stderr)
    assert {name: found for name, found in outcomes.items() if not found.startswith("BundleError: ")} == {}
    assert len(outcomes) == models


@pytest.mark.train
@pytest.mark.parametrize("length", [b"\x08", b"\x88\x00", b"\x88\x80\x80\x00"])
def test_onnx_weights_in_a_file_of_the_working_directory_are_not_read(length, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DEFAULT_BUNDLE / "model.int8.onnx")
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    (tmp_path / "weights").write_bytes(tensor.raw_data)
    monkeypatch.chdir(tmp_path)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    content = model.SerializeToString().replace(b"\x08location", length + b"location")
    artefact = next(
        a for a in parse_manifest((DEFAULT_BUNDLE / "manifest.json").read_bytes()).artefacts if a.format == "onnx"
    )
    with pytest.raises(BundleError, match="weights outside itself"):
        open_engine(artefact, content)


def test_engine_that_answers_in_another_shape_is_refused():
    class Odd:
        def run(self, batch):
            return np.full((len(batch), 1), 1 / 7, np.float32)

    bundle = load_bundle("default")
    with pytest.raises(BundleError, match=r"answers with shape \(1, 1\); one face has \(1, 7\)"):
        bundle._replay(bundle.artefact("tflite"), Odd())
