"""A page that shows a run, or an evaluation: one HTML file with its plots inside."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train import plots
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import PREDICTIONS, read_npz
from fer_edge_train.page import (
    Mistake,
    cards,
    confusion_table,
    faces_grid,
    figure,
    in_a_row,
    page,
    paragraph,
    side_by_side,
    table,
)
from fer_edge_train.run_folder import load_run, read_json, write_whole
from fer_edge_train.toml_text import to_toml

WORST = 24
_WITHOUT, _WITH = "without fine-tuning", "with fine-tuning"
PARTS = ("PublicTest", "PrivateTest")
_ROLES = {
    "PublicTest": "Selection: it chose the best epoch.",
    "PrivateTest": "Looked at once, after everything was chosen.",
}


def write_report(path: Path, data: FaceDataset | None = None) -> Path:
    """Write ``report.html`` into a finished run folder and return its path.

    Args:
        path: the run folder, of any version: what its files do not hold is left out.
        data: the data set of the run, for the grid of its worst mistakes.

    Raises:
        DataError: the run has not finished, or its files are damaged or belong to other data.
        OutputError: the page cannot be written.
    """
    _, config, record = load_run(path)
    metrics = read_json(path / "metrics.json")
    name = path.resolve().name
    body = "".join([
        _head(name, config, record, metrics),
        _with_and_without(metrics),
        _training(metrics["history"]),
        *(_part_title(part, config) + result_section(metrics[part]) for part in PARTS),
        _worst(path, data),
        _made_of(config, record),
    ])  # fmt: skip
    target = path / "report.html"
    content = page(f"{name}: {config.architecture}", body)
    write_whole(target, lambda temporary: temporary.write_text(content, encoding="utf-8"))
    return target


def write_evaluation(target: Path, record: Mapping[str, Any], mistakes: Sequence[Mistake]) -> None:
    """Write the page of one ``fer-edge evaluate``.

    Args:
        target: the page.
        record: what the command prints with ``--json``.
        mistakes: of its first model.

    Raises:
        OutputError: the page cannot be written.
    """
    results = record["results"]
    trained = {
        True: "the data it was trained on",
        False: "other data than it was trained on",
        None: "unknown to its training",
    }
    facts = [
        ("data", record["data"]),
        ("digest (SHA-256)", record["dataset_digest"]),
        ("this is", trained[record["trained_on_this_data"]]),
    ]
    body = f"<h1>{html.escape(record['name'])} on {html.escape(record['split'])}</h1>"
    body += cards(
        [(result["artefact"], f"{result['accuracy']:.2%}", f"95 % interval {_interval(result)}") for result in results]
    )
    body += table(("what", "value"), facts, kind="facts")
    for result in results:
        title = f"{result['artefact']} ({record['protocol']})"
        body += f"<h2>{html.escape(title)}</h2>{paragraph(result['engine'])}{result_section(result)}"
    body += mistakes_section(mistakes, f"{results[0]['artefact']} on {record['split']}")
    content = page(f"{record['name']} on {record['split']}", body)
    write_whole(target, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def result_section(result: Mapping[str, Any]) -> str:
    """Everything that `fer_edge_train.metrics.evaluate` said of one part, as HTML."""
    low, high = result["interval95"]
    facts = [f"Accuracy {result['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%})", f"{result['n']:,} faces"]
    wanted = (("macro-precision", "macro_precision"), ("macro-recall", "macro_recall"), ("macro-F1", "macro_f1"))
    facts += [f"{title} {result[key]:.3f}" for title, key in (*wanted, ("log-loss", "log_loss")) if key in result]
    if positive := result.get("positive"):
        facts.append(
            f"{positive['name']} (the positive class): precision {positive['precision']:.3f}, recall {positive['recall']:.3f}, "
            f"F1 {positive['f1']:.3f}"
        )
    per_class = result["per_class"]
    rows = [
        (name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", f"{row['n']:,}")
        for name, row in per_class.items()
    ]
    classes = table(("class", "precision", "recall", "F1", "faces"), rows)
    bars = figure(plots.per_class({"F1": per_class}, "f1"), "F1 of every class")
    roc = figure(plots.roc(result), "Receiver operating characteristic") if result.get("roc") else ""
    return "".join([
        paragraph("; ".join(facts) + "."),
        _protocols(result.get("protocols", {})),
        in_a_row(confusion_table(result["confusion"], list(per_class)), classes),
        side_by_side(bars, _calibration(result.get("calibration")), roc),
    ])  # fmt: skip


def _calibration(found: Mapping[str, Any] | None) -> str:
    if not found or not found["bins"]:
        return ""
    caption = f"Calibration: expected error (ECE, 15 bins) {found['ece']:.3f}. Above the diagonal the model is too modest, below it too sure."
    return figure(plots.calibration(found), caption)


def _protocols(protocols: Mapping[str, Mapping[str, Any]]) -> str:
    if len(protocols) < 2:
        return ""
    rows = [(name, f"{row['accuracy']:.2%}", _interval(row)) for name, row in protocols.items()]
    return table(("protocol", "accuracy", "95 % interval"), rows)


def _head(name: str, config: TrainConfig, record: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    shown = [
        (f"{part} accuracy", f"{metrics[part]['accuracy']:.2%}", f"95 % interval {_interval(metrics[part])}, macro-F1 {metrics[part]['macro_f1']:.3f}")
        for part in PARTS
    ]  # fmt: skip
    if gain := _gain(metrics, "PrivateTest"):
        shown.append(("Fine-tuning gained", gain, "points of PrivateTest accuracy"))
    if record.get("parameters"):
        shown.append(("Parameters", f"{record['parameters']:,}", f"{config.input_size} pixels, width {config.width:g}"))
    told = [
        f"Reproduces: {config.reproduces}" if config.reproduces else "",
        f"Expects: {config.expects}" if config.expects else "",
        f"Best epoch: {metrics['best_epoch']}, by {'loss' if config.monitor == 'loss' else 'accuracy'} on PublicTest. Figures: "
        f"{metrics['artefact']}, {metrics['protocol']}.",
    ]
    title = f"<h1>{html.escape(name)}: {html.escape(config.architecture)}</h1>"
    return title + "".join(paragraph(text) for text in told if text) + cards(shown)


def _with_and_without(metrics: Mapping[str, Any]) -> str:
    """The comparison that shows what fine-tuning is worth."""
    without = metrics.get("without_finetuning")
    if not without:
        return ""
    rows = []
    for part in PARTS:
        for label, result in ((_WITHOUT, without[part]), (_WITH, metrics[part])):
            figures = (f"{result[key]:.3f}" for key in ("macro_precision", "macro_recall", "macro_f1"))
            rows.append((f"{part}, {label}", f"{result['accuracy']:.2%}", _interval(result), *figures))
        rows.append(
            (f"{part}, difference", f"{_gain(metrics, part)} points", "", *_differences(metrics[part], without[part]))
        )
    header = ("model", "accuracy", "95 % interval", "macro-precision", "macro-recall", "macro-F1")
    series = {
        _WITHOUT: [without[part] for part in PARTS],
        _WITH: [metrics[part] for part in PARTS],
    }
    f1 = {label: results[-1]["per_class"] for label, results in series.items()}
    text = (
        f"The same network with its backbone frozen and only the head trained (best epoch: {without['best_epoch']}), and after "
        f"fine-tuning (best epoch: {metrics['best_epoch']}). Single crop."
    )
    return (
        f"<h2>With and without fine-tuning</h2>{paragraph(text)}{table(header, rows)}"
        + side_by_side(
            figure(plots.accuracies(series, PARTS), "Accuracy with 95 % intervals"),
            figure(plots.per_class(f1, "f1"), "F1 per class on PrivateTest"),
        )
    )  # fmt: skip


def _gain(metrics: Mapping[str, Any], part: str) -> str:
    """Points of accuracy between the fine-tuned model and its head-only twin."""
    without = metrics.get("without_finetuning")
    return f"{100 * (metrics[part]['accuracy'] - without[part]['accuracy']):+.2f}" if without else ""


def _differences(tuned: Mapping[str, Any], frozen: Mapping[str, Any]) -> list[str]:
    return [f"{tuned[key] - frozen[key]:+.3f}" for key in ("macro_precision", "macro_recall", "macro_f1")]


def _training(history: Sequence[Mapping[str, Any]]) -> str:
    minutes = sum(row.get("seconds", 0) for row in history) / 60
    drawn = [figure(svg, caption) for caption, svg in plots.curves(history)]
    said = paragraph(f"{len(history)} epochs in {minutes:,.1f} minutes.")
    return f"<h2>Training</h2>{said}{side_by_side(*drawn)}"


def _part_title(part: str, config: TrainConfig) -> str:
    """FER2013's names for the parts, with what they are under another split."""
    other = {
        "PublicTest": "PublicTest (validation part of the split)",
        "PrivateTest": "PrivateTest (test part of the split)",
    }
    title = part if config.split == "usage" else other[part]
    return f"<h2>{title}</h2>{paragraph(_ROLES[part])}"


