"""What is kept of a measurement of peers, and the README's table of it."""

import json

import peers
import pytest
from page_tables.results import NOT_MEASURED
from readme_tables import TABLES

FLAGSHIPS = {
    "models": [
        {"name": "default tflite", "fer2013": {"accuracy": 0.7}},
        {"name": "fer 25.10.3", "fer2013": {"accuracy": 0.65}},
    ]
}


def middle(value):
    return {"median": value, "min": value, "max": value, "n": 1}


def case(name, accuracy, classifier_of=None):
    return {
        "name": name, "peer": name.split(",")[0], "words": f"{name}(): as it is", "classifier_of": classifier_of,
        "install": {"size_bytes": 2e9, "python": "3.11.7", "packages": {name: "1.0", "numpy": "2.0"}},
        "cold_start_s": middle(1.25), "peak_mib": middle(90.0), "accuracy": accuracy and {"accuracy": accuracy},
        "clips": {"640x480, 1 face": {"frames_per_s": middle(30.0), "faces_found": 0.9}},
    }  # fmt: skip


@pytest.fixture
def record():
    found = {"what": "peak memory", "asked": "≤ 0.25 ×", "found": middle(0.5), "met": False}
    return {
        "machine": {"cpu": "A CPU", "cores": 2, "before": {"load_1min": 0.1, "date": "2026-11-25T10:00:00+00:00"}},
        "machine_busy": False, "valid": True, "settings": {"rounds": 5}, "goals": [found, {"what": "accuracy, points more"}],
        "cases": [case("fer-edge", 0.701), case("fer", 0.649), case("fer, MTCNN", None, "fer"), case("facex", 0.5)],
    }  # fmt: skip


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr("page_tables.results.RESULTS", tmp_path)
    (tmp_path / "flagships.json").write_text(json.dumps(FLAGSHIPS))
    return tmp_path


def test_accuracy_stands_in_one_file_and_the_table_takes_it_from_there(record, results):
    kept = peers.refer(record, FLAGSHIPS)
    assert [one["accuracy"] for one in kept["cases"]] == [
        {"file": "flagships.json", "model": "default tflite"}, {"file": "flagships.json", "model": "fer 25.10.3"}, None, {"accuracy": 0.5},
    ]  # fmt: skip
    (results / "peers.json").write_text(json.dumps(kept))
    text = TABLES["peers"]()
    assert "| fer, MTCNN | 2,000 MB | 1.25 s | 90 MiB | 30.0 (90%) | 65.00% |" in text
    assert "peak memory 0.5 × `fer`'s (0.5 to 0.5; goal ≤ 0.25 ×, missed); accuracy +5.0 points (goal > 0, met)" in text


def test_figures_of_a_machine_at_work_do_not_reach_the_readme(record, results):
    assert TABLES["peers"]() == NOT_MEASURED
    (results / "peers.json").write_text(json.dumps(record | {"machine_busy": True}))
    assert TABLES["peers"]() == NOT_MEASURED


def test_accuracy_that_contradicts_the_other_file_is_not_written(record):
    record["cases"][0]["accuracy"]["accuracy"] = 0.6
    with pytest.raises(SystemExit, match="Run benchmarks/flagships"):
        peers.refer(record, FLAGSHIPS)
