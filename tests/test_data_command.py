"""``fer-edge data`` as a process: what goes to stdout, what people read, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import fer_edge
from places import SAMPLES

pytestmark = pytest.mark.train


def data(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return fer_edge("data", *arguments, env=os.environ | environment)


def scene(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).normal(128, 50, (6, 6)).clip(0, 255).astype(np.uint8)
    return cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC)


def line(label: object, picture: np.ndarray, usage: str) -> str:
    return f"{label},{' '.join(map(str, picture.ravel()))},{usage}"


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Twelve scenes; one training row is in PrivateTest too, mirrored, under another label; one is there twice."""
    rows = [line(number % 3, scene(number), "Training") for number in range(8)]
    rows += [line(0, scene(5), "Training"), line(1, scene(20), "PublicTest"), line(2, scene(21), "PrivateTest")]
    rows += [line(4, scene(2)[:, ::-1], "PrivateTest")]
    path = tmp_path / "<faces>.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


def test_inspect_counts_and_names_the_rows_that_cross(faces: Path) -> None:
    done = data("inspect", faces)

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Exact duplicates: 2 faces in 1 groups, 1 groups with several labels" in done.stderr
    assert (
        "Near-duplicates: 4 faces in 2 groups, 2 groups with several labels; 1 of 2 pairs are mirrored" in done.stderr
    )
    assert "near-duplicates of a face in another part: 1\n  line 4 (fear) and PrivateTest line 13 (sad)" in done.stderr
    assert "mirrored" in done.stderr
    assert "Picture sizes: 48×48 (12)" in done.stderr


def test_inspect_json_is_all_of_it_and_the_page_stands_alone(faces: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = data("inspect", faces, "--json", "--html", page)

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["rows"] == 12
    assert facts["counts"]["Training"]["angry"] == 4
    assert facts["crossing"] == [
        {
            "places": ["line 4", "line 13"], "parts": ["Training", "PrivateTest"], "labels": ["fear", "sad"],
            "correlation": 1.0, "mirrored": True,
        }
    ]  # fmt: skip
    assert facts["near_duplicates"]["pairs_by_parts"] == {"Training/Training": 1, "Training/PrivateTest": 1}
    text = page.read_text()
    assert text.count("<img") == 4 + 1 + 2  # classes with faces, crossing pair, pairs with different labels
    assert "&lt;faces&gt;.csv" in text
    assert "<faces>" not in text
    assert "http" not in text


def test_broken_rows_are_listed_with_their_lines_and_make_exit_code_6(faces: Path) -> None:
    with faces.open("a") as file:
        file.write("\n".join([line(9, scene(30), "Training"), line(1, scene(31)[:47], "Training")]) + "\n")

    refused, skipped = data("inspect", faces, "--json"), data("inspect", faces, "--json", "--skip-bad")

    assert refused.returncode == 6
    assert "line 14: emotion '9'" in refused.stderr
    assert "line 15: expected 2304 values (48×48) in the column 'pixels', found 2256" in refused.stderr
    assert "--skip-bad" in refused.stderr
    assert skipped.returncode == 0
    assert refused.stdout == skipped.stdout
    assert [row["place"] for row in json.loads(refused.stdout)["broken"]] == ["line 14", "line 15"]


def test_nothing_but_broken_rows_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("emotion,pixels,Usage\n1,2,3\n")

    done = data("inspect", path)

    assert done.returncode == 6
    assert "1 of 1 rows cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_page_that_cannot_be_written_is_exit_code_8(faces: Path, tmp_path: Path) -> None:
    done = data("inspect", faces, "--html", tmp_path / "none" / "page.html")

    assert done.returncode == 8
    assert "Traceback" not in done.stderr


def test_align_says_what_it_left_out_and_refuses_a_second_time(tmp_path: Path) -> None:
    for name, sample in {"happy": "astronaut.jpg", "cat": "chelsea.jpg"}.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        shutil.copy(SAMPLES / sample, tmp_path / "set" / name)

    first = data("align", tmp_path / "set", "--out", tmp_path / "out", "--detector", "short")
    second = data("align", tmp_path / "set", "--out", tmp_path / "out")

    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    assert "No face was found in 1, which are left out" in first.stderr
    assert "  cat/chelsea.jpg" in first.stderr
    assert f"1 faces of 48×48 pixels are in {tmp_path / 'out'}" in first.stderr
    assert (tmp_path / "out" / "happy" / "astronaut.png").is_file()
    assert second.returncode == 8
    assert "not empty" in second.stderr


@pytest.mark.parametrize("form", [[], ["--folders"]])
def test_fetch_without_account_or_network_says_what_is_needed(form: list[str], tmp_path: Path) -> None:
    pytest.importorskip("kagglehub")
    # A proxy that nobody listens on: the test has no network, wherever it runs.
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    done = data(
        "fetch", "--out", tmp_path / "out", *form, HOME=str(tmp_path), KAGGLE_CONFIG_DIR=str(tmp_path), **nowhere
    )

    assert done.returncode == 4
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (sentence,) = [said for said in done.stderr.splitlines() if said.startswith("fer-edge:")]
    assert all(part in sentence for part in ("kaggle.com/settings", "kaggle.json", "KAGGLE_USERNAME", "KAGGLE_KEY"))
    assert ("accept the rules" in sentence) is not bool(form)
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_fetch_with_a_token_but_no_network_says_so(tmp_path: Path) -> None:
    pytest.importorskip("kagglehub")
    (tmp_path / "kaggle.json").write_text(json.dumps({"username": "a", "key": "b"}))
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    done = data("fetch", HOME=str(tmp_path), KAGGLE_CONFIG_DIR=str(tmp_path), **nowhere)

    assert done.returncode == 4
    assert "Kaggle cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    for arguments in ([], ["inspect"], ["align"], ["fetch"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "fer_edge", "data", *arguments, "--help"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        loaded = {said.rpartition("|")[2].strip().split(".")[0] for said in done.stderr.splitlines()}
        assert not loaded & {"numpy", "cv2", "keras", "pyarrow", "kagglehub", "fer_edge_train"}
