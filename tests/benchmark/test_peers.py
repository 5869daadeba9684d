"""The parts of `fer-edge benchmark peers`, with a tiny package in a real virtual environment, offline."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from tiny_peer import write_peer

from fer_edge.benchmark.peers.accuracy import TestFaces as Faces
from fer_edge.benchmark.peers.accuracy import score
from fer_edge.benchmark.peers.catalogue import PeerCase, check_names, read_peer, shipped_peers
from fer_edge.benchmark.peers.checkout import find_checkout, source_digest
from fer_edge.benchmark.peers.clips import SIZES, write_clips
from fer_edge.benchmark.peers.environment import MARKER, prepare
from fer_edge.benchmark.peers.measure import Plan, measure_peers
from fer_edge.benchmark.peers.memory import tree_peak_mib
from fer_edge.benchmark.peers.page import peers_body
from fer_edge.benchmark.peers.session import PeerRun, matched
from fer_edge.benchmark.peers.summary import summarize
from fer_edge.benchmark.peers.text import peer_lines
from fer_edge_runtime.errors import ConfigError, OutputError


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Shared, so that the environment is made once."""
    return tmp_path_factory.mktemp("peers")


def tiny(folder, *modes, **options):
    return read_peer(str(write_peer(folder / "tiny", modes, **options)))


def plan(peers, cache, test=None):
    return Plan(peers, cache, rounds=2, frames=2, clip_s=0, one_core=False, timeout_s=6, test=test)


def measure(*arguments, **options):
    said = []
    record, failures = measure_peers(plan(*arguments, **options), say=said.append, progress=lambda *_: None)
    return record, failures, said


@pytest.mark.slow
def test_peers_that_fail_in_every_way_are_rows_and_the_others_are_measured(tmp_path, cache):
    peer = tiny(tmp_path, "good", "chatty", "crash", "raise", "hang", "blind")
    faces = Faces(np.zeros((3, 48, 48), np.uint8), np.array([0, 1, 1]), ("angry", "happy"), "three faces")
    record, failures, _ = measure([peer], cache, test=faces)
    cases = {case["name"]: case for case in record["cases"]}
    for name in ("tiny good", "tiny chatty"):
        case = cases[name]
        assert (case["failed"], case["first_label"], case["cold_start_s"]["n"]) == (None, "happy", 2)
        assert case["peak_mib"]["median"] > 1
        assert case["accuracy"]["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
        assert case["clips"]["640x480, 1 face"]["frames_per_s"]["n"] == 2
    expected = {
        "crash": "SIGABRT",
        "raise": "ValueError: no such face",
        "hang": "did not answer within 6 s",
        "blind": "no face",
    }
    for mode, words in expected.items():
        assert words in cases[f"tiny {mode}"]["failed"]
    assert len(failures) == 4
    assert set(record["ratios"]) == {"tiny chatty"}
    assert not [child for child in psutil.Process().children() if "driver.py" in " ".join(child.cmdline())]
    text = "\n".join(peer_lines(record))
    assert text.count("NOT MEASURED") == 4
    assert "was not measured" in peers_body(record)


@pytest.mark.slow
def test_peer_that_cannot_be_installed_does_not_stop_the_others(tmp_path, cache):
    broken = tiny(tmp_path, "good", name="broken", needs="package-that-is-nowhere==7")
    record, failures, said = measure([tiny(tmp_path / "b", "good"), broken], cache)
    assert [failure.exit_code for failure in failures] == [7]
    assert [case["failed"] is None for case in record["cases"]] == [True, False]
    assert "package-that-is-nowhere" in record["cases"][1]["failed"]
    assert record["cases"][1]["install"] is None
    assert any("installing it into" in line for line in said)
    # Half an environment is no environment the next time.
    assert json.loads((cache / "broken" / MARKER).read_text()) == {"ready": False}


@pytest.mark.slow
def test_environment_is_used_again_until_its_pins_change(tmp_path, cache):
    peer = tiny(tmp_path, "good")
    prepare(peer, cache, say=lambda _: None)
    marker = cache / "tiny" / MARKER
    made = marker.stat().st_mtime_ns
    again = prepare(peer, cache, say=lambda _: None)
    assert again.facts["reused"]
    assert marker.stat().st_mtime_ns == made
    assert again.facts["packages"]["tinypeer"] == "1.0"
    assert again.facts["size_bytes"] > 1e6
    (peer.requirements.parent / "needs.txt").write_text("# other pins\n")
    (cache / "tiny" / "left over").write_text("of an older environment")
    other = prepare(peer, cache, say=lambda _: None)
    assert not (cache / "tiny" / "left over").exists()
    assert not other.facts["reused"]
    assert "tinypeer" not in other.facts["packages"]


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="no environment of this command"):
        prepare(tiny(tmp_path / "peer", "good"), tmp_path, say=lambda _: None)
    assert (tmp_path / "tiny" / "thesis.txt").read_text() == "mine"


