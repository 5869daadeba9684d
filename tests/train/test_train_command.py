"""``fer-edge train`` as a process: exit codes, what it says and where, interruption and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import fer_edge, interrupted
from drawn import MOBILENET_TOML, drawn_dataset, write_csv, write_folders, write_parquet

from fer_edge_train.data import FaceDataset
from fer_edge_train.run_folder import read_json

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["mobilenet2", "--data", "none.csv"], 2, "no recipe 'mobilenet2'. Known: cnn4"),
        (["mobilenet2", "--data", "none.csv"], 2, "Did you mean 'mobilenetv2'?"),
        (["mobilenetv2", "--data", "none.csv"], 6, "no data set at none.csv"),
        (["mobilenetv2", "--data", "none.csv", "--batch-size", "0"], 2, "batch_size = 0"),
        (["mobilenetv2", "--data", "none.csv", "--set", "augment.nois=1"], 2, "Did you mean 'augment.noise'?"),
        (["mobilenetv2", "runs/a", "--data", "none.csv"], 2, "Unexpected 'runs/a' after the recipe"),
        (["mobilenetv2"], 2, "--data is missing"),
        ([], 2, "Name a recipe"),
        (["compare"], 2, "run"),
    ],
)
def test_wrong_use_is_one_sentence_and_its_exit_code(
    arguments: list[str], code: int, expected: str, tmp_path: Path
) -> None:
    done = fer_edge("train", *arguments, "--out", "run", cwd=tmp_path)

    assert done.returncode == code
    assert expected in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signalled_run_says_how_to_resume_and_then_does(number: signal.Signals, tmp_path: Path) -> None:
    recipe, data, out = tmp_path / "tiny recipe.toml", tmp_path / "faces.parquet", tmp_path / "run"
    recipe.write_text(MOBILENET_TOML)
    write_parquet(data, drawn_dataset(training=12, selection=3, test=3))
    arguments = ("train", recipe, "--data", data, "--out", out, "--seed", "3")

    said, printed = interrupted(*arguments, at="head 1/1: ", number=number)  # the first epoch of stage 1

    text = "".join(said)
    assert printed == ""
    assert "surprise" in text
    assert "mobilenetv2, width 0.35, 32 pixels, float32, weights none, batch 32, split usage, seed 3" in text
    assert "Stage 1, head: 3 layers learn" in text
    assert "backend tensorflow" in text
    last = said[-1]
    assert last.startswith("fer-edge: interrupted; finished epochs are kept.")
    assert f"--data {data} --out {out} --seed 3 --resume" in last
    assert f"'{recipe}'" in last, "a path with a space is quoted"
    assert not [entry for entry in out.iterdir() if entry.name.startswith(".")]
    assert len(read_json(out / "progress.json")["history"]) == 1
    if number == signal.SIGTERM:
        return

    resumed = fer_edge(*arguments, "--resume", timeout=400)

    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == ""
    assert "Continuing" in resumed.stderr
    assert "PrivateTest: accuracy" in resumed.stderr
    assert [row["stage"] for row in read_json(out / "metrics.json")["history"]] == ["head", "finetune"]
    assert (out / "report.html").is_file()


SWALLOWED = """
import os, signal
from fer_edge.commands.display import Display, interruptible

class Interrupted:
    def __del__(self):  # Python prints an exception from here and goes on
        os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
with interruptible("finished epochs are kept."), Display() as display:
    display.start("fine-tune 1/1", 2)
    Interrupted()
    print("learning", flush=True)
    display.step(1.0, 0.5)
    print("learning on")
"""


def test_ctrl_c_that_a_library_swallows_ends_the_run_at_its_next_step() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "learning\n"
    assert done.returncode == 130
    assert done.stderr.endswith("fer-edge: interrupted; finished epochs are kept.\n")


@pytest.mark.parametrize("backend", ["numpy", "tensorflo"])
def test_backend_that_cannot_train_is_refused_before_anything_is_read(backend: str, tmp_path: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": backend}

    done = fer_edge("train", "cnn4", "--data", tmp_path, "--out", tmp_path / "run", env=environment)

    assert done.returncode == 2
    assert f"KERAS_BACKEND is '{backend}', which cannot train; choose tensorflow, jax, torch." in done.stderr


def test_list_names_every_recipe_with_what_it_reproduces() -> None:
    shown = fer_edge("train", "--list", check=True)
    machine = fer_edge("train", "--list", "--json", check=True)

    recipes = json.loads(machine.stdout)
    assert {"inceptionv3", "mobilenetv2", "inceptionresnetv2-binary", "cnn4", "vgg16", "resnet50", "xception"} <= set(
        recipes
    )
    assert all(f"{name}  (" in shown.stdout for name in recipes), "what was asked for goes to stdout"
    assert max(map(len, shown.stdout.splitlines())) <= 100
    assert shown.stderr == ""
    assert all(recipe["reproduces"] and recipe["expects"] for recipe in recipes.values())


@pytest.mark.slow
def test_dry_run_says_what_it_would_take_and_writes_nothing(tmp_path: Path) -> None:
    recipe, data = tmp_path / "tiny.toml", tmp_path / "faces.parquet"
    recipe.write_text(MOBILENET_TOML)
    write_parquet(data, drawn_dataset(training=12, selection=3, test=3))

    done = fer_edge("train", recipe, "--data", data, "--out", tmp_path / "run", "--dry-run", "--json", timeout=400)

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {
        "head_seconds", "finetune_seconds", "evaluation_seconds", "total_minutes", "peak_mib",
    }  # fmt: skip
    assert "Stage 1, head: up to 1 epoch(s), adam at 0.01" in done.stderr
    assert "faces/s" in done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["faces.parquet", "tiny.toml"]


BAD_DATA = {
    "empty folder": (lambda root: root.mkdir(), "at least two"),
    "one class only": (lambda root: write_folders(root, one_class()), "at least two"),
    "missing column": (lambda root: write_csv(root.with_suffix(".csv"), drawn_dataset(), header="emotion,pixel,Usage"), "lacks the column"),
    "47 by 48 pixels": (
        lambda root: write_csv(root.with_suffix(".csv"), drawn_dataset(), "3," + " ".join(["7"] * 47 * 48) + ",Training"), "2304",
    ),
}  # fmt: skip


def one_class() -> FaceDataset:
    faces = drawn_dataset()
    keep = faces.labels == 3
    return FaceDataset(faces.images[keep], faces.labels[keep], faces.usage[keep], faces.names, "drawn")


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_sentence_and_no_run(case: str, tmp_path: Path) -> None:
    make, expected = BAD_DATA[case]
    path = make(tmp_path / "data") or tmp_path / "data"

    done = fer_edge("train", "mobilenetv2", "--data", path, "--out", tmp_path / "run")

    assert done.returncode == 6, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
