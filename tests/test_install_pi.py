"""The Raspberry Pi's installer refuses other machines and shows what it would do."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT

SCRIPT = ROOT / "scripts" / "install-pi"


def install(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | environment,
    )  # fmt: skip


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


BOARD = {
    "uname": "echo aarch64",
    "getconf": "echo 64",
    "sudo": 'exec "$@"',
    "dpkg-query": "exit 1",
    "apt-cache": "test -e $STATE/lists",
    # Empty or old lists: nothing can be installed before an update.
    "apt-get": 'echo "apt-get $*" >>$STATE/log; case "$1" in update) touch $STATE/lists ;; *) test -e $STATE/lists ;; esac',
    "python3": 'case "$*" in *venv*) mkdir -p "$4/bin"; printf "#!/bin/sh\\n" | tee "$4/bin/python" >"$4/bin/fer-edge"; chmod +x "$4"/bin/* ;; esac',
}


@pytest.fixture
def board(tmp_path):
    """The environment of a board whose programs only write down what they are asked; ``STATE/lists`` are apt's."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, code in BOARD.items():
        (programs / name).write_text(f"#!/bin/sh\n{code}\n")
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "STATE": str(tmp_path)}


def asked_of_apt(board) -> list[str]:
    return (Path(board["STATE"]) / "log").read_text().splitlines()


def test_empty_lists_of_apt_are_filled_before_picamera2_is_given_up(board, tmp_path) -> None:
    done = install(tmp_path / "venv", **board)

    assert done.returncode == 0, done.stderr
    assert "is not offered" not in done.stderr
    update, packages = asked_of_apt(board)
    assert update == "apt-get update"
    assert "python3-picamera2" in packages


def test_current_lists_are_not_fetched_again(board, tmp_path) -> None:
    (tmp_path / "lists").touch()
    done = install(tmp_path / "venv", **board)

    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in asked_of_apt(board)] == ["install"]


def test_old_lists_are_fetched_when_installing_fails(board, tmp_path) -> None:
    (tmp_path / "programs" / "apt-cache").write_text("#!/bin/sh\n")
    done = install(tmp_path / "venv", **board)

    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in asked_of_apt(board)] == ["install", "update", "install"]
