"""`scripts/pi-emulated`: what it refuses, and, where its Debian was made before, that int8 answers of an emulated Pi 4 are this machine's."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT

SCRIPT = ROOT / "scripts" / "pi-emulated"
CACHE = ROOT / ".cache" / "pi-emulated"
GOOD = {
    "doctor": {
        "checks": [
            {"id": "python", "status": "PASS", "found": "3.11.2", "values": {"version": "3.11.2"}},
            {"id": "cpu", "status": "PASS", "found": "Cortex-A76", "values": {"int8": "dotprod"}},
            {"id": "golden:model.int8.tflite", "status": "PASS", "found": "on cpu (XNNPACK, 1 thread)", "values": {}},
        ]
    },
    "verify": {"ok": True, "bundles": [{"model": "default", "checks": [{"check": "files", "status": "ok"}]}]},
}


def script(*arguments):
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=3600, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "jessie"], "--suite jessie is not known: bookworm or trixie"),
        (["--cpu", "max"], "--cpu max is not known"),
        (["--frames", "many"], "--frames many is no number of frames"),
        (["--now"], "--now is not known"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_installed(arguments, words):
    done = script(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_help_says_what_it_does_and_its_exit_codes():
    done = script("--help")
    assert done.returncode == 0
    assert "Exit code 0: all equal and well" in done.stderr


def answers(folder, *, label="happy", format="tflite", logit=7, score=7):
    """A folder as the script leaves one; ``logit`` and ``score`` are the last byte of a model's last answer."""
    folder.mkdir()
    name, arrays = f"default/model.int8.{format}", {}
    for kind, last in (("logits", logit), ("scores", score)):
        outputs = np.arange(56, dtype=np.int8).reshape(8, 7)
        arrays |= {f"{name}:{part}:{kind}": outputs for part in ("golden", "clip")}
        arrays[f"{name}:noise:{kind}"] = np.concatenate([outputs[:-1], [[*outputs[-1, :-1], last]]]).astype(np.int8)
    np.savez(folder / "raw.npz", **arrays, **{f"{name}:inputs": outputs})
    for name, content in GOOD.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    face = {"box": [1.0, 2.0, 30.0, 40.0], "label": label, "score": 0.75}
    (folder / "run.jsonl").write_text("".join(json.dumps({"frame": i, "faces": [face]}) + "\n" for i in range(3)))
    (folder / "instructions.1").write_text("instructions 1000\n")
    (folder / "instructions.16").write_text("instructions 4000\n")
    return folder


@pytest.fixture
def compare(tmp_path):
    """Run the comparison of two such folders with a QEMU that only says its version, and read its record."""
    program = tmp_path / "bin" / "qemu-aarch64-static"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho qemu-aarch64 version 0\n")
    program.chmod(0o755)

    def run(*folders):
        done = subprocess.run(
            [sys.executable, ROOT / "benchmarks" / "pi_emulated.py", *folders], capture_output=True, text=True, timeout=120,
            check=False, env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        return done, json.loads((tmp_path / "pi_emulated.json").read_text())

    return run


def test_equal_answers_pass_and_are_counted(compare, tmp_path):
    done, record = compare(answers(tmp_path / "here"), answers(tmp_path / "bookworm-cortex-a76"))
    assert done.returncode == 0, done.stdout + done.stderr
    (system,) = record["systems"]
    assert (record["litert_logits_equal"], record["passed"]) == (True, True)
    assert system["bytes_compared"] == {"logits": 168, "scores": 168}
    assert (system["instructions_per_frame"], system["python"]) == (200, "3.11.2")
    assert system["run"] == {"frames": 3, "same_labels": 3, "box_px": 0.0, "score": 0.0}


def test_one_byte_of_litert_s_logits_fails(compare, tmp_path):
    done, record = compare(answers(tmp_path / "here"), answers(tmp_path / "bookworm-cortex-a76", logit=8))
    assert done.returncode == 1
    assert (record["litert_logits_equal"], record["passed"]) == (False, False)
    assert "WRONG: default/model.int8.tflite: 1 bytes of the logits differ" in done.stdout


def test_a_step_of_float_parts_is_counted_and_passes_but_many_steps_fail(compare, tmp_path):
    here = answers(tmp_path / "here", format="onnx")
    done, record = compare(here, answers(tmp_path / "bookworm-cortex-a76", format="onnx", logit=8, score=8))
    assert done.returncode == 1
    model = record["systems"][0]["models"]["default/model.int8.onnx"]
    assert (model["logits"]["differing_bytes"], model["scores"]["largest_difference"]) == (1, 1)
    assert record["systems"][0]["wrong"] == ["no LiteRT model was compared"]
    done, record = compare(here, answers(tmp_path / "trixie-cortex-a76", format="onnx", score=47))
    assert "scores differ by 0.156, more than the golden vectors may" in done.stdout


def test_another_label_fails_although_int8_is_equal(compare, tmp_path):
    done, record = compare(answers(tmp_path / "here"), answers(tmp_path / "bookworm-cortex-a76", label="sad"))
    assert done.returncode == 1
    assert (record["litert_logits_equal"], record["passed"]) == (True, False)
    assert "0 of 3 frames have the same labels" in done.stdout


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("raw.npz", "the models could not be run"),
        ("doctor.json", "doctor did not answer"),
        ("verify.json", "models verify"),
        ("run.jsonl", "0 of 3 frames have the same labels"),
    ],
)
def test_a_command_that_left_nothing_fails(compare, tmp_path, file, words):
    emulated = answers(tmp_path / "bookworm-cortex-a76")
    (emulated / file).unlink()
    done, record = compare(answers(tmp_path / "here"), emulated)
    assert done.returncode == 1
    assert words in done.stdout
    assert not record["passed"]


def test_models_without_xnnpack_and_a_mistaken_processor_fail(compare, tmp_path):
    emulated = answers(tmp_path / "bookworm-cortex-a72")
    (emulated / "doctor.json").write_text(json.dumps(GOOD["doctor"]).replace("XNNPACK", "built-in kernels"))
    done, _ = compare(answers(tmp_path / "here"), emulated)
    assert done.returncode == 1
    assert "does not run through XNNPACK" in done.stdout
    assert "takes the processor for another" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not os.environ.get("FER_EDGE_TEST_PI"),
    reason="minutes of emulation: set FER_EDGE_TEST_PI=1 (./scripts/pi-emulated --prepare makes the Debian it needs)",
)
def test_emulated_pi_4_answers_as_this_machine_does():
    done = script("--suite", "bookworm", "--cpu", "cortex-a72", "--frames", "4", "--no-count")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((CACHE / "results" / "pi_emulated.json").read_text())
    assert record["litert_logits_equal"]
    assert record["systems"][0]["bytes_compared"]["logits"] > 1000
