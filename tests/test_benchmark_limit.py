"""How much of the core's int8 rate a model reaches: the counts are exact, the times only have to make sense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import fer_edge
from places import ROOT

DEFAULT = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"


def limit(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return fer_edge("benchmark", "limit", *arguments, env=os.environ | environment)


def test_every_layer_is_counted_and_timed() -> None:
    done = limit("--rounds", 20, "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    groups = found["groups"]
    # MobileNetV2 at 96 grey pixels: counted by hand from its TFLite twin.
    assert found["mmacs"] == pytest.approx(49.877 + 3.805 + 0.009, abs=0.01)
    assert groups["depthwise 3×3"]["count"] == 17
    assert groups["depthwise 3×3"]["mmacs"] == pytest.approx(3.805, abs=0.001)
    assert groups["convolution 1×1"]["count"] == 34
    assert groups["convolution 3×3"]["count"] == 1
    assert groups["dense"]["mmacs"] == pytest.approx(0.009, abs=0.001)
    assert all(group["us"] > 0 for group in groups.values())
    assert found["peak_gmacs"] > 0
    assert 0 < found["share"] <= 1.2
    assert "of the peak" in done.stderr
    assert isinstance(found["valid"], bool)
    assert {"load_1min", "temperature_c", "throttled"} <= set(found["machine"]["before"])
    assert {"throttling_known_from", "after", "versions"} <= set(found["machine"])


def test_bundle_without_onnx_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(DEFAULT, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artefacts"] = [entry for entry in manifest["artefacts"] if entry["format"] == "tflite"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "model.int8.onnx").unlink()

    done = limit(bundle)

    assert done.returncode == 2
    assert "holds no onnx model" in done.stderr
