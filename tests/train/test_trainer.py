"""A run from faces to metrics: what it leaves, how it continues, and what it never looks at."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from disks import small_disk
from drawn import SILENT, TINY, drawn_dataset
from marks import TRAINING

from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_train.config import FineTuneStage, HeadStage
from fer_edge_train.data import USAGES, FaceDataset
from fer_edge_train.run_folder import Progress, load_run, read_json, write_json, write_whole
from fer_edge_train.trainer import Listener, class_weights, train

pytestmark = TRAINING


LEFT = [
    "config.json", "head.keras", "history.csv", "last-4.keras", "metrics.json", "model.keras", "predictions.npz", "progress.json",
    "tensorboard",
]  # fmt: skip


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=14, selection=4, test=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset) -> Path:
    """A complete run that nobody interrupted; tests only read it."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(TINY, faces, out, listener=SILENT)
    return out


def interrupting(after: str) -> Listener:
    """Ctrl-C at the first batch after the sentence that starts so."""
    heard: list[str] = []

    def step(_loss: float, _accuracy: float) -> None:
        if any(sentence.startswith(after) for sentence in heard):
            raise KeyboardInterrupt

    return replace(SILENT, say=heard.append, step=step)


def history(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything but the time it took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in metrics["history"]]


def files(out: Path) -> list[str]:
    return sorted(entry.name for entry in out.iterdir())


def weights_of(out: Path) -> list[np.ndarray]:
    return keras.models.load_model(out / "model.keras").get_weights()


# What a run leaves


def test_run_leaves_the_documented_files(finished: Path) -> None:
    assert files(finished) == LEFT
    _, config, record = load_run(finished)
    assert config == TINY
    assert record["labels"] == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert len(record["dataset_digest"]) == 64
    assert record["counts"]["Training"]["happy"] == 14
    assert {"python", "keras", "backend", "numpy"} < set(record["versions"])


def test_metrics_hold_every_epoch_and_both_parts(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())

    assert [(row["stage"], row["epoch"]) for row in metrics["history"]] == [
        ("head", 1), ("finetune", 1), ("finetune", 2), ("finetune", 3),
    ]  # fmt: skip
    assert all(math.isfinite(row["loss"]) for row in metrics["history"])
    for usage in ("PublicTest", "PrivateTest"):
        low, high = metrics[usage]["interval95"]
        assert metrics[usage]["n"] == 28
        assert low <= metrics[usage]["accuracy"] <= high
    assert metrics["history"][-1]["loss"] < metrics["history"][0]["loss"]


def test_kept_model_is_the_best_epoch_by_public_test(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    best = max(metrics["history"], key=lambda row: row["public_accuracy"])

    assert metrics["best_epoch"] == f"{best['stage']} {best['epoch']}"
    assert metrics["PublicTest"]["accuracy"] == best["public_accuracy"]


# Continuing


@pytest.mark.parametrize("after", ["Stage 1", "head 1/1", "fine-tune 1/3", "fine-tune 2/3"])
def test_interrupted_run_ends_as_if_it_had_not_been(
    after: str, tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, faces, out, listener=interrupting(after))
    assert not (out / "metrics.json").exists()

    metrics = train(TINY, faces, out, listener=SILENT, resume=True)

    # On the CPU TensorFlow repeats its sums in the same order, so the two runs are equal to the last digit.
    assert history(metrics) == history(read_json(finished / "metrics.json"))
    assert files(out) == files(finished)
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(out), weights_of(finished), strict=True))


