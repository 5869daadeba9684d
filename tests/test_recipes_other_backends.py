"""The same recipes on Keras's JAX and torch backends; their runs export like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_recipes import export_small, some_rows, train_small

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_rows(tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("recipe", ["mobilenetv2", "inceptionv3"])
def test_recipe_trains_on_another_backend_and_its_run_exports(
    recipe: str, backend: str, rows: Path, tmp_path: Path
) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    metrics = train_small(recipe, rows, tmp_path / "run", backend=backend)

    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["versions"]["backend"] == backend
    assert [row["stage"] for row in metrics["history"]] == ["head", "finetune"]
    assert export_small(tmp_path / "run", tmp_path / "bundle")["task"] == "emotion7"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_training_loads_no_tensorflow_on_another_backend(backend: str) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    import os
    import subprocess
    import sys

    code = "import sys, fer_edge_train.trainer, fer_edge_train.report; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
