"""`fer-edge benchmark peers` as a user runs it, with tiny packages, offline: a whole run, and Ctrl-C in the middle of one."""

import json
import os
import signal
import subprocess
from contextlib import suppress

import psutil
import pytest
from command_line import FER_EDGE, fer_edge
from places import hear_interrupts
from tiny_peer import write_peer

OFFLINE = {**os.environ, "PIP_NO_INDEX": "1"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def command(folder, cache, mode, *more):
    """A tiny peer that behaves, then another one in the given mode."""
    good, other = write_peer(folder / "a", ["good"]), write_peer(folder / "b", [mode], name="other")
    arguments = ["--reference", good, "--peer", other, "--cache", cache, "--frames", 2, "--rounds", 1, *more]
    return [FER_EDGE, "benchmark", "peers", *map(str, arguments)]


def installers(process):
    """The pip processes of a running command."""
    found = []
    for child in process.children():
        with suppress(psutil.Error):  # it may end while it is looked at
            found += [child] * ("install" in child.cmdline())
    return found


@pytest.mark.slow
def test_crashed_peer_is_named_and_the_rest_is_measured(tmp_path, cache):
    page = tmp_path / "peers.html"
    arguments = command(tmp_path, cache, "crash", "--seconds", 0, "--json", "--html", page)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False, env=OFFLINE)
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert (record["command"], record["reference"]) == ("benchmark peers", "tiny good")
    assert isinstance(record["machine_busy"], bool)
    good, crashed = record["cases"]
    assert list(good["clips"]) == ["640x480, 1 face", "640x480, 4 faces", "1280x720, 1 face", "1280x720, 4 faces"]
    assert good["install"]["packages"]["tinypeer"] == "1.0"
    assert "SIGABRT" in crashed["failed"]
    for words in ("installing", "first label 'happy'", "other crash NOT MEASURED", "Page: "):
        assert words in done.stderr
    assert "<svg" in page.read_text()


@pytest.mark.slow
def test_interrupt_ends_every_peer_and_what_it_started(tmp_path, cache):
    process = subprocess.Popen(
        command(tmp_path, cache, "parent", "--seconds", 600), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_interrupts, env=OFFLINE,
    )  # fmt: skip
    told = ""
    while "other parent: first label" not in told:
        told = next(process.stderr)
    whole = psutil.Process(process.pid)
    while not (started := whole.children(recursive=True)):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "no process was left behind" in rest
    psutil.wait_procs(started, timeout=5)
    assert not any(one.is_running() for one in started)


@pytest.mark.slow
def test_interrupt_ends_an_installation(tmp_path):
    """pip waits for ever for a package that comes out of a pipe nobody writes to."""
    path = write_peer(tmp_path / "a", ["good"])
    (path.parent / "needs.txt").unlink()
    os.mkfifo(path.parent / "slow.txt")
    (path.parent / "needs.txt").write_text("-r ./slow.txt\n")
    arguments = [
        "--reference",
        path,
        "--peer",
        write_peer(tmp_path / "b", ["good"], name="other"),
        "--cache",
        tmp_path / "c",
    ]
    process = subprocess.Popen(
        [FER_EDGE, "benchmark", "peers", *map(str, arguments)], stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts, env=OFFLINE,
    )  # fmt: skip
    whole = psutil.Process(process.pid)
    while not (pips := installers(whole)):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    psutil.wait_procs(pips, timeout=5)
    assert not any(one.is_running() for one in pips)
    assert json.loads((tmp_path / "c" / "tiny" / "fer-edge-peer.json").read_text()) == {"ready": False}


def test_what_cannot_be_used_is_refused_before_anything_is_installed(tmp_path):
    done = fer_edge("benchmark", "peers", "--peer", "ferr", "--cache", tmp_path / "cache")
    assert done.returncode == 2
    assert "There is no peer 'ferr'" in done.stderr
    assert not (tmp_path / "cache").exists()
