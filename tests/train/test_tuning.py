"""The search: what it tries, what it keeps, how it goes on after an interruption, what it never looks at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import TINY, drawn_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import TRAINING

from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_train import tuning
from fer_edge_train.config import FineTuneStage, HeadStage, TrainConfig, load_recipe, recipe_names
from fer_edge_train.data import FaceDataset
from fer_edge_train.toml_text import to_toml
from fer_edge_train.tuning import Range, Search, SearchListener, best_config, search, search_space, some_rows
from fer_edge_train.tuning_page import write_search

pytestmark = TRAINING

RECIPE = replace(TINY, name="tiny", finetune=replace(TINY.finetune, epochs=1))
SPACE = {"finetune.learning_rate": Range(1e-3, 2e-2), "finetune.epochs": Range(1, 2), "dropout": Range(0.1, 0.1)}
PLAN = Search("tiny", RECIPE, SPACE, trials=2)
QUIET = SearchListener()
KEPT = ["config.json", "history.csv", "progress.json"]


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=8, selection=4, test=2)


def files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def config_of(trial: Path) -> dict[str, Any]:
    return json.loads((trial / "config.json").read_text())["config"]


# What is searched


def test_ranges_lie_around_the_recipe_and_are_replaced_by_those_given() -> None:
    recipe = TrainConfig(
        architecture="mobilenetv2", dropout=0.3, head=HeadStage(learning_rate=1e-3),
        finetune=FineTuneStage(learning_rate=5e-4, epochs=12),
    )  # fmt: skip

    assert search_space(recipe) == {
        "head.learning_rate": Range(pytest.approx(1e-4), pytest.approx(1e-2)),
        "finetune.learning_rate": Range(pytest.approx(5e-5), pytest.approx(5e-3)),
        "finetune.epochs": Range(6, 24),
        "dropout": Range(0.0, 0.6),
    }
    chosen = search_space(recipe, head_lr="1e-3", lr="1e-4:1e-3", epochs="3:5", dropout="0.2:0.2")
    assert chosen == {
        "head.learning_rate": Range(1e-3, 1e-3), "finetune.learning_rate": Range(1e-4, 1e-3), "finetune.epochs": Range(3, 5),
        "dropout": Range(0.2, 0.2),
    }  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_has_ranges_that_hold_its_own_values(name: str) -> None:
    recipe = load_recipe(name)

    for key, (low, high) in search_space(recipe).items():
        assert low <= tuning.recipe_value(recipe, key) <= high


def test_stages_that_a_recipe_leaves_out_are_not_searched() -> None:
    assert "head.learning_rate" not in search_space(load_recipe("cnn4"))
    frozen = search_space(load_recipe("inceptionresnetv2-binary"))
    assert list(frozen) == ["head.learning_rate", "head.epochs", "dropout"]
    with pytest.raises(ConfigError, match=r"--lr 1e-4:1e-3 has nothing to search.*no finetune stage"):
        search_space(load_recipe("inceptionresnetv2-binary"), lr="1e-4:1e-3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": "fast"}, "--lr needs LOW:HIGH, such as 1e-4:1e-2; received 'fast'"),
        ({"lr": "1e-2:1e-4"}, "--lr needs LOW:HIGH"),
        ({"lr": ":"}, "--lr needs LOW:HIGH"),
        ({"lr": "1e-4:inf"}, "--lr needs LOW:HIGH"),
        ({"lr": "0:1e-2"}, "finetune.learning_rate = 0.0 cannot be used"),
        ({"head_lr": "1:100"}, "head.learning_rate = 100.0 cannot be used"),
        ({"epochs": "0:3"}, "--epochs needs whole numbers of 1 or more"),
        ({"epochs": "2.5:3"}, "--epochs needs whole numbers"),
        ({"dropout": "0.5:1"}, "dropout = 1.0 cannot be used"),
    ],
)
def test_ranges_that_no_run_could_use_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        search_space(TINY, **options)


def test_some_rows_are_a_seeded_share_of_every_class_with_their_targets(faces: FaceDataset) -> None:
    training = np.flatnonzero(faces.usage == "Training")
    rare = np.ones(len(faces.labels), bool)
    rare[training[(faces.labels[training] == 1)][:6]] = False  # two of class 1 are left, eight of each other
    data = FaceDataset(faces.images[rare], faces.labels[rare], faces.usage[rare], faces.names, "drawn")
    data = replace(data, targets=np.eye(7, dtype=np.float32)[data.labels])

    few = some_rows(data, 25, seed=3)

    assert list(few.counts()["Training"].values()) == [4, 1, 4, 4, 4, 4, 4]
    assert few.counts()["PublicTest"] == data.counts()["PublicTest"]
    assert few.counts()["PrivateTest"] == data.counts()["PrivateTest"]
    assert few.targets is not None
    assert np.array_equal(few.targets.argmax(axis=1), few.labels)
    assert few.digest() == some_rows(data, 25, seed=3).digest() != some_rows(data, 25, seed=4).digest()
    assert some_rows(data, 0, seed=3) is some_rows(data, 999, seed=3) is data
    with pytest.raises(ConfigError, match="--rows 6 is too few for 7 classes"):
        some_rows(data, 6, seed=3)


# Searching


def test_search_tries_the_recipe_first_and_keeps_what_each_trial_was(tmp_path: Path, faces: FaceDataset) -> None:
    heard: list[tuple[int, float | None]] = []
    told: list[int] = []
    out = tmp_path / "search"

    found = search(
        PLAN, faces, out, listener=replace(QUIET, trial=lambda done, best: heard.append((done, best))),
        ended=lambda so_far: told.append(len(so_far["trials"])),
    )  # fmt: skip

    assert [trial["state"] for trial in found["trials"]] == ["whole", "whole"]
    assert found["trials"][0]["values"] == {"finetune.learning_rate": 1e-2, "finetune.epochs": 1, "dropout": 0.1}
    assert told == [1, 2]
    assert heard[0] == (0, None)
    assert heard[-1] == (2, found["best"]["accuracy"])
    assert files(out) == ["search.db", "trial-0000", "trial-0001"]
    for trial in found["trials"]:
        folder = out / f"trial-{trial['number']:04}"
        assert files(folder) == KEPT, "no weights, and no metrics: PrivateTest was not looked at"
        assert config_of(folder)["finetune"]["learning_rate"] == trial["values"]["finetune.learning_rate"]
        assert len(trial["curve"]) == 1 + trial["values"]["finetune.epochs"]
        assert trial["accuracy"] == max(trial["curve"])
        assert 1e-3 <= trial["values"]["finetune.learning_rate"] <= 2e-2

    with pytest.raises(ConfigError, match="already holds a search"):
        search(PLAN, faces, out, listener=QUIET)
    with pytest.raises(ConfigError, match="another search: other ranges"):
        search(replace(PLAN, space={**SPACE, "dropout": Range(0, 0.5)}), faces, out, listener=QUIET, resume=True)
    with pytest.raises(ConfigError, match=r"another search: other data \(or --rows\)"):
        search(PLAN, some_rows(faces, 14, 1), out, listener=QUIET, resume=True)

    write_search(PLAN, found, out)
    best = load_recipe(str(out / "best.toml"))
    assert best == best_config(PLAN, found)
    assert best.finetune.learning_rate == found["best"]["values"]["finetune.learning_rate"]
    assert json.loads((out / "tuning.json").read_text()) == json.loads(json.dumps(found))
    page = (out / "tuning.html").read_text()
    assert page.count("<svg") == 4, "course, epochs, learning rate, epochs of the stage; the fixed dropout has none"
    again = search(PLAN, faces, out, listener=QUIET, resume=True)
    assert again == found, "as many trials as asked for: nothing is done again"


def test_interrupted_trial_is_continued_from_its_last_epoch(tmp_path: Path, faces: FaceDataset) -> None:
    out = tmp_path / "search"
    begun: list[str] = []

    def interrupt(title: str, _steps: int) -> None:
        begun.append(title)
        if title == "trial 0, fine-tune 1/1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(PLAN, faces, out, listener=replace(QUIET, start=interrupt))
    assert begun == ["trial 0, head 1/1", "trial 0, fine-tune 1/1"]
    begun.clear()

    listener = replace(QUIET, start=lambda title, steps: begun.append(title))
    found = search(replace(PLAN, trials=1), faces, out, listener=listener, resume=True)

    assert begun == ["trial 1, fine-tune 1/1"], "the head was not trained again"
    assert [(trial["number"], trial["state"], len(trial["curve"])) for trial in found["trials"]] == [(1, "whole", 2)]
    assert found["trials"][0]["values"]["finetune.learning_rate"] == 1e-2
    assert files(out) == ["search.db", "trial-0001"]
    assert files(out / "trial-0001") == KEPT


def test_time_limit_ends_at_an_epoch_and_the_trial_goes_on_later(tmp_path: Path, faces: FaceDataset) -> None:
    said: list[str] = []
    out = tmp_path / "search"

    found = search(replace(PLAN, seconds=1e-3), faces, out, listener=replace(QUIET, say=said.append))
    assert found["trials"] == []
    assert len((out / "trial-0000" / "history.csv").read_text().splitlines()) == 2, "a header and one epoch"
    assert found["best"] is None
    assert "The time is up" in said[-1]
    write_search(PLAN, found, out)
    assert not (out / "best.toml").exists()


def test_trials_that_fall_behind_are_stopped_early(
    tmp_path: Path, faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "_RANDOM_TRIALS", 1)
    recipe = replace(TINY, head=replace(TINY.head, learning_rate=1e-9))
    space = {"finetune.learning_rate": Range(1e-9, 1e-2)}
    plan = Search("tiny", recipe, space, trials=3)

    found = search(plan, faces, tmp_path / "search", listener=QUIET)

    stopped = [trial for trial in found["trials"] if trial["state"] == "stopped early"]
    assert stopped
    assert all(len(trial["curve"]) == 3 for trial in stopped), "after two of three epochs of the fine-tune stage"
    assert found["best"]["state"] == "whole"
    assert found["best"]["values"]["finetune.learning_rate"] > max(
        t["values"]["finetune.learning_rate"] for t in stopped
    )
    assert all(files(tmp_path / "search" / f"trial-{trial['number']:04}") == KEPT for trial in stopped)


def test_trial_whose_loss_is_no_number_does_not_end_the_search(tmp_path: Path, faces: FaceDataset) -> None:
    broken = replace(faces, targets=np.full((len(faces.labels), 7), np.nan, np.float32))
    out = tmp_path / "search"

    found = search(replace(PLAN, trials=2), broken, out, listener=QUIET)

    assert [(trial["state"], trial["accuracy"]) for trial in found["trials"]] == [("diverged", None)] * 2
    assert found["best"] is None
    write_search(PLAN, found, out)
    assert not (out / "best.toml").exists()


def test_wrong_weights_leave_nothing_that_a_second_try_would_trip_over(tmp_path: Path, faces: FaceDataset) -> None:
    out = tmp_path / "search"
    wrong = replace(PLAN, config=replace(RECIPE, weights=str(tmp_path / "none.weights.h5")))
    with pytest.raises(DataError, match="no weights file"):
        search(wrong, faces, out, listener=QUIET)
    assert files(out) == []


def test_folders_that_are_no_search_and_databases_that_are_none_are_refused(tmp_path: Path, faces: FaceDataset) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="holds no search"):
        search(PLAN, faces, tmp_path / "a", listener=QUIET, resume=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "search.db").write_text("no database" * 1000)
    with pytest.raises(DataError, match="cannot be opened"):
        search(PLAN, faces, tmp_path / "b", listener=QUIET, resume=True)
    assert files(tmp_path / "a") == ["thesis.txt"]
    assert files(tmp_path / "b") == ["search.db"]


def test_best_recipe_finds_its_weights_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = replace(PLAN, config=replace(RECIPE, weights="w.weights.h5"))
    best = {"number": 3, "accuracy": 0.5, "values": {"dropout": 0.25, "finetune.epochs": 2}}

    config = best_config(plan, {"best": best, "trials": [best] * 4})

    assert config.weights == str(tmp_path.resolve() / "w.weights.h5")
    assert (config.dropout, config.finetune.epochs) == (0.25, 2)
    assert config.expects == "50.00% on PublicTest, which chose it (trial 3; 4 trials)"


def test_best_recipe_keeps_the_name_of_a_shipped_bundle() -> None:
    plan = replace(PLAN, config=replace(RECIPE, weights="nano"))
    best = {"number": 1, "accuracy": 0.5, "values": {}}

    assert best_config(plan, {"best": best, "trials": [best]}).weights == "nano"


# TOML


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_survive_being_written(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "again.toml").write_text(to_toml(recipe.to_dict()), encoding="utf-8")

    assert load_recipe(str(tmp_path / "again.toml")) == recipe


@settings(max_examples=60, deadline=None)
@given(
    words=st.text(st.characters(exclude_categories=["Cs"])),
    names=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.text("aé\"\\\x7f😀"), max_size=3).map(tuple), min_size=2, max_size=3),
    rate=st.floats(1e-300, 10, exclude_min=True),
)  # fmt: skip
def test_any_text_and_number_survive_being_written(
    words: str, names: dict[str, tuple[str, ...]], rate: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = replace(
        TrainConfig("cnn4", name="mine"), reproduces=words, data=replace(TINY.data, classes=names), head=replace(TINY.head, learning_rate=rate)
    )  # fmt: skip
    path = tmp_path_factory.mktemp("toml") / "recipe.toml"
    path.write_bytes(to_toml(recipe.to_dict()).encode())

    assert load_recipe(str(path)) == recipe
