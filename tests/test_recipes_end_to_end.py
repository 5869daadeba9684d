"""Every recipe as its user runs it: train on real rows, export, on the backends it promises. Small, so the figures mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from places import ROOT

from fer_edge_train.config import recipe_names

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1800)]
FER2013 = ROOT.parent / "shared" / "data" / "fer2013.parquet"
WEIGHTS = {
    "mobilenetv2": ROOT.parent / "shared" / "weights" / "mobilenet_v2_notop.weights.h5",
    "inceptionv3": ROOT.parent / "shared" / "weights" / "inception_v3_notop.weights.h5",
}
SMALLEST = {
    "mobilenetv2": 32, "inceptionv3": 75, "inceptionresnetv2-binary": 75, "inceptionresnetv2-binary-finetune": 75,
    "vgg16": 32, "resnet50": 32, "xception": 71, "cnn4": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few real faces of every class and usage, with their votes."""
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
    path = tmp_path_factory.mktemp("rows") / "some.parquet"
    pq.write_table(table.take(sorted(chosen)), path)
    return path


def fer_edge(*arguments: object, backend: str = "tensorflow") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=1700, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def train_small(recipe: str, rows: Path, out: Path, *, backend: str) -> dict[str, object]:
    weights = WEIGHTS.get(recipe, "none")
    settings = ["--set", "data.per_class=20"] if "binary" in recipe else []
    fine_tune = [] if recipe == "inceptionresnetv2-binary" else ["--epochs", 1]
    done = fer_edge(
        "train", recipe, "--data", rows, "--out", out, "--weights", weights, "--input-size", SMALLEST[recipe], "--batch-size", 8,
        "--head-epochs", 0 if recipe == "cnn4" else 1, *fine_tune, *settings, "--json", backend=backend,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("recipe", recipe_names())
def test_recipe_trains_on_real_faces(recipe: str, rows: Path, tmp_path: Path) -> None:
    metrics = train_small(recipe, rows, tmp_path / "run", backend="tensorflow")

    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["versions"]["backend"] == "tensorflow"
    assert len(metrics["history"]) == (1 if recipe in ("cnn4", "inceptionresnetv2-binary") else 2)
    assert ("without_finetuning" in metrics) == (len(metrics["history"]) == 2)
    assert metrics["PrivateTest"]["n"] == (8 if "binary" in recipe else 28)
    assert (tmp_path / "run" / "report.html").read_text().count("<svg") + (
        tmp_path / "run" / "report.html"
    ).read_text().count("data:image/png") > 3


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("recipe", ["mobilenetv2", "inceptionv3"])
def test_recipe_trains_on_other_backends_and_its_run_exports(
    recipe: str, backend: str, rows: Path, tmp_path: Path
) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    train_small(recipe, rows, tmp_path / "run", backend=backend)

    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["versions"]["backend"] == backend
    export(tmp_path / "run", rows, tmp_path / "bundle")


def export(run: Path, rows: Path, out: Path) -> None:
    fer_edge(
        "export", "--int8", run, "--data", rows, "--out", out, "--max-drop", 100, "--calibration-faces", 32, "--no-onnx"
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert {artefact["precision"] for artefact in manifest["artefacts"]} >= {"int8"}
