"""``fer-edge evaluate`` as a process: the same figures for a run and for a bundle, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import fer_edge
from drawn import MOBILENET, SILENT, drawn_dataset, write_folders, write_parquet
from marks import TENSORS
from places import DEFAULT_BUNDLE, ROOT

from fer_edge_train.config import Distill
from fer_edge_train.data import FaceDataset, load_for
from fer_edge_train.distillation import teacher_targets
from fer_edge_train.evaluation import finish_run, read_npz
from fer_edge_train.network import build_training_model
from fer_edge_train.run_folder import Progress, RunFolder, read_json, write_json

pytestmark = pytest.mark.train
FER2013 = ROOT.parent / "shared" / "data" / "fer2013.parquet"
FIGURES = ("n", "accuracy", "interval95", "macro_f1")


def evaluate(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return fer_edge("evaluate", *arguments, timeout=400, cwd=cwd)


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr, "no colours where no terminal is"
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=5, selection=4, test=3)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset) -> Path:
    return write_parquet(tmp_path_factory.mktemp("data") / "faces.parquet", faces)


@pytest.mark.slow
def test_bundle_on_shipped_data_gives_the_figures_of_its_manifest() -> None:
    if not FER2013.is_file():
        pytest.skip(f"{FER2013} is not here")
    metrics = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text())["metrics"]
    expected = next(row for row in metrics if (row["artefact"], row["split"]) == ("model.int8.tflite", "PublicTest"))

    record = printed(evaluate("default", "--data", FER2013, "--engine", "litert", "--json"))

    (result,) = record["results"]
    assert {key: result[key] for key in FIGURES} == {key: expected[key] for key in FIGURES}
    assert (record["split"], record["protocol"], record["trained_on_this_data"]) == ("PublicTest", "single crop", True)


def test_bundle_is_evaluated_on_every_engine_and_protocol(parquet: Path, tmp_path: Path, faces: FaceDataset) -> None:
    pytest.importorskip("onnxruntime")
    done = evaluate("default", "--data", parquet, "--protocol", "all", "--split", "all", "--json", "--out", tmp_path / "page.html")  # fmt: skip

    record = printed(done)
    assert [result["artefact"] for result in record["results"]] == ["model.int8.tflite", "model.int8.onnx"]
    assert all(result["n"] == len(faces.labels) for result in record["results"])
    assert list(record["results"][0]["protocols"]) == ["single crop", "flip", "TenCrop"]
    assert record["dataset_digest"] == faces.digest()
    assert record["trained_on_this_data"] is False
    assert "not the data that default was trained on (its digest differs): a cross-data-set figure" in done.stderr
    assert "95 % interval" in done.stderr
    assert "Worst mistakes" in (tmp_path / "page.html").read_text()


def test_answers_of_a_bundle_teach(parquet: Path, tmp_path: Path, faces: FaceDataset) -> None:
    out = tmp_path / "teacher.npz"
    done = evaluate("default", "--data", parquet, "--engine", "litert", "--split", "Training", "--protocol", "flip", "--save-probabilities", out)  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    saved = read_npz(out)
    assert saved["probabilities"].shape == (35, 7)
    assert saved["probabilities"].dtype == np.float32
    assert np.array_equal(saved["labels"], faces.part("Training")[1])
    assert (str(saved["split"]), str(saved["digest"])) == ("Training", faces.digest())
    targets = teacher_targets(Distill(teachers=(str(out),), temperature=1.0), faces)
    shares = np.maximum(saved["probabilities"], 1e-7)
    assert targets == pytest.approx(shares / shares.sum(axis=1, keepdims=True), abs=1e-5)


def test_recipe_of_a_bundle_regroups_the_classes_and_an_option_replaces_it(tmp_path: Path, faces: FaceDataset) -> None:
    kept = np.ones(len(faces.labels), bool)
    kept[np.flatnonzero(faces.labels == faces.names.index("fear"))[::2]] = False  # so that fear's row is unlike angry's
    fewer = replace(faces, images=faces.images[kept], labels=faces.labels[kept], usage=faces.usage[kept])
    parquet = write_parquet(tmp_path / "faces.parquet", fewer)
    bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    classes = {name: [name] for name in manifest["labels"]} | {"fear": ["angry"], "angry": ["fear"]}
    manifest["provenance"]["recipe"]["data"] = {"classes": classes}
    write_json(bundle / "manifest.json", manifest)
    command = (bundle, "--data", parquet, "--engine", "litert", "--split", "all", "--json")

    regrouped = np.array(printed(evaluate(*command))["results"][0]["confusion"])
    own = tmp_path / "own.toml"
    own.write_text('architecture = "mobilenetv2"\n[data]\nferplus = "soft7"\n')
    soft_targets = evaluate(*command, "--recipe", own)
    plain = np.array(printed(soft_targets)["results"][0]["confusion"])

    assert "Without the votes of FER+, which change no label" in soft_targets.stderr
    assert np.array_equal(regrouped[[2, 1, 0, 3, 4, 5, 6]], plain)
    assert not np.array_equal(regrouped, plain)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, parquet: Path) -> Path:
    """A finished run of an untrained network: the files that an evaluation reads."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    data = load_for(MOBILENET, parquet)
    build_training_model(MOBILENET, 7)[0].save(folder / "model.keras")
    write_json(folder / "config.json", {
        "config": MOBILENET.to_dict(), "dataset_digest": data.digest(), "dataset": str(parquet), "labels": list(data.names),
        "counts": data.counts(),
    })  # fmt: skip
    finish_run(RunFolder(folder), MOBILENET, data, Progress(stage="done"), listener=SILENT)
    return folder


