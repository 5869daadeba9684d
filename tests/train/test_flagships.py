"""Which rows benchmarks/flagships.py gives a model of two classes, and the README's tables where nothing is measured."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn import TINY, drawn_dataset, write_parquet
from flagships import LABELS, PAIR, Model, binary, own_rows
from page_tables.results import NOT_MEASURED
from places import ROOT
from readme_tables import TABLES

from fer_edge_train.config import Data, TrainConfig, load_recipe
from fer_edge_train.data import load_for

pytestmark = pytest.mark.train


def model(labels: tuple[str, ...], answer: np.ndarray, recipe: TrainConfig | None = None) -> Model:
    """It says the same of every face."""
    return Model("same", labels, 1, "none", lambda faces: np.tile(answer, (len(faces), 1)), lambda: None, False, recipe)


@pytest.mark.parametrize("classes", [PAIR, dict(reversed(PAIR.items()))])
def test_two_classes_never_see_their_own_training_rows(tmp_path: Path, classes: dict[str, tuple[str, ...]]) -> None:
    path = write_parquet(tmp_path / "fer2013.parquet", drawn_dataset(training=15, selection=5, test=5))
    recipe = replace(TINY, split="binary-60-20-20", data=Data(classes=classes, per_class=25))
    data = load_for(recipe, path)
    learned = {face.tobytes() for face in data.part("Training")[0]}

    faces, truth = own_rows(model(tuple(PAIR), np.array([0.1, 0.9], np.float32), recipe), path)

    assert len(faces) == len(data.part("PrivateTest")[0])
    assert not learned & {face.tobytes() for face in faces}
    assert np.bincount(truth).tolist() == [5, 5]
    own = data.part("PrivateTest")[1]
    assert [tuple(PAIR)[side] for side in truth] == [data.names[label] for label in own]


def test_without_a_recipe_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="which rows it learned from"):
        own_rows(model(tuple(PAIR), np.array([0.1, 0.9], np.float32)), tmp_path)


def test_seven_classes_answer_the_pair_by_their_sums() -> None:
    answer = np.array([0.2, 0, 0.1, 0.25, 0.1, 0, 0.35], np.float32)  # happy is ahead of each, not of all three
    faces, truth = np.zeros((6, 48, 48), np.uint8), np.array([0, 0, 0, 0, 1, 1])

    found = binary(model(LABELS, answer), faces, truth)

    assert found["n"] == 4  # as many of each
    assert found["accuracy"] == 0.5
    assert found["all_rows"] == {"n": 6, "mean_recall": 0.5}


def test_tables_say_that_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("page_tables.results.RESULTS", tmp_path)

    assert TABLES["flagships"]() == TABLES["robustness"]() == NOT_MEASURED


@pytest.mark.parametrize("name", ["default", "nano-first"])
def test_a_shipped_bundles_recipe_learns_from_the_teachers_that_its_script_makes(name: str) -> None:
    recipe = load_recipe(str(ROOT / "benchmarks" / "recipes" / f"{name}.toml"))
    made = re.search(r"for one in (.+); do teacher", (ROOT / "scripts" / "flagship").read_text())

    assert made
    teachers = made[1].split() + ["mobilenetv2-distilled"] * (name == "nano-first")
    assert recipe.distill.teachers == tuple(f"runs/teachers/{one}.npz" for one in teachers)
    assert recipe.split == "usage"


def test_nano_goes_on_from_the_bundle_that_its_script_makes() -> None:
    first, whole = (
        load_recipe(str(ROOT / "benchmarks" / "recipes" / f"{name}.toml")) for name in ("nano-first", "nano")
    )
    script = (ROOT / "scripts" / "flagship").read_text()

    assert f"bundle {whole.weights.removeprefix('runs/bundles/')} nano-distilled\n" in script
    assert whole.distill.teachers == ("runs/teachers/default.npz",)
    assert "teacher default runs/bundles/default" in script
    assert (whole.augment, whole.data, whole.architecture) == (first.augment, first.data, first.architecture)


def test_the_binary_bundle_starts_from_the_run_that_its_script_makes() -> None:
    recipe = load_recipe(str(ROOT / "benchmarks" / "recipes" / "binary.toml"))

    assert recipe.data.classes == PAIR
    assert f"nano-first.toml {recipe.weights.removeprefix('runs/')}\n" in (ROOT / "scripts" / "flagship").read_text()


@pytest.mark.parametrize("arguments", [[], ["tiny"], ["default", "nowhere.parquet"]])
def test_the_flagship_script_says_what_it_needs(arguments: list[str]) -> None:
    done = subprocess.run([ROOT / "scripts" / "flagship", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "nowhere.parquet" in done.stderr if len(arguments) == 2 else "default|nano|binary" in done.stderr
