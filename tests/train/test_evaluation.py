"""Three ways to look at a face, and what a finished run says about itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import SILENT, TINY, drawn_dataset
from marks import TRAINING

from fer_edge_runtime.errors import DataError, OutputError
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import (
    FINAL,
    PROTOCOLS,
    evaluate_protocols,
    finish_run,
    flip_views,
    keras_predictor,
    match_labels,
    predict_protocols,
    read_npz,
    save_npz,
    ten_crops,
)
from fer_edge_train.metrics import evaluate
from fer_edge_train.network import build_training_model
from fer_edge_train.run_folder import Progress, RunFolder, read_json
from fer_edge_train.trainer import Listener

pytestmark = TRAINING

HISTORY = [
    {"stage": "head", "epoch": 1, "public_accuracy": 0.2, "public_loss": 1.5},
    {"stage": "head", "epoch": 2, "public_accuracy": 0.3, "public_loss": 1.7},
    {"stage": "head", "epoch": 3, "public_accuracy": 0.3, "public_loss": 1.6},
    {"stage": "finetune", "epoch": 1, "public_accuracy": 0.4, "public_loss": 1.2},
]


def unseen(*_: object) -> None:
    """Shows nothing."""


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 48, 48), np.uint8)


def left_and_right(faces: np.ndarray) -> np.ndarray:
    """(N, 2) float32: the shares of light in the two halves of every face."""
    light = np.stack([faces[:, :, :24].sum((1, 2)), faces[:, :, 24:].sum((1, 2))], axis=1).astype(np.float32)
    return light / light.sum(axis=1, keepdims=True)


# Views


def test_flip_is_the_face_and_its_mirror_image() -> None:
    faces = noise(3)
    plain, mirrored = flip_views(faces)

    assert np.array_equal(plain, faces)
    assert np.array_equal(mirrored[1, :, 0], faces[1, :, 47])


def test_ten_crops_are_corners_and_centre_enlarged_with_their_mirrors() -> None:
    faces = noise(2)
    views = ten_crops(faces)

    assert len(views) == 10
    assert all(view.shape == (2, 48, 48) and view.dtype == np.uint8 for view in views)
    for number, (top, left) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]):
        crop = faces[1, top : top + 44, left : left + 44]
        expected = cv2.resize(crop, (48, 48), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(views[2 * number][1], expected)
        assert np.array_equal(views[2 * number + 1][1], expected[:, ::-1])


@pytest.mark.parametrize("n", [1, 256, 300, 513])
def test_answers_stay_in_row_order_and_every_batch_has_one_shape(n: int) -> None:
    shapes, seen = set(), []

    def predict(faces: np.ndarray) -> np.ndarray:
        shapes.add(faces.shape)
        return left_and_right(faces)

    faces = noise(n)
    found = predict_protocols(predict, faces, progress=lambda *told: seen.append((told[0], len(told[1]), told[2])))

    assert np.array_equal(found["single crop"], left_and_right(faces))
    assert found["flip"] == pytest.approx(0.5)  # what one half loses in the mirror the other gains
    assert found["TenCrop"] == pytest.approx(0.5, abs=1e-6)
    assert len(shapes) == 1
    for protocol in PROTOCOLS:
        assert (protocol, 0, n) in seen
        assert (protocol, n, n) in seen


def test_evaluation_holds_all_figures_of_the_single_crop_and_the_accuracy_of_each_protocol() -> None:
    faces, names = noise(50), ("left", "right")
    labels = left_and_right(faces).argmax(axis=1)

    result = evaluate_protocols(left_and_right, faces, labels, names, progress=unseen)

    assert {key: result[key] for key in result if key != "protocols"} == evaluate(labels, left_and_right(faces), names)
    assert list(result["protocols"]) == ["single crop", "flip", "TenCrop"]
    assert result["protocols"]["single crop"] == {"accuracy": 1.0, "interval95": result["interval95"]}
    assert result["protocols"]["flip"]["accuracy"] < 1, "the mean of both halves knows nothing"


def test_answers_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        predict_protocols(lambda faces: np.full((len(faces), 2), np.nan, np.float32), noise(2), progress=unseen)


# A finished run


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=2, selection=4, test=5)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained networks of different seeds, as ``model.keras`` and ``head.keras``."""
    import keras

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("model.keras", "head.keras")):
        keras.utils.set_random_seed(seed)
        build_training_model(TINY, 7)[0].save(folder / name)
    return folder