@pytest.mark.slow
@TENSORS
def test_run_gives_the_figures_of_its_metrics_file(
    run: Path, parquet: Path, tmp_path: Path, faces: FaceDataset
) -> None:
    expected = read_json(run / "metrics.json")["PrivateTest"]
    out = tmp_path / "a.npz"

    done = evaluate(run, "--data", parquet, "--split", "PrivateTest", "--protocol", "all", "--json", "--save-probabilities", out)  # fmt: skip

    record = printed(done)
    (result,) = record["results"]
    assert {key: result[key] for key in (*FIGURES, "confusion", "protocols")} == {
        key: expected[key] for key in (*FIGURES, "confusion", "protocols")
    }
    assert (record["kind"], result["artefact"], result["precision"]) == ("run", "model.keras", "float32")
    assert result["engine"].startswith("keras ")
    assert record["trained_on_this_data"] is True
    assert read_npz(out)["probabilities"] == pytest.approx(read_npz(run / "predictions.npz")["PrivateTest"], abs=1e-6)


@pytest.mark.slow
@TENSORS
def test_class_folders_in_another_order_are_matched_and_other_classes_refused(
    run: Path, tmp_path: Path, faces: FaceDataset
) -> None:
    config = read_json(run / "config.json")
    reordered = tmp_path / "reordered"
    reordered.mkdir()
    for name in ("model.keras", "metrics.json"):
        (reordered / name).write_bytes((run / name).read_bytes())
    write_json(reordered / "config.json", config | {"labels": config["labels"][::-1]})
    folders = write_folders(tmp_path / "faces", faces, form="plain")
    other = write_folders(tmp_path / "other", replace(faces, names=("a", "b", "c", "d", "e", "f", "g")), form="plain")

    plain = printed(evaluate(run, "--data", folders, "--split", "all", "--json"))
    turned = printed(evaluate(reordered, "--data", folders, "--split", "all", "--json"))
    refused = evaluate(run, "--data", other)

    assert np.array_equal(np.array(turned["results"][0]["confusion"])[::-1], plain["results"][0]["confusion"])
    assert refused.returncode == 6
    assert "has the classes a, b, c, d, e, f, g, but the run run knows angry, disgust" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none", "--data", "faces.parquet"], 6, "neither a training run nor a bundle at none"),
        ([".", "--data", "faces.parquet"], 6, "neither a training run nor a bundle at ."),
        (["broken.zip", "--data", "faces.parquet"], 5, "neither a bundle folder nor a readable zip"),
        (["unfinished", "--data", "faces.parquet"], 6, "has not finished"),
        (["unfinished", "--data", "faces.parquet", "--engine", "onnx"], 2, "--engine onnx is for bundles"),
        (["default", "--data", "none.parquet"], 6, "none.parquet"),
        (["default", "--data", "faces.parquet", "--split", "Test"], 2, "PublicTest"),
        (["default", "--data", "faces.parquet", "--protocol", "20"], 2, "tencrop"),
        (["default", "--data", "faces.parquet", "--recipe", "mobilenet2"], 2, "no recipe 'mobilenet2'"),
        (["default", "--data", "faces.parquet", "--out", "page.pdf"], 2, "page.pdf must end in .html"),
        (["default", "--data", "faces.parquet", "--out", "no/page.html"], 8, "the folder no does not exist"),
        (["default", "--data", "faces.parquet", "--save-probabilities", "a.csv"], 2, "a.csv must end in .npz"),
        (["default", "--data", "faces.parquet", "--save-probabilities", "a.npz"], 2, "choose one with --engine"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_sentence_and_its_exit_code(
    arguments: list[str], code: int, said: str, tmp_path: Path, parquet: Path
) -> None:
    (tmp_path / "faces.parquet").write_bytes(parquet.read_bytes())
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 half a bundle")
    (tmp_path / "unfinished").mkdir()
    write_json(tmp_path / "unfinished" / "config.json", {"config": {"architecture": "mobilenetv2"}})
    before = sorted(tmp_path.rglob("*"))

    done = evaluate(*arguments, "--json", cwd=tmp_path)

    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
