"""`fer-edge doctor` says what this machine has."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import fer_edge
from places import DEFAULT_BUNDLE


def doctor(*arguments):
    return fer_edge("doctor", *arguments)


def test_healthy_machine_passes_and_says_it_in_json():
    done = doctor("--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    checks = {check["id"]: check for check in report["checks"]}
    assert report["ok"] is True
    assert {
        "python",
        "os",
        "architecture",
        "cpu",
        "throttling",
        "temperature",
        "governor",
        "memory",
        "disk",
        "numpy",
        "ai-edge-litert",
        "onnxruntime",
        "opencv",
        "cameras",
        "bundle",
        "gpu",
        "speed",
    } <= set(checks)
    assert checks["speed"]["values"]["frames"] >= 1
    assert checks["speed"]["values"]["frames_per_s"] > checks["speed"]["values"]["frames_per_s_4_faces_estimate"] > 0
    memory = checks["memory"]["values"]
    assert memory["measured"]
    assert 30 < memory["need_mib"] < 400
    assert checks["golden:model.int8.tflite"]["status"] == "PASS"
    assert checks["golden:model.int8.onnx"]["status"] == "PASS"
    assert all(check["status"] in ("PASS", "WARN", "FAIL") for check in report["checks"])
    assert all(check["remedy"] for check in report["checks"] if check["status"] != "PASS")


def test_words_go_to_stderr_with_one_line_a_check():
    done = doctor("--no-measure")
    assert done.stdout == ""
    assert "PASS  bundle" in done.stderr
    assert "frames/s" not in done.stderr
    assert "not measured" in done.stderr


def test_broken_bundle_fails_with_a_remedy(tmp_path):
    copy = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    (copy / "golden.npz").write_bytes(b"broken")
    done = doctor("--model", str(copy), "--json")
    assert done.returncode == 1
    bundle = next(check for check in json.loads(done.stdout)["checks"] if check["id"] == "bundle")
    assert bundle["status"] == "FAIL"
    assert "golden.npz" in bundle["found"]
    speed = next(check for check in json.loads(done.stdout)["checks"] if check["id"] == "speed")
    assert speed["status"] == "WARN"


def test_bundle_without_the_signature_that_is_required_fails_with_a_remedy(tmp_path, monkeypatch):
    fer_edge("models", "keygen", "--out", tmp_path / "own", check=True)
    monkeypatch.setenv("FER_EDGE_REQUIRE_SIGNATURE", str(tmp_path / "own.pub"))
    done = doctor("--no-measure", "--json")
    assert done.returncode == 1
    checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["signature"]["status"] == "FAIL"
    assert "models sign" in checks["signature"]["remedy"]
    assert all(check["remedy"] for check in checks.values() if check["status"] != "PASS")


@pytest.mark.slow
def test_gpu_is_tried_and_told_to_be_software(software_vulkan):
    gpu = next(check for check in json.loads(doctor("--json").stdout)["checks"] if check["id"] == "gpu")
    assert "SwiftShader Device (Subzero) (software, not a real GPU), driver SwiftShader driver" in gpu["found"]
    assert "--device auto chooses CPU" in gpu["found"]
