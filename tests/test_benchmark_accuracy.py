"""`fer-edge benchmark accuracy` as a user runs it, on a few faces that the embedded bundle's golden vectors hold."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import fer_edge
from places import DEFAULT_BUNDLE, SAMPLES

from fer_edge_runtime.bundle import load_bundle
from fer_edge_train.ferplus import VOTES

THEIRS = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "sad": "sadness", "surprise": "surprise",
    "neutral": "neutral",
}  # fmt: skip


def accuracy(*arguments):
    return fer_edge("benchmark", "accuracy", *arguments)


@pytest.fixture(scope="module")
def golden():
    """(N, 48, 48) faces and the embedded model's own answer for each."""
    bundle = load_bundle()
    answers = bundle.expected["model.int8.tflite"].argmax(axis=1)
    return bundle.crops, [bundle.manifest.labels[answer] for answer in answers]


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """Class folders under other names; every face is where the model says, so that it is always right."""
    root = tmp_path_factory.mktemp("others")
    for number, (face, label) in enumerate(zip(*golden, strict=True)):
        path = root / THEIRS[label] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), face)
    return root


def pairs(folder):
    there = {path.name for path in folder.iterdir()}
    return [
        word
        for ours, theirs in THEIRS.items()
        if ours != theirs and theirs in there
        for word in ("--map", f"{theirs}={ours}")
    ]


def test_folder_with_other_names_is_measured_through_the_map(folder, golden, tmp_path):
    page = tmp_path / "page.html"
    done = accuracy("--data", folder, *pairs(folder), "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["schema"], record["command"], record["split"]) == (1, "benchmark accuracy", "all")
    assert record["trained_on_this_data"] is False
    assert "cross-data-set" in done.stderr
    assert [result["artefact"] for result in record["results"]] == ["model.int8.tflite", "model.int8.onnx"]
    first = record["results"][0]
    assert (first["n"], first["accuracy"]) == (len(golden[0]), 1.0)
    assert first["interval95"][0] < 1
    assert {"confusion", "macro_f1", "calibration", "per_class", "all"} <= set(first)
    assert page.read_text().count("<svg") >= 2


def test_map_in_a_file_and_one_engine(folder, tmp_path):
    path = tmp_path / "map.toml"
    path.write_text("".join(f'{t} = "{o}"\n' for o, t in THEIRS.items() if o != t and (folder / t).is_dir()))
    done = accuracy("--data", folder, "--map", path, "--engine", "onnx", "--json")
    assert [result["artefact"] for result in json.loads(done.stdout)["results"]] == ["model.int8.onnx"]


def test_names_without_a_map_are_refused_with_the_option(folder):
    done = accuracy("--data", folder)
    assert done.returncode == 6
    assert "--map" in done.stderr


def test_detector_finds_the_face_first_and_a_picture_without_one_is_wrong(tmp_path):
    for name, sample in (("happiness", "astronaut.jpg"), ("anger", "chelsea.jpg")):
        (tmp_path / name).mkdir()
        shutil.copy(SAMPLES / sample, tmp_path / name)
    arguments = ("--data", tmp_path, "--map", "happiness=happy", "--map", "anger=angry", "--engine", "litert", "--json")
    done = accuracy(*arguments, "--detect")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert (result["n"], result["accuracy"]) == (1, 1.0)
    assert (result["all"]["n"], result["all"]["accuracy"]) == (2, 0.5)
    assert result["all"]["counted_wrong"] == {"no face was found": 1}
    assert "no face was found" in done.stderr
    whole = accuracy(*arguments)
    assert "--detect finds the face first" in whole.stderr
    assert json.loads(whole.stdout)["results"][0]["n"] == 2


def test_faces_that_the_model_learned_from_flatter_it(golden, tmp_path):
    data = tmp_path / "fer2013.csv"
    with data.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("emotion", "pixels", "Usage"))
        for part in ("Training", "PublicTest", "PrivateTest"):
            for face, label in zip(*golden, strict=True):
                rows.writerow((list(THEIRS).index(label), " ".join(map(str, face.ravel())), part))
    first = accuracy("default", "--data", data, "--split", "Training", "--engine", "litert", "--json")
    assert first.returncode == 0, first.stderr
    assert "cross-data-set" in first.stderr
    assert "flatters" not in first.stderr
    bundle = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["provenance"]["dataset_digest"] = json.loads(first.stdout)["dataset_digest"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    for split, flattered in (("Training", True), ("PrivateTest", False)):
        done = accuracy(bundle, "--data", data, "--split", split, "--engine", "litert", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["trained_on_this_data"] is True
        assert (f"--split {split} flatters it" in done.stderr) is flattered


def test_ferplus_majority_counts_contempt_as_wrong(golden, tmp_path):
    faces, labels = golden
    data, votes = tmp_path / "fer2013.csv", tmp_path / "fer2013new.csv"
    codes = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    majority = [THEIRS[label] for label in labels]
    majority[0], majority[1] = "contempt", "NF"
    with data.open("w", newline="") as file, votes.open("w", newline="") as other:
        rows, lines = csv.writer(file), csv.writer(other)
        rows.writerow(["emotion", "pixels", "Usage"])
        lines.writerow(["Usage", "Image name", *VOTES])
        for face, label, most in zip(faces, labels, majority, strict=True):
            rows.writerow([codes.index(label), " ".join(map(str, np.ravel(face))), "PublicTest"])
            lines.writerow(["PublicTest", "", *(8 if vote == most else 0 for vote in VOTES)])
    done = accuracy("--data", data, "--labels", "ferplus", "--engine", "litert", "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert (result["n"], result["accuracy"]) == (len(faces) - 2, 1.0)
    assert result["all"]["n"] == len(faces) - 1  # the one that most find not a face is left out
    assert result["all"]["counted_wrong"] == {"the model has no such label": 1}
    assert "Left out: 1 faces" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data", "nothing"], 6, "no data set at nothing"),
        (["--data", "x.csv", "--detect"], 2, "class folders"),
        (["--data", ".", "--detect", "--labels", "ferplus"], 2, "--labels ferplus"),
        (["--data", ".", "--map", "anger"], 2, "CLASS=LABEL"),
        (["nothing", "--data", "."], 6, "neither a training run nor a bundle"),
        (["--data", ".", "--html", "page.txt"], 2, "must end in .html"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, code, said):
    done = accuracy(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert said in done.stderr
