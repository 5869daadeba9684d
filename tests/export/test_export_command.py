"""`fer-edge export` as a user runs it: real processes."""

import json
import shutil
from functools import partial

import pytest
from command_line import fer_edge, interrupted, one_sentence
from disks import limit_files
from marks import CONVERSION

pytestmark = CONVERSION


def export(*arguments, **options):
    return fer_edge("export", *arguments, timeout=300, **options)


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
    # A network this small can be slower in int8 on some processors; that warning is true there, any other is not.
    warnings = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert all("times as fast as float" in line for line in warnings), warnings
    assert {path.name for path in bundle.iterdir()} == {
        "README.md", "golden.npz", "manifest.json", "model.int8.tflite", "parity.html", "parity.json",
    }  # fmt: skip
    again = export("--int8", "--no-onnx", run, "--out", bundle)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    shown = fer_edge("run", "--source", "demo", "--model", bundle, "--json", "--max-frames", 3, "-q", check=True)
    assert set(json.loads(shown.stdout.splitlines()[0])["faces"][0]["scores"]) == {"happy", "neutral", "sad"}


@pytest.mark.parametrize("limit", [20_000, 60_000, 300_000])
def test_full_disk_at_any_step_is_one_sentence_and_no_bundle(tiny_run, tmp_path, limit):
    run, _ = tiny_run
    bundle = tmp_path / "bundle"
    done = export("--int8", "--ptq", run, "--out", bundle, "--max-drop", 100, preexec_fn=partial(limit_files, limit))
    assert done.returncode == 8, done.stderr
    assert one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_training_is_one_sentence_and_goes_on_where_it_was(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    for expected in ("Quantization-aware epoch 2/1000", "epoch(s) found in"):
        arguments = ("export", "--int8", run, "--out", tmp_path / "bundle", "--qat-epochs", 1000)
        text = "".join(interrupted(*arguments, at=expected)[0])
        assert "fer-edge: interrupted; nothing was written" in text
        assert expected in text
        assert not (tmp_path / "bundle").exists()
        assert sorted(path.name for path in run.iterdir()) == sorted(
            {*(p.name for p in tiny_run[0].iterdir()), "qat.npz"}
        )
