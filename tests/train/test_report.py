"""The page of a run: one file, for people, from whatever the run holds."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import TINY, drawn_dataset

from fer_edge_runtime.errors import DataError, OutputError
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import save_npz, score_protocols
from fer_edge_train.plots import curves
from fer_edge_train.report import worst_mistakes, write_evaluation, write_report
from fer_edge_train.run_folder import read_json, write_json

pytestmark = pytest.mark.train


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("h1", "h2"):
            self.headings.append(data)
        if self._inside != "style":
            self.words += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def answers(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    scores = np.exp(generator.normal(0, 1, (len(labels), classes)) + 2 * np.eye(classes)[labels])
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def result(labels: np.ndarray, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    found = answers(labels, len(names), seed)
    return score_protocols(labels, {"single crop": found, "flip": found, "TenCrop": found}, names)


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return drawn_dataset(training=2, selection=6, test=6)


@pytest.fixture
def run(tmp_path: Path, faces: FaceDataset) -> Path:
    return make_run(tmp_path / "run <1>", faces)


def make_run(path: Path, faces: FaceDataset) -> Path:
    """A finished run's files, all but the models, which a page does not need."""
    path.mkdir()
    (path / "model.keras").write_bytes(b"")
    write_json(path / "config.json", {
        "config": TINY.to_dict() | {"reproduces": "a system & its <figures>", "expects": "60 % on PrivateTest"},
        "dataset_digest": "d" * 64, "split_hash": "s" * 64, "dataset": faces.source, "labels": list(faces.names),
        "counts": faces.counts(), "versions": {"keras": "3.99"}, "git_commit": None, "parameters": 12345,
    })  # fmt: skip
    history = [
        {
            "stage": stage, "epoch": epoch, "loss": 2 / epoch, "accuracy": 0.3, "public_loss": 2.1 / epoch, "public_accuracy": 0.3,
            "public_macro_f1": 0.2, "learning_rate": rate, "seconds": 90,
        }
        for stage, rate, epochs in (("head", 1e-3, 2), ("finetune", 0.0, 3))
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    labels = {usage: faces.part(usage)[1] for usage in ("PublicTest", "PrivateTest")}
    without = {usage: result(rows, faces.names, 8) for usage, rows in labels.items()}
    write_json(path / "metrics.json", {
        "artefact": "training graph, float32", "protocol": "single crop", "best_epoch": "finetune 3", "history": history,
        **{usage: result(rows, faces.names, 7) for usage, rows in labels.items()},
        "without_finetuning": {"best_epoch": "head 2", **without},
    })  # fmt: skip
    save_npz(path / "predictions.npz", {usage: answers(rows, len(faces.names), 7) for usage, rows in labels.items()})
    return path


def test_page_holds_every_part_and_needs_no_other_file(run: Path, faces: FaceDataset) -> None:
    target = write_report(run, faces)

    text = target.read_text()
    page, metrics = Page(text), read_json(run / "metrics.json")
    assert target == run / "report.html"
    for part in (
        "run <1>: tiny", "With and without fine-tuning", "Training", "PublicTest", "PrivateTest", "Worst mistakes",
        "Data, recipe and versions",
    ):  # fmt: skip
        assert part in page.headings
    for said in (
        "a system & its <figures>", "60 % on PrivateTest", "12,345", "TenCrop", "macro-precision", "Calibration", "d" * 64,
        "s" * 64, "3.99", "apparent expressions, not feelings", "[finetune]", "5 epochs in 7.5 minutes",
        f"{metrics['PrivateTest']['accuracy']:.2%}",
    ):  # fmt: skip
        assert said in page.words, said
    assert not page.all("link")
    assert not page.all("script")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not re.search(r"""(src|href)=["']?http|url\(http""", text)
    assert len(text) < 1_000_000


def test_confusion_has_a_named_row_and_column_of_counts_for_every_class(run: Path, faces: FaceDataset) -> None:
    text = write_report(run, faces).read_text()

    (first, _) = re.findall(r"<table class='confusion'>.*?</table>", text, re.DOTALL)
    assert tuple(re.findall(r"<th scope='col'>(\w+)</th>", first)) == faces.names
    assert tuple(re.findall(r"<th scope='row'>(\w+)</th>", first)) == faces.names
    counts = [int(count) for count in re.findall(r">(\d+)<br>", first)]
    assert counts == np.array(read_json(run / "metrics.json")["PublicTest"]["confusion"]).ravel().tolist()
    assert not re.search(r"\{\w+\}", first)


def test_every_picture_has_words_and_every_plot_follows_the_page_colours(run: Path, faces: FaceDataset) -> None:
    page = Page(write_report(run, faces).read_text())

    assert len(page.all("svg")) == 9
    assert all(svg["aria-label"] and svg["role"] == "img" for svg in page.all("svg"))
    assert all(
        re.fullmatch(r"face labelled \w+, predicted \w+ with \d+%", image["alt"] or "") for image in page.all("img")
    )
    assert "#010203" not in (run / "report.html").read_text()
    assert "prefers-color-scheme" in (run / "report.html").read_text()
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_gain_of_fine_tuning_is_the_difference_of_the_two_models(run: Path, faces: FaceDataset) -> None:
    metrics = read_json(run / "metrics.json")
    points = 100 * (metrics["PrivateTest"]["accuracy"] - metrics["without_finetuning"]["PrivateTest"]["accuracy"])

    page = Page(write_report(run, faces).read_text())

    assert f"{points:+.2f} points" in page.words
    assert "best epoch: head 2" in page.words


def test_old_run_shows_what_it_has(run: Path) -> None:
    """What version 0.1 wrote: no protocols, no calibration, no validation loss, no comparison."""
    metrics = read_json(run / "metrics.json")
    kept = ("n", "accuracy", "interval95", "macro_f1", "per_class", "confusion")
    for usage in ("PublicTest", "PrivateTest"):
        metrics[usage] = {key: metrics[usage][key] for key in kept}
    new = ("public_loss", "learning_rate")
    metrics["history"] = [{key: row[key] for key in row if key not in new} for row in metrics["history"]]
    del metrics["without_finetuning"]
    write_json(run / "metrics.json", metrics)
    record = read_json(run / "config.json")
    for key in ("split_hash", "git_commit", "parameters"):
        del record[key]
    old = ("architecture", "input_size", "width", "split", "seed", "batch_size", "dropout", "head")
    record["config"] = {key: record["config"][key] for key in old} | {"finetune": {"epochs": 3}}
    record["weights"] = "/somewhere/notop.weights.h5"
    write_json(run / "config.json", record)
    (run / "predictions.npz").unlink()

    page = Page(write_report(run).read_text())

    assert page.headings == ["run <1>: tiny", "Training", "PublicTest", "PrivateTest", "Data, recipe and versions"]
    assert len(page.all("svg")) == 4
    assert "notop.weights.h5" in page.words


def test_two_classes_have_a_roc_curve_and_a_positive_class(run: Path) -> None:
    metrics, record = read_json(run / "metrics.json"), read_json(run / "config.json")
    labels, names = np.arange(60) % 2, ("calm", "<i>agitated")
    for usage in ("PublicTest", "PrivateTest"):
        metrics[usage] = result(labels, names, 1)
    del metrics["without_finetuning"]
    record |= {"labels": list(names), "counts": {usage: dict.fromkeys(names, 30) for usage in record["counts"]}}
    record["config"]["split"] = "binary-60-20-20"
    write_json(run / "metrics.json", metrics)
    write_json(run / "config.json", record)

    text = write_report(run).read_text()

    page = Page(text)
    assert "PrivateTest (test part of the split)" in page.headings
    assert "<i>agitated (the positive class): precision" in page.words
    assert sum("ROC" in (svg["aria-label"] or "") for svg in page.all("svg")) == 2
    assert "<i>agitated" not in text, "names are text, never markup"


def test_epochs_are_whole_numbers_and_the_second_stage_is_marked() -> None:
    history = [
        {"stage": stage, "loss": 1.0, "accuracy": 0.1, "public_accuracy": 0.1}
        for stage in ("head", "finetune", "finetune")
    ]
    drawn = curves(history)

    assert [caption for caption, _ in drawn] == ["Loss per epoch", "Accuracy per epoch"]
    for _, svg in drawn:
        ticks = re.search(r'id="matplotlib.axis_1".*?id="matplotlib.axis_2"', svg, re.DOTALL)
        assert ticks
        assert re.findall(r">([\d.]+)</text>", ticks[0]) == ["1", "2", "3"]
        assert "fine-tune" in svg


def test_run_of_one_epoch_has_curves() -> None:
    assert len(curves([{"stage": "finetune", "loss": 1.0, "accuracy": 0.1, "public_accuracy": 0.1}])) == 2


def test_worst_mistakes_are_the_surest_wrong_answers() -> None:
    labels = np.array([0, 1, 1, 0])
    found = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    pictures = np.arange(4, dtype=np.uint8).repeat(48 * 48).reshape(4, 48, 48)

    worst = worst_mistakes(pictures, labels, found, ("no", "yes"))

    assert [(int(item.face[0, 0]), item.label, item.predicted) for item in worst] == [
        (2, "yes", "no"), (3, "no", "yes"), (0, "no", "yes"),
    ]  # fmt: skip
    assert [item.score for item in worst] == pytest.approx([0.8, 0.7, 0.6])


def test_report_of_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "metrics.json").unlink()
    with pytest.raises(DataError, match="has not finished"):
        write_report(run)
    with pytest.raises(DataError, match="not a run folder"):
        write_report(tmp_path / "elsewhere")


