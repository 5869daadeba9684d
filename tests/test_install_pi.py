"""The Raspberry Pi's installer refuses other machines and shows what it would do."""

from __future__ import annotations

import platform
import shutil
import subprocess

import pytest
from places import ROOT

SCRIPT = ROOT / "scripts" / "install-pi"


def install(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this is such a machine")
def test_another_processor_is_refused_with_advice(tmp_path) -> None:
    done = install(tmp_path / "venv")

    assert done.returncode == 2
    assert "not aarch64" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here")
def test_dry_run_shows_every_step_and_does_none(tmp_path) -> None:
    done = install("--dry-run", tmp_path / "venv")

    assert done.returncode == 0, done.stderr
    for step in ("-m venv --system-site-packages", "-m pip install --upgrade --constraint", "fer-edge doctor"):
        assert step in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here")
def test_a_wheel_that_is_not_there_is_refused(tmp_path) -> None:
    done = install("--dry-run", tmp_path / "venv", tmp_path / "no.whl")

    assert done.returncode == 2
    assert "no wheel at" in done.stderr
