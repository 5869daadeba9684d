"""The tables out of benchmarks/results: machine and versions beside the figures, files of an older form, models that no longer ship."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import kept
import limit
import pytest
import sweep
from machine import describe_machine, measured_files, write_results
from page_tables import results
from page_tables.cells import made_with
from places import ROOT
from readme_tables import TABLES

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.shipped import shipped_names

OLD = {"cpu": "A processor", "cores": 2, "date": "2026-11-22"}
NEW = OLD | {
    "load_1min": 0.5, "python": "3.11.7", "commit": "058539c12ab3", "versions": {"fer-edge": "0.1.0", "onnxruntime": "1.31.1"},
}  # fmt: skip


def test_machine_names_every_library_that_is_timed_and_the_commit():
    machine = describe_machine()
    assert {"fer-edge", "ai-edge-litert", "onnxruntime", "numpy"} <= set(machine["versions"])
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no clone")
    assert machine["commit"].removesuffix("-dirty") == done.stdout[:12]


def test_versions_stand_beside_the_figures_and_older_files_are_still_shown():
    found = made_with({"machine": NEW})
    assert (
        found
        == "A processor, 2 cores, load 0.5; fer-edge 0.1.0 (058539c12ab3), onnxruntime 1.31.1, Python 3.11.7; 2026-11-22"
    )
    assert made_with({"machine": OLD}) == "A processor, 2 cores; 2026-11-22"


@pytest.mark.parametrize("name", ["stages", "startup", "read_data", "robustness", "int8", "flagships"])
def test_table_says_on_what_it_was_measured(name):
    assert "Python 3." in TABLES[name]()


def test_results_of_another_model_than_the_shipped_one_are_named(tmp_path, monkeypatch):
    bundles = [load_bundle(name) for name in shipped_names()]
    files = measured_files((bundle, artefact) for bundle in bundles for artefact in bundle.manifest.artefacts)
    assert files["default/model.int8.tflite"] == load_bundle("default").artefact("tflite").sha256
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    for name, measured in (
        ("flagships", files),
        ("robustness", files | {"default/model.int8.tflite": "0" * 64}),
        ("limit", {"somebody/model.int8.tflite": "0" * 64}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({"measured_files": measured}))
    (tmp_path / "pi_emulated.json").write_text("{}")
    assert results.other_files() == [
        "robustness.json was measured on another default/model.int8.tflite than the one that ships now.",
        "pi_emulated.json does not say which model files it was measured on.",
    ]


def test_check_warns_and_still_passes():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "readme_tables.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    sentences = results.other_files()
    assert [
        line.removeprefix("warning: ") for line in done.stderr.splitlines() if line.startswith("warning: ")
    ] == sentences
    assert done.returncode == 0 or "tables are not what the JSON files say" in done.stderr


@pytest.mark.parametrize(
    ("script", "rounds", "said"),
    [(limit, "10", "| depthwise 3×3 | 17 | "), (sweep, "1", "| faces | 16 | ")],
    ids=["limit", "sweep"],
)
def test_kept_measurement_becomes_a_table(tmp_path, monkeypatch, script, rounds, said):
    name = script.__name__
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert TABLES[name]() == results.NOT_MEASURED
    monkeypatch.setattr(kept, "write_results", partial(write_results, folder=tmp_path))
    monkeypatch.setattr(sys, "argv", [name, "--rounds", rounds])
    script.main()
    values = json.loads((tmp_path / f"{name}.json").read_text())
    assert {"load_1min", "throttled"} <= set(values["watched"]["before"])
    table = TABLES[name]()
    assert said in table
    assert "onnxruntime" in table
    assert not [sentence for sentence in results.other_files() if sentence.startswith(f"{name}.json")]
