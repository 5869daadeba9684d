"""``fer-edge tune`` as a process: exit codes, what it says and where, interruption and resume."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import fer_edge, interrupted

pytestmark = pytest.mark.train

RECIPE = """
architecture = "cnn4"
input_size = 48
width = 0.1
batch_size = 32
head = {epochs = 0}
finetune = {epochs = 1, learning_rate = 2e-3, unfreeze = 1.0}
"""


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["mobilenet2"], 2, "Did you mean 'mobilenetv2'?"),
        (["mobilenetv2"], 6, "no data set at none.csv"),
        (["mobilenetv2", "--trials", "0"], 2, "--trials must be 1 or more"),
    ],
)
def test_wrong_use_is_one_sentence_and_its_exit_code(
    arguments: list[str], code: int, expected: str, tmp_path: Path
) -> None:
    done = fer_edge("tune", *arguments, "--data", "none.csv", "--out", "out", cwd=tmp_path)

    assert done.returncode == code
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Dark and light squares in two class folders."""
    generator = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 180)):
        folder = tmp_path / "faces" / name
        folder.mkdir(parents=True)
        for number in range(25):
            face = generator.normal(level, 20, (48, 48)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{number:02}.png"), face)
    return tmp_path / "faces"


@pytest.mark.slow
def test_signalled_search_says_how_to_resume_and_then_does(tmp_path: Path, data: Path) -> None:
    recipe, out = tmp_path / "tiny recipe.toml", tmp_path / "search"
    recipe.write_text(RECIPE)
    arguments = ("tune", recipe, "--data", data, "--out", out, "--trials", "2", "--epochs", "1:1", "--json")

    said, printed = interrupted(*arguments, at="trial 0: ")  # the first trial is reported

    assert printed == ""
    assert said[-1].startswith("fer-edge: interrupted; ended trials are kept. Continue with: fer-edge tune '")
    assert said[-1].endswith("--json --resume\n")

    resumed = fer_edge(*arguments, "--resume", timeout=400)

    assert resumed.returncode == 0, resumed.stderr
    found = json.loads(resumed.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["whole", "whole"]
    assert "Best of 2 trials" in resumed.stderr
    assert 'architecture = "cnn4"' in (out / "best.toml").read_text()
    assert (out / "tuning.html").is_file()
    assert not list(out.rglob("*.keras"))