def test_shipped_peers_are_pinned_and_readable():
    assert shipped_peers() == ["fer-edge", "facex", "fer"]
    peers = [read_peer(name) for name in shipped_peers()]
    check_names(peers)
    for peer in peers[1:]:
        lines = peer.requirements.read_text().split()
        assert all(line.count("==") == 1 for line in lines)
        assert f"{peer.name}=={peer.version}" in lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("driver =", "drivers ="), "unknown key 'drivers'"),
        (('"driver.py"', '"none.py"'), "there is no file"),
        (('name = "tiny"', 'name = "../tiny"'), "cannot be that of a folder"),
        (('version = "1.0"', ""), "'version' is missing"),
    ],
)
def test_description_that_cannot_be_used_is_refused(tmp_path, change, message):
    path = write_peer(tmp_path, ["good"])
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(ConfigError, match=message):
        read_peer(str(path))


def test_unknown_and_double_peers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Known: fer-edge, facex, fer"):
        read_peer("ferr")
    with pytest.raises(ConfigError, match="Two peers are named 'tiny'"):
        check_names([tiny(tmp_path, "good"), tiny(tmp_path, "good")])


def test_clips_are_the_same_at_every_run_and_say_where_their_faces_are(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = write_clips(tmp_path / "a", 2), write_clips(tmp_path / "b", 2)
    assert [clip.truth for clip in first] == [clip.truth for clip in second]
    sizes = []
    for one, two in zip(first, second, strict=True):
        assert all(Path(a).read_bytes() == Path(b).read_bytes() for a, b in zip(one.paths, two.paths, strict=True))
        height, width, _ = cv2.imread(one.paths[0]).shape
        sizes.append((width, height))
        for x1, y1, x2, y2 in one.truth[0]:
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
        assert one.truth[0] != one.truth[1]  # they move
    assert sizes == [size for size in SIZES for _ in range(2)]
    assert [len(clip.truth[0]) for clip in first] == [1, 4, 1, 4]


def test_box_counts_where_its_middle_is_inside_a_face():
    truth = [(0, 0, 10, 10), (20, 0, 30, 10)]
    assert matched([(2, 2, 12, 12), (3, 3, 9, 9)], truth) == 1  # two boxes on one face
    assert matched([(-5, -5, 14, 14), (40, 0, 50, 10)], truth) == 1
    assert matched([], truth) == 0


def test_memory_counts_what_the_process_started():
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'print(flush=True); input()']).wait()"
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        own = next(
            line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")
        )
        assert tree_peak_mib(process.pid) > int(own.split()[1]) / 1024 + 1
    finally:
        process.communicate(b"\n")
    assert tree_peak_mib(process.pid) is None


def test_ratios_are_of_the_same_round_and_goals_say_met_or_missed(tmp_path):
    peer = tiny(tmp_path, "good")
    ours = PeerRun(peer, PeerCase("fer-edge", "", {}), None)
    theirs = PeerRun(peer, PeerCase("fer", "", {}), None)
    for run, scale in ((ours, 1.0), (theirs, 8.0)):
        run.cold_start_s = [1.0 * scale, 2.0 * scale]  # the machine was slower in the second round
        run.peak_mib = [100.0 * min(scale, 3.0)] * 2
        run.frames_per_s = {"clip": [80 / scale, 40 / scale]}
        run.found, run.extra = {"clip": 1.0}, {"clip": 0.0}
    found = summarize([ours, theirs])
    assert found["ratios"]["fer"]["cold_start"] == {"median": 0.125, "min": 0.125, "max": 0.125, "n": 2}
    assert found["ratios"]["fer"]["frames_per_s"]["clip"]["median"] == 8
    assert [(goal["asked"], goal["met"]) for goal in found["goals"]] == [
        ("≥ 5 ×", True),
        ("≤ 0.25 ×", False),
        ("≤ 0.2 ×", True),
    ]


def test_label_that_the_data_does_not_have_is_wrong():
    found = score(["happy", "contempt", "angry", "happy"], np.array([1, 1, 0, 0]), ("angry", "happy"))
    assert found["accuracy"] == 0.5
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2, abs=1e-3)


def test_digest_of_the_checkout_follows_its_sources(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.hatch.build.targets.wheel]\npackages = ["one"]\n')
    (tmp_path / "one" / "__pycache__").mkdir(parents=True)
    (tmp_path / "one" / "a.py").write_text("1")
    before = source_digest(tmp_path)
    (tmp_path / "one" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "log").write_text("x")
    assert source_digest(tmp_path) == before
    (tmp_path / "one" / "a.py").write_text("2")
    assert source_digest(tmp_path) != before
    assert source_digest(find_checkout())