def worst_mistakes(
    faces: NDArray[np.uint8], labels: NDArray[np.int64], probabilities: NDArray[np.float32], names: Sequence[str]
) -> list[Mistake]:
    """The wrong answers that the model was surest of, surest first."""
    predicted = probabilities.argmax(axis=1)
    scores = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-scores[wrong], kind="stable")][:WORST]
    return [Mistake(faces[row], names[labels[row]], names[predicted[row]], float(scores[row])) for row in chosen]


def mistakes_section(mistakes: Sequence[Mistake], part: str) -> str:
    """The grid with its introduction; nothing where nothing is wrong."""
    if not mistakes:
        return ""
    text = (
        f"The {len(mistakes)} wrong answers of {part} that the model was surest of: label → answer. Some of them are mistakes of "
        "the label. These pictures are the data set's own: mind its terms before you pass this page on."
    )
    return f"<h2>Worst mistakes</h2>{paragraph(text)}{faces_grid(mistakes)}"


def _worst(path: Path, data: FaceDataset | None) -> str:
    if data is None or not (path / PREDICTIONS).is_file():
        return ""
    probabilities = read_npz(path / PREDICTIONS).get("PublicTest")
    faces, labels = data.part("PublicTest")
    if probabilities is None or probabilities.shape != (len(faces), len(data.names)):
        found = "none" if probabilities is None else f"of shape {probabilities.shape}"
        raise DataError(
            f"{path / PREDICTIONS} holds predictions for PublicTest {found}, but {data.source} has {len(faces)} faces in "
            f"{len(data.names)} classes there: it is not the data of this run."
        )
    return mistakes_section(worst_mistakes(faces, labels, probabilities, data.names), "PublicTest")


def _made_of(config: TrainConfig, record: Mapping[str, Any]) -> str:
    """Recipe, versions and data: what it takes to do it again."""
    counts = record["counts"]
    rows = [(name, *(f"{counts[part][name]:,}" for part in counts)) for name in record["labels"]]
    rows.append(("all", *(f"{sum(counts[part].values()):,}" for part in counts)))
    facts = {
        "dataset": record["dataset"], "dataset digest (SHA-256)": record["dataset_digest"], "split": config.split,
        "starting weights": record.get("weights") or config.weights,
        "split hash": record.get("split_hash"), "git commit": record.get("git_commit"), **record.get("versions", {}),
    }  # fmt: skip
    known = [(key, str(value)) for key, value in facts.items() if value]
    return (
        f"<h2>Data, recipe and versions</h2>{table(('class', *counts), rows)}{table(('what', 'value'), known, kind='facts')}"
        f"<details><summary>The resolved recipe</summary><pre>{html.escape(to_toml(config.to_dict()))}</pre></details>"
    )


def _interval(result: Mapping[str, Any]) -> str:
    low, high = result["interval95"]
    return f"{low:.1%} to {high:.1%}"
