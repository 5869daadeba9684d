"""Every recipe trains on real faces and its run exports, on TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_recipes import FROM_SCRATCH, export_small, some_rows, train_small

from fer_edge_train.config import recipe_names

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1800)]


# Faces of PrivateTest that the recipe's split and classes leave, where it is not all 28.
_PRIVATE = {"inceptionresnetv2-binary": 8, "inceptionresnetv2-binary-finetune": 8, "nano-binary": 16, "inceptionv3": 56}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_rows(tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("recipe", recipe_names())
def test_recipe_trains_on_real_faces_and_its_run_exports(recipe: str, rows: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    metrics = train_small(recipe, rows, run)

    binary = "binary" in recipe
    assert len(metrics["history"]) == (1 if recipe in (*FROM_SCRATCH, "inceptionresnetv2-binary") else 2)
    assert ("without_finetuning" in metrics) == (len(metrics["history"]) == 2)
    assert metrics["PrivateTest"]["n"] == _PRIVATE.get(recipe, 28)
    assert set(metrics["PrivateTest"]["protocols"]) == {"single crop", "flip", "TenCrop"}
    record = json.loads((run / "config.json").read_text())
    assert record["versions"]["backend"] == "tensorflow"
    assert record["versions"]["device"]
    assert (run / "report.html").read_text().count("<svg") > 3
    if recipe == "inceptionresnetv2-binary":
        return  # the same network as its -finetune sister, and the slowest conversion of all

    aware = recipe in ("mobilenetv2", "inceptionv3", "cnn4", "nano")
    manifest = export_small(run, tmp_path / "bundle", aware=aware)

    assert manifest["task"] == ("valence2" if binary else "emotion7")
    assert {artefact["precision"] for artefact in manifest["artefacts"]} >= {"int8"}
    assert ("training" in manifest["provenance"]["quantization"]) == aware