def run_with(models: Path, folder: Path, *names: str) -> RunFolder:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((models / name).read_bytes())
    return RunFolder(folder)


def test_run_writes_what_it_returns_and_the_answers_behind_it(tmp_path: Path, models: Path, faces: FaceDataset) -> None:
    run = run_with(models, tmp_path / "run", "model.keras", "head.keras")
    titles, steps = [], []
    listener = Listener(start=lambda title, count: titles.append((title, count)), step=lambda *told: steps.append(told))

    metrics = finish_run(
        run, TINY, faces, Progress(best_epoch="finetune 1", history=HISTORY, stage="done"), listener=listener
    )

    assert metrics == read_json(run.metrics_file)
    assert (metrics["best_epoch"], metrics["history"]) == ("finetune 1", HISTORY)
    saved = read_npz(run.path / "predictions.npz")
    for usage, n in (("PublicTest", 28), ("PrivateTest", 35)):
        pictures, labels = faces.part(usage)
        expected = keras_predictor(run.best_model)(pictures)
        assert saved[usage].dtype == np.float32
        assert saved[usage] == pytest.approx(expected, abs=1e-6)
        assert {key: metrics[usage][key] for key in metrics[usage] if key != "protocols"} == evaluate(
            labels, saved[usage], faces.names
        )
        assert tuple(metrics[usage]["protocols"]) == FINAL[usage]
        frozen = metrics["without_finetuning"][usage]
        head = evaluate(labels, keras_predictor(run.path / "head.keras")(pictures), faces.names)
        assert (frozen["n"], frozen["confusion"]) == (n, head["confusion"])
        assert frozen["log_loss"] == pytest.approx(head["log_loss"], abs=1e-4)
    assert metrics["without_finetuning"]["best_epoch"] == "head 2"
    assert ("PrivateTest, TenCrop", 1) in titles
    assert len(steps) == len(titles) == 7
    assert all(0 <= accuracy <= 1 < loss for loss, accuracy in steps)


def test_run_of_one_stage_has_nothing_to_compare_with(tmp_path: Path, models: Path, faces: FaceDataset) -> None:
    run = run_with(models, tmp_path / "run", "model.keras")

    assert "without_finetuning" not in finish_run(run, TINY, faces, Progress(history=HISTORY), listener=SILENT)


def test_best_epoch_of_the_head_follows_what_the_recipe_monitors(
    tmp_path: Path, models: Path, faces: FaceDataset
) -> None:
    run = run_with(models, tmp_path / "run", "model.keras", "head.keras")

    metrics = finish_run(run, replace(TINY, monitor="loss"), faces, Progress(history=HISTORY), listener=SILENT)

    assert metrics["without_finetuning"]["best_epoch"] == "head 1"


@pytest.mark.parametrize("content", [None, b"", b"half a model"])
def test_damaged_model_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.keras cannot be read as a Keras model"):
        keras_predictor(tmp_path / "model.keras")


# Files and names


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_answers_are_refused_by_name(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "predictions.npz"
    save_npz(path, {"PublicTest": np.random.default_rng(0).random((500, 7), np.float32)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])

    with pytest.raises(DataError, match=r"predictions\.npz cannot be read as \.npz"):
        read_npz(path)


def test_answers_damaged_inside_or_pickled_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_npz(path, {"a": np.zeros(1000)})
    raw = bytearray(path.read_bytes())
    raw[60:70] = bytes(10)
    path.write_bytes(raw)
    with pytest.raises(DataError):
        read_npz(path)
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(DataError):
        read_npz(path)


def test_answers_are_not_half_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none/a\.npz cannot be written"):
        save_npz(tmp_path / "none" / "a.npz", {"a": np.zeros(1)})


def test_labels_are_matched_by_name(faces: FaceDataset) -> None:
    names = faces.names[::-1]
    matched = match_labels(faces, names, model="the run x")

    assert matched.names == names
    assert [names[label] for label in matched.labels] == [faces.names[label] for label in faces.labels]
    assert np.array_equal(matched.images, faces.images)
    assert match_labels(faces, faces.names, model="the run x") is faces


@pytest.mark.parametrize(
    "names", [("angry", "happy"), ("angry", "disgust", "fear", "happy", "sad", "surprise", "calm")]
)
def test_other_class_names_are_refused_with_both(faces: FaceDataset, names: tuple[str, ...]) -> None:
    with pytest.raises(
        DataError, match=f"has the classes angry, disgust.*neutral, but the run x knows {', '.join(names)}"
    ):
        match_labels(faces, names, model="the run x")
