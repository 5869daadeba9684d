"""`fer-edge export` as a user runs it: real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from marks import CONVERSION

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
pytestmark = CONVERSION


def export(*arguments):
    command = [FER_EDGE, "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Say --int8"),
        (["--int8"], 6, "is not a run folder"),
        (["--int8", "--calibration-faces", "0"], 2, "calibration_faces"),
    ],
)
def test_wrong_use_gives_one_sentence_and_its_exit_code(tmp_path, arguments, code, said):
    done = export(tmp_path / "run", "--out", tmp_path / "bundle", *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_run_folder_becomes_a_bundle_that_the_command_line_runs(tiny_run, tmp_path):
    run, _ = tiny_run
    bundle = tmp_path / "bundle"
    done = export("--int8", "--ptq", "--no-onnx", run, "--out", bundle, "--max-drop", "100")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert {path.name for path in bundle.iterdir()} == {
        "README.md", "golden.npz", "manifest.json", "model.int8.tflite", "parity.html", "parity.json",
    }  # fmt: skip
    again = export("--int8", "--no-onnx", run, "--out", bundle)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    shown = subprocess.run(
        [FER_EDGE, "run", "--source", "demo", "--model", bundle, "--json", "--max-frames", "3", "-q"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert set(json.loads(shown.stdout.splitlines()[0])["faces"][0]["scores"]) == {"happy", "neutral", "sad"}
