"""`fer-edge export` as a user runs it: real processes."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from marks import CONVERSION
from places import hear_interrupts

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
    assert "Warning" not in done.stderr
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


@pytest.mark.parametrize("limit", [20_000, 60_000, 300_000])
def test_full_disk_at_any_step_is_one_sentence_and_no_bundle(tiny_run, tmp_path, limit):
    """As `small_disk` of the training tests does it: each file may hold so many bytes."""
    run, _ = tiny_run
    bundle = tmp_path / "bundle"
    done = subprocess.run(
        [FER_EDGE, "export", "--int8", "--ptq", run, "--out", bundle, "--max-drop", "100"], capture_output=True, text=True,
        timeout=300, check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 8, done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("fer-edge: ")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_interrupted_training_is_one_sentence_and_goes_on_where_it_was(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    for expected in ("Quantization-aware epoch 2/1000", "epoch(s) found in"):
        said = []
        with subprocess.Popen(
            [FER_EDGE, "export", "--int8", run, "--out", tmp_path / "bundle", "--qat-epochs", "1000"],
            stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts,
        ) as process:  # fmt: skip
            for line in process.stderr:
                if expected in line and line not in said:  # a line whose writing is interrupted comes twice
                    process.send_signal(signal.SIGINT)
                said.append(line)
        assert process.returncode == 130
        text = "".join(said)
        assert "Traceback" not in text
        assert "fer-edge: interrupted; nothing was written" in text
        assert expected in text
        assert not (tmp_path / "bundle").exists()
        assert sorted(path.name for path in run.iterdir()) == sorted(
            {*(p.name for p in tiny_run[0].iterdir()), "qat.npz"}
        )
