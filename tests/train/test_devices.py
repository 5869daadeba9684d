"""JAX's devices, in a process of their own: a step is one compiled program, and two simulated CPUs share every batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.train, pytest.mark.slow]

PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
import numpy as np
from drawn import TINY, drawn_dataset
from fer_edge_train.labels import take
from fer_edge_train.trainer import Listener, train
said = []
config = replace(TINY, batch_size=int(sys.argv[3]), finetune=replace(TINY.finetune, epochs=int(sys.argv[4])), ema=float(sys.argv[5]))
faces = drawn_dataset(training=14, selection=4, test=4)
faces = take(faces, np.flatnonzero(np.arange(len(faces.labels)) != len(faces.labels) - 1))  # 27 faces: two devices cannot halve them
metrics = train(config, faces, Path(sys.argv[2]), listener=Listener(say=said.append))
print(json.dumps({"said": said, "history": metrics["history"], "n": metrics["PrivateTest"]["n"]}))
"""


def train_on(
    devices: int, out: Path, *, batch: int = 32, epochs: int = 1, ema: float = 0.0
) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("jax", reason="jax is not installed")
    environment = os.environ | {
        "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_LOG_COMPILES": "1", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(out), str(batch), str(epochs), str(ema)],
        env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


def test_step_is_one_compiled_program_although_keras_would_not_compile_the_random_moves(tmp_path: Path) -> None:
    done = train_on(1, tmp_path / "run", epochs=2, ema=0.9)

    assert done.returncode == 0, done.stderr
    assert "XLA compilation of jit(train_step)" in done.stderr
    assert (
        "XLA compilation of jit(conv_general_dilated)" not in done.stderr
    )  # a convolution by itself: no program around it
    assert len(json.loads(done.stdout.splitlines()[-1])["history"]) > 2


def test_two_devices_train_as_one_does(tmp_path: Path) -> None:
    runs = []
    for devices in (1, 2):
        done = train_on(devices, tmp_path / str(devices))
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout.splitlines()[-1]))

    assert any(sentence.startswith("Every batch is shared by 2 devices") for sentence in runs[1]["said"])
    assert not any("shared by" in sentence for sentence in runs[0]["said"])
    losses = [[row["loss"] for row in run["history"]] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)  # the same faces in the same batches, other sums
    assert runs[1]["n"] == 27


def test_batch_that_two_devices_cannot_share_is_refused(tmp_path: Path) -> None:
    done = train_on(2, tmp_path / "run", batch=33)

    assert done.returncode != 0
    assert "batch_size = 33 cannot be shared by 2 devices; use a multiple of 2" in done.stderr
