"""Every option of a recipe does something in a real run, and the run survives what it meets."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn import MOBILENET, SILENT, TINY, drawn_dataset, write_parquet
from marks import TRAINING

from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_train.config import Augment, Distill, FineTuneStage, HeadStage, Top, TrainConfig
from fer_edge_train.data import FaceDataset
from fer_edge_train.network import build_training_model
from fer_edge_train.planning import dry_run
from fer_edge_train.run_folder import RunFolder, read_json
from fer_edge_train.trainer import predict, train

pytestmark = TRAINING
SHORT = replace(TINY, finetune=replace(TINY.finetune, epochs=1))


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=14, selection=4, test=4)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(SHORT, faces, out, listener=SILENT)
    return out


def two_classes(faces: FaceDataset) -> FaceDataset:
    keep = (faces.labels == 0) | (faces.labels == 6)
    return FaceDataset(
        faces.images[keep],
        (faces.labels[keep] == 6).astype(np.int64),
        faces.usage[keep],
        ("negative", "positive"),
        "drawn",
    )


OPTIONS = {
    "sgd with plateau": replace(SHORT, finetune=FineTuneStage(epochs=2, optimizer="sgd", schedule="plateau", patience=2)),
    "adamw with cosine": replace(SHORT, head=HeadStage(1, optimizer="adamw", schedule="cosine", weight_decay=1e-2)),
    "focal, mixup, balanced": replace(SHORT, focal=2.0, sampling="balanced", augment=Augment(mixup=0.2)),
    "noise, erasing": replace(SHORT, augment=Augment(noise=0.1, erase=0.5)),
    "dense head": replace(SHORT, top=Top(pool="flatten", batch_norm=True, dense=(16, 8), l2=1e-3)),
    "mixed precision": replace(SHORT, precision="mixed_bfloat16"),
    "validation loss": replace(SHORT, monitor="loss", finetune=replace(TINY.finetune, epochs=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_option_trains_and_learns(name: str, tmp_path: Path, faces: FaceDataset) -> None:
    config = OPTIONS[name]

    metrics = train(config, faces, tmp_path / "run", listener=SILENT)

    assert len(metrics["history"]) == config.head.epochs + config.finetune.epochs
    assert metrics["PublicTest"]["n"] == 28
    kept = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert all(layer.compute_dtype == "float32" for layer in kept.get_layer("tiny").layers)
    if config.monitor == "loss":
        best = min(metrics["history"], key=lambda row: row["public_loss"])
        assert metrics["best_epoch"] == f"{best['stage']} {best['epoch']}"


def test_sigmoid_head_gives_the_two_probabilities_of_one_logit(tmp_path: Path, faces: FaceDataset) -> None:
    config = replace(SHORT, top=Top(sigmoid=True), label_smoothing=0.0)
    metrics = train(config, two_classes(faces), tmp_path / "run", listener=SILENT)

    graph = keras.models.load_model(tmp_path / "run" / "model.keras")
    classifier = graph.get_layer("tiny")
    logit = keras.Model(classifier.input, classifier.get_layer("logit").output)
    pixels = np.random.default_rng(1).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    z = np.asarray(logit(pixels))[:, 0]

    assert np.asarray(classifier(pixels)) == pytest.approx(
        np.stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))], axis=1), abs=1e-6
    )
    assert metrics["PublicTest"]["n"] == 8
    with pytest.raises(ConfigError, match=r"top\.sigmoid = true needs two classes, the data has 7"):
        build_training_model(config, 7)


def test_averaged_weights_are_kept_and_the_raw_ones_go_on(tmp_path: Path, faces: FaceDataset) -> None:
    config = replace(SHORT, ema=0.9, head=HeadStage(epochs=0), finetune=replace(TINY.finetune, epochs=2, unfreeze=1.0))
    metrics = train(config, faces, tmp_path / "averaged", listener=SILENT)
    train(replace(config, ema=0.0), faces, tmp_path / "raw", listener=SILENT)

    last = {
        name: keras.models.load_model(tmp_path / name / "last-2.keras").get_weights() for name in ("averaged", "raw")
    }
    kept = keras.models.load_model(tmp_path / "averaged" / "model.keras").get_weights()

    assert all(np.array_equal(a, b) for a, b in zip(last["averaged"], last["raw"], strict=True)), (
        "averaging only watches"
    )
    assert any(not np.array_equal(a, b) for a, b in zip(kept, last["averaged"], strict=True))
    best = max(row["public_accuracy"] for row in metrics["history"])
    assert metrics["PublicTest"]["accuracy"] == best


def test_plateau_lowers_the_rate_when_nothing_improves(tmp_path: Path, faces: FaceDataset) -> None:
    stage = FineTuneStage(epochs=4, learning_rate=1e-12, unfreeze=0.0, schedule="plateau", optimizer="adam", patience=0)
    metrics = train(
        replace(TINY, head=HeadStage(epochs=0), finetune=replace(stage, patience=4)),
        faces,
        tmp_path / "run",
        listener=SILENT,
    )

    rates = [row["learning_rate"] for row in metrics["history"]]

    assert rates[:3] == pytest.approx([1e-12] * 3)
    assert rates[3] == pytest.approx(2e-13)


# Teachers


def test_student_learns_from_a_run_and_from_saved_probabilities(
    tmp_path: Path, faces: FaceDataset, teacher: Path
) -> None:
    graph = keras.models.load_model(teacher / "model.keras")
    images, _ = faces.part("Training")
    saved = tmp_path / "teacher.npz"
    mean = (predict(graph, images, 32) + predict(graph, images[:, :, ::-1], 32)) / 2
    np.savez(saved, probabilities=mean, names=np.array(faces.names), digest=faces.digest())
    histories = []
    for name, teachers in (
        ("run", (str(teacher),)),
        ("saved", (str(saved),)),
        ("both", (str(teacher), str(saved))),
        ("none", ()),
    ):
        config = replace(SHORT, distill=Distill(teachers, weight=0.7, temperature=2.0))
        history = train(config, faces, tmp_path / name, listener=SILENT)["history"]
        histories.append([row["loss"] for row in history])

    assert histories[0] == histories[1] == pytest.approx(histories[2], abs=1e-4)
    assert histories[0] != histories[3]


def test_teachers_that_do_not_fit_are_refused(tmp_path: Path, faces: FaceDataset, teacher: Path) -> None:
    other = drawn_dataset(training=14, selection=4, test=4, seed=5)

    def attempt(data: FaceDataset, *teachers: Path) -> None:
        config = replace(SHORT, distill=Distill(tuple(map(str, teachers))))
        train(config, data, tmp_path / "run", listener=SILENT)

    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "short.npz", probabilities=np.ones((3, 7)), names=np.array(faces.names), digest="x")
    with pytest.raises(DataError, match="knows the classes angry.*this recipe asks for negative, positive"):
        attempt(two_classes(faces), teacher)
    with pytest.raises(DataError, match=r"broken\.npz holds no teacher probabilities.*--save-probabilities"):
        attempt(faces, tmp_path / "broken.npz")
    with pytest.raises(DataError, match=r"no teacher at .*missing\.npz\. Give a finished run folder"):
        attempt(faces, tmp_path / "missing.npz")
    with pytest.raises(DataError, match="made from other rows than these 98"):
        attempt(faces, tmp_path / "short.npz")
    with pytest.raises(DataError, match="was trained on other rows or another split.*--save-probabilities"):
        attempt(other, teacher)
    with pytest.raises(DataError, match="not a run folder"):
        attempt(faces, tmp_path)


# What goes wrong


def test_loss_that_is_no_number_ends_the_run_with_advice_and_keeps_what_was_done(
    tmp_path: Path, faces: FaceDataset
) -> None:
    config = replace(
        TINY, finetune=replace(TINY.finetune, learning_rate=10.0, optimizer="sgd", schedule="constant", unfreeze=1.0)
    )
    broken = replace(faces, targets=np.full((len(faces.labels), 7), np.nan, np.float32))

    with pytest.raises(ConfigError, match="head 1/1: the loss of step 1 gave NaN or infinity.*learning rate"):
        train(config, broken, tmp_path / "run", listener=SILENT)

    assert sorted(entry.name for entry in (tmp_path / "run").iterdir()) == ["config.json"]


def test_second_process_in_the_same_folder_is_refused(tmp_path: Path, faces: FaceDataset) -> None:
    with RunFolder(tmp_path / "run").locked(), pytest.raises(ConfigError, match="Another process is training in"):
        train(TINY, faces, tmp_path / "run", listener=SILENT)


def test_dry_run_measures_both_stages_and_writes_nothing(tmp_path: Path, faces: FaceDataset) -> None:
    said: list[str] = []

    found = dry_run(MOBILENET, faces, said.append)

    assert found["total_minutes"] >= 0
    assert found["peak_mib"] > 50
    assert [line.split(":")[0] for line in said[:2]] == ["head", "fine-tune"]
    assert "layers learn" in said[1]
    assert re.match(r"About \d+(\.\d)? (s|min|h) in all", said[2])
    assert list(tmp_path.iterdir()) == []


def test_imagenet_weights_without_a_network_or_a_source_are_refused() -> None:
    with pytest.raises(DataError, match="no ImageNet weights for cnn4.*--weights none"):
        build_training_model(TrainConfig("cnn4", weights="imagenet", input_size=32), 7)


@pytest.mark.slow
def test_run_killed_at_any_moment_resumes_to_the_same_length_with_its_best_weights(tmp_path: Path) -> None:
    data, recipe = (
        write_parquet(tmp_path / "faces.parquet", drawn_dataset(training=14, selection=4, test=4)),
        tmp_path / "tiny.toml",
    )
    recipe.write_text(
        'architecture = "cnn4"\ninput_size = 32\nwidth = 0.1\nbatch_size = 16\nema = 0.5\n'
        "head = {epochs = 1}\nfinetune = {epochs = 6, learning_rate = 1e-2, unfreeze = 1.0, patience = 0}\n"
    )
    out = tmp_path / "run"
    command = [sys.executable, "-m", "fer_edge", "train", str(recipe), "--data", str(data), "--out", str(out)]
    for spoken in (
        "head 1/1: ",
        "fine-tune 2/6: ",
        "fine-tune 4/6: ",
    ):  # killed while the epoch after it runs or is written
        resume = [] if spoken.startswith("head") else ["--resume"]
        with subprocess.Popen([*command, *resume], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any(line.startswith(spoken) for line in process.stderr), "it ended before it could be killed"
            process.kill()
        best = max(row["public_accuracy"] for row in read_json(out / "progress.json")["history"])

    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    metrics = read_json(out / "metrics.json")
    assert [(row["stage"], row["epoch"]) for row in metrics["history"]] == [
        ("head", 1),
        *(("finetune", n) for n in range(1, 7)),
    ]
    assert metrics["PublicTest"]["accuracy"] == max(row["public_accuracy"] for row in metrics["history"]) >= best
    assert not list(out.glob(".*")), "no half-written file stays"