def test_resume_after_a_crash_between_model_and_progress_repeats_the_epoch(
    tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(TINY, faces, out, listener=interrupting("fine-tune 1/3"))
    # The third epoch's model was written, the process died before progress.json was; and half of another file is there.
    shutil.copyfile(finished / "last-4.keras", out / "last-3.keras")
    (out / ".model.tmp123.keras").write_bytes(b"half")
    shutil.copyfile(finished / "last-4.keras", out / "best-3.keras")

    metrics = train(TINY, faces, out, listener=SILENT, resume=True)

    assert history(metrics) == history(read_json(finished / "metrics.json"))
    assert files(out) == files(finished)


def test_resume_after_a_crash_before_the_best_model_was_renamed_keeps_it(
    tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    progress = read_json(out / "progress.json")
    (out / "model.keras").rename(out / progress["candidate"])
    (out / "metrics.json").unlink()
    write_json(out / "progress.json", progress)

    metrics = train(TINY, faces, out, listener=SILENT, resume=True)

    assert metrics["PublicTest"]["accuracy"] == max(row["public_accuracy"] for row in metrics["history"])
    assert files(out) == files(finished)


def test_resume_of_a_complete_run_changes_nothing(tmp_path: Path, faces: FaceDataset, finished: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    before = {name: (out / name).read_bytes() for name in files(out) if name != "tensorboard"}
    said: list[str] = []

    metrics = train(TINY, faces, out, listener=replace(SILENT, say=said.append), resume=True)

    assert metrics == read_json(finished / "metrics.json")
    assert {name: (out / name).read_bytes() for name in before} == before
    assert said == [f"The run in {out} is already complete."]


def test_recipe_that_only_describes_itself_otherwise_resumes(
    tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    config = replace(TINY, reproduces="the same, in other words", expects="more", name="copy")

    assert train(config, faces, out, listener=SILENT, resume=True) == read_json(finished / "metrics.json")


def test_logs_hold_every_epoch_for_other_tools(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "history.csv").read_text().splitlines()))
    events = (finished / "tensorboard" / "events.out.tfevents.0.fer-edge").read_bytes()

    assert [(row["stage"], row["epoch"]) for row in rows] == [("head", "1"), *(("finetune", str(n)) for n in (1, 2, 3))]
    assert events.count(b"public_accuracy") == 4
    assert b"brain.Event:2" in events


def test_existing_run_without_resume_is_refused(faces: FaceDataset, finished: Path) -> None:
    with pytest.raises(ConfigError, match="already holds a training run.*--resume"):
        train(TINY, faces, finished, listener=SILENT)


def test_resume_with_another_recipe_is_refused_with_the_difference(faces: FaceDataset, finished: Path) -> None:
    other = replace(TINY, seed=8, finetune=replace(TINY.finetune, epochs=9))
    with pytest.raises(ConfigError, match=r"another recipe \(seed = 7, now 8; finetune\.epochs = 3, now 9\)"):
        train(other, faces, finished, listener=SILENT, resume=True)


def test_resume_with_other_data_is_refused(faces: FaceDataset, finished: Path) -> None:
    other = replace(faces, labels=faces.labels[::-1].copy())
    with pytest.raises(ConfigError, match="other data"):
        train(TINY, other, finished, listener=SILENT, resume=True)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("progress.json", b"{", r"progress\.json cannot be read as JSON"),
        ("progress.json", b"[]", r"progress\.json holds list"),
        ("progress.json", b'{"steps": 1}', r"progress\.json is not what fer-edge train wrote"),
        ("config.json", b"\xff", r"config\.json cannot be read as JSON"),
        ("last-4.keras", b"half a model", r"last-4\.keras cannot be read as a Keras model"),
    ],
)
def test_damaged_run_is_refused_by_name(
    name: str, content: bytes, expected: str, tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    progress = read_json(out / "progress.json") | {"stage": "finetune"}
    write_json(out / "progress.json", progress)
    (out / name).write_bytes(content)

    with pytest.raises(DataError, match=expected):
        train(TINY, faces, out, listener=SILENT, resume=True)


# Where it cannot write


@pytest.mark.parametrize("out", ["/dev/full/run", "/proc/run", "/dev/null"])
def test_run_folder_that_cannot_be_made_is_an_output_error(out: str, faces: FaceDataset) -> None:
    with pytest.raises(OutputError, match=f"run folder {out} cannot be made"):
        train(TINY, faces, Path(out), listener=SILENT)


def test_full_disk_ends_the_run_and_room_lets_it_continue(tmp_path: Path, faces: FaceDataset, finished: Path) -> None:
    out = tmp_path / "run"
    with small_disk(8_000), pytest.raises(OutputError, match=r"best-1\.keras cannot be written: .*MiB free"):
        train(TINY, faces, out, listener=SILENT)
    assert files(out) == ["config.json"], "nothing half-written"

    metrics = train(TINY, faces, out, listener=SILENT, resume=True)

    assert history(metrics) == history(read_json(finished / "metrics.json"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_write_whole_keeps_the_old_file_when_writing_fails(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(OutputError if error is OSError else error):
        write_whole(target, write)
    assert target.read_text() == "old"
    assert files(tmp_path) == ["a.json"]


def test_folder_with_other_files_is_refused_and_keeps_them(tmp_path: Path, faces: FaceDataset) -> None:
    for name in ("thesis.txt", ".thesis.tmp", ".thesis.tmp12.txt"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match="is not empty"):
        train(TINY, faces, tmp_path, listener=SILENT, resume=True)
    assert files(tmp_path) == [".thesis.tmp", ".thesis.tmp12.txt", "thesis.txt"]


def test_run_without_a_finished_epoch_is_started_anew_with_a_lower_rate(tmp_path: Path, faces: FaceDataset) -> None:
    out = tmp_path / "run"
    with small_disk(8_000), pytest.raises(OutputError):
        train(replace(TINY, head=replace(TINY.head, learning_rate=1.0)), faces, out, listener=SILENT)
    (out / "best-1.keras").write_bytes(b"not committed")
    (out / ".last-1.tmp12.keras").write_bytes(b"half")

    train(TINY, faces, out, listener=SILENT)

    assert load_run(out)[1] == TINY
    assert files(out) == LEFT


def test_finished_model_without_its_progress_is_not_written_over(
    tmp_path: Path, faces: FaceDataset, finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    (out / "progress.json").unlink()
    with pytest.raises(ConfigError, match="already holds a training run"):
        train(TINY, faces, out, listener=SILENT)
    assert (out / "model.keras").is_file()


def test_wrong_weights_leave_no_run_that_a_second_try_would_trip_over(tmp_path: Path, faces: FaceDataset) -> None:
    with pytest.raises(DataError, match="no weights file"):
        train(replace(TINY, weights=str(tmp_path / "none.weights.h5")), faces, tmp_path / "run", listener=SILENT)
    assert files(tmp_path / "run") == []


# What decides


def test_private_test_never_influences_what_is_chosen(tmp_path: Path, faces: FaceDataset, finished: Path) -> None:
    labels = faces.labels.copy()
    private = faces.usage == "PrivateTest"
    labels[private] = (labels[private] + 1) % 7
    images = faces.images.copy()
    images[private] = 255 - images[private]

    other = train(TINY, replace(faces, labels=labels, images=images), tmp_path / "run", listener=SILENT)

    first = read_json(finished / "metrics.json")
    assert history(other) == history(first)  # the same seed twice: equal to the last digit on TensorFlow's CPU
    assert other["best_epoch"] == first["best_epoch"]
    assert other["PublicTest"] == first["PublicTest"]
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(tmp_path / "run"), weights_of(finished), strict=True))
    assert other["PrivateTest"]["confusion"] != first["PrivateTest"]["confusion"]


def test_another_seed_gives_another_history(tmp_path: Path, faces: FaceDataset, finished: Path) -> None:
    other = replace(TINY, seed=8, finetune=replace(TINY.finetune, epochs=0))

    metrics = train(other, faces, tmp_path / "run", listener=SILENT)

    assert history(metrics)[0]["loss"] != history(read_json(finished / "metrics.json"))[0]["loss"]
    assert len(metrics["history"]) == 1


def test_early_stopping_counts_only_its_own_stage(tmp_path: Path, faces: FaceDataset) -> None:
    # A rate this small changes no prediction: every epoch after the first is no better than it.
    config = replace(
        TINY,
        head=HeadStage(epochs=3, learning_rate=1e-12),
        finetune=FineTuneStage(epochs=9, learning_rate=1e-12, unfreeze=0.0, patience=2),
    )

    metrics = train(config, faces, tmp_path / "run", listener=SILENT)

    assert [row["stage"] for row in metrics["history"]] == ["head"] * 3 + ["finetune"] * 2
    assert metrics["best_epoch"] == "head 1"
    assert read_json(tmp_path / "run" / "progress.json")["stage"] == "done"


@pytest.mark.parametrize("mode", ["none", "sqrt", "balanced"])
@pytest.mark.parametrize("counts", [[10, 10, 10], [100, 10, 1], [50, 0, 3]])
def test_class_weights_have_mean_one_over_the_rows(mode: str, counts: list[int]) -> None:
    labels = np.repeat(np.arange(3), counts)

    weights = class_weights(labels, 3, mode)

    assert weights[labels].mean() == pytest.approx(1)
    present = [weights[label] for label in range(3) if counts[label]]
    assert present == sorted(present)


def test_balanced_class_weights_are_the_inverse_frequency() -> None:
    assert class_weights(np.array([0, 0, 0, 1]), 2, "balanced") == pytest.approx([2 / 3, 2.0])
    assert class_weights(np.array([0, 0, 0, 1]), 2, "none") == pytest.approx([1, 1])


def test_parts_of_the_drawn_set_are_what_the_tests_think(faces: FaceDataset) -> None:
    assert [int(np.sum(faces.usage == usage)) for usage in USAGES] == [98, 28, 28]
    assert Progress().last_model == "last.keras"
