"""benchmarks/ablate.py trains a recipe with one change each, and leaves alone what is finished."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from small_recipes import some_rows

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = ("input_size=32", "batch_size=8", "finetune.epochs=1", "precision=float32")


def ablate(data: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "ablate.py", "nano", "--data", data, "--out", out, *settings, *options],
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


def test_one_run_a_change_and_finished_ones_are_left_alone(tmp_path: Path) -> None:
    rows, out = some_rows(tmp_path), tmp_path / "runs"
    first = ablate(rows, out, "--only", "base", "no-mirror", "--jobs", "2")
    assert first.returncode == 0, first.stdout + first.stderr
    flips = {
        name: json.loads((out / f"nano-{name}" / "config.json").read_text())["config"]["augment"]["flip"]
        for name in ("base", "no-mirror")
    }
    assert flips == {"base": True, "no-mirror": False}

    again = ablate(rows, out, "--only", "base", "no-mirror")
    assert "begun" not in again.stdout
    assert "All are finished." in again.stdout


def test_no_run_is_begun_when_the_minutes_are_over_and_a_failed_one_is_named(tmp_path: Path) -> None:
    late = ablate(tmp_path / "none.parquet", tmp_path / "runs", "--only", "base", "--minutes", "0")
    assert (late.returncode, "Not finished: base." in late.stdout) == (0, True)

    failed = ablate(tmp_path / "none.parquet", tmp_path / "runs", "--only", "base")
    assert failed.returncode == 1
    assert f"base: exit code 6, see {tmp_path / 'runs' / 'nano-base'}.log" in failed.stdout