def test_answers_to_other_faces_or_half_of_them_are_refused(run: Path, faces: FaceDataset) -> None:
    with pytest.raises(DataError, match=r"42, 7\), but drawn has 7 faces in 7 classes there: it is not the data"):
        write_report(run, drawn_dataset(selection=1))
    whole = (run / "predictions.npz").read_bytes()
    (run / "predictions.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"predictions\.npz cannot be read"):
        write_report(run, faces)
    assert not (run / "report.html").exists()


def test_page_of_an_evaluation_shows_each_model(tmp_path: Path, faces: FaceDataset) -> None:
    pictures, labels = faces.part("PublicTest")
    head = {"precision": "int8", "engine": "litert 9 on cpu"}
    record = {
        "name": "a bundle", "split": "PublicTest", "data": "faces.csv", "dataset_digest": "e" * 64, "trained_on_this_data": False,
        "protocol": "single crop",
        "results": [{"artefact": name, **head, **result(labels, faces.names, 3)} for name in ("a.tflite", "b.onnx")],
    }  # fmt: skip
    worst = worst_mistakes(pictures, labels, answers(labels, 7, 3), faces.names)

    write_evaluation(tmp_path / "page.html", record, worst)

    page = Page((tmp_path / "page.html").read_text())
    assert page.headings == [
        "a bundle on PublicTest",
        "a.tflite (single crop)",
        "b.onnx (single crop)",
        "Worst mistakes",
    ]
    assert "other data than it was trained on" in page.words
    assert len(page.all("img")) == len(worst) > 0
    shutil.rmtree(tmp_path)
    with pytest.raises(OutputError, match=r"page\.html cannot be written"):
        write_evaluation(tmp_path / "page.html", record, worst)
