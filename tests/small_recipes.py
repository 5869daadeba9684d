"""Recipes as their users run them, on a few real faces: small, so the figures mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from places import ROOT

FER2013 = ROOT.parent / "shared" / "data" / "fer2013.parquet"
WEIGHTS = {
    "mobilenetv2": ROOT.parent / "shared" / "weights" / "mobilenet_v2_notop.weights.h5",
    "inceptionv3": ROOT.parent / "shared" / "weights" / "inception_v3_notop.weights.h5",
}
SMALLEST = {
    "mobilenetv2": 32, "inceptionv3": 75, "inceptionresnetv2-binary": 75, "inceptionresnetv2-binary-finetune": 75,
    "vgg16": 32, "resnet50": 32, "xception": 71, "cnn4": 32, "nano": 32, "nano-binary": 32, "resnet14": 32,
}  # fmt: skip
FROM_SCRATCH = ("cnn4", "nano", "nano-binary", "resnet14")  # no head stage


def some_rows(folder: Path) -> Path:
    """A parquet of a few real faces of every class and usage, with their votes."""
    if not FER2013.exists():
        pytest.skip("../shared/data/fer2013.parquet is not here")
    table = pq.read_table(FER2013)
    emotion, usage = table["emotion"].to_numpy(), np.array(table["usage"].to_pylist())
    chosen = [
        index
        for part, count in (("Training", 16), ("PublicTest", 4), ("PrivateTest", 4))
        for label in range(7)
        for index in np.flatnonzero((emotion == label) & (usage == part))[:count].tolist()
    ]
    path = folder / "some.parquet"
    pq.write_table(table.take(sorted(chosen)), path)
    return path


def fer_edge(*arguments: object, backend: str = "tensorflow") -> str:
    """Stdout of a command that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, timeout=1700, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_small(recipe: str, rows: Path, out: Path, *, backend: str = "tensorflow") -> dict[str, Any]:
    """Metrics of one epoch a stage, at the smallest input, with the weights of ../shared where there are some."""
    epochs = [] if recipe == "inceptionresnetv2-binary" else ["--epochs", 1]
    output = fer_edge(
        "train", recipe, "--data", rows, "--out", out, "--weights", WEIGHTS.get(recipe, "none"), "--input-size", SMALLEST[recipe],
        "--batch-size", 8, "--head-epochs", 0 if recipe in FROM_SCRATCH else 1, *epochs, *(["--set", "data.per_class=20"] if recipe.startswith("inceptionresnetv2") else []),
        "--json", backend=backend,
    )  # fmt: skip
    return json.loads(output)


def export_small(run: Path, out: Path, *, aware: bool = False) -> dict[str, Any]:
    """The manifest of the run's bundle, after one epoch of quantization-aware training where ``aware``.

    No accuracy is asked of a network that saw a hundred faces.
    """
    method = ["--qat-epochs", 1] if aware else ["--ptq"]
    fer_edge("export", "--int8", run, "--out", out, "--max-drop", 100, "--calibration-faces", 32, "--no-onnx", *method)
    return json.loads((out / "manifest.json").read_text())
