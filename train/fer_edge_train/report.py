"""A page that shows a run: curves, confusion matrices, per-class figures. One HTML file with its plots inside."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from fer_edge_train.run_folder import load_run, read_json, write_whole

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}th:first-child,td:first-child{text-align:left}"
    "img{max-width:100%}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}img{background:#fff}}"
)


def write_report(path: Path) -> Path:
    """Write ``report.html`` into a finished run folder and return its path.

    Raises:
        DataError: the run has not finished.
    """
    run, config, record = load_run(path)
    metrics = read_json(run.metrics_file)
    names = list(record["labels"])
    parts = [
        f"<h1>{html.escape(path.resolve().name)}: {config.architecture}</h1>",
        f"<p>Best epoch by PublicTest accuracy: {html.escape(metrics['best_epoch'])}. {html.escape(metrics['artefact'])}, "
        f"{html.escape(metrics['protocol'])}. Data: {html.escape(record['dataset'])}, digest {record['dataset_digest'][:12]}…</p>",
        _image(_curves(metrics["history"]), "Loss and accuracy per epoch"),
    ]
    for usage in ("PublicTest", "PrivateTest"):
        result = metrics[usage]
        low, high = result["interval95"]
        parts.append(
            f"<h2>{usage}: {result['accuracy']:.2%}</h2><p>95 % interval {low:.1%} to {high:.1%}, n = {result['n']}, "
            f"macro-F1 {result['macro_f1']:.3f}.</p>{_class_table(result['per_class'])}"
            + _image(_confusion(np.array(result["confusion"]), names), f"Confusion matrix, {usage}")
        )
    parts.append("<p>Labels are apparent expressions, not feelings.</p>")
    page = f"<!doctype html><meta charset='utf-8'><title>{html.escape(path.resolve().name)}</title><style>{_STYLE}</style>{''.join(parts)}\n"
    target = path / "report.html"
    write_whole(target, lambda temporary: temporary.write_text(page))
    return target


def _figure(width: float, height: float) -> Any:
    mpl.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curves(history: list[dict[str, Any]]) -> Any:
    figure = _figure(9, 3.2)
    loss, accuracy = figure.subplots(1, 2)
    epochs = np.arange(1, len(history) + 1)
    loss.plot(epochs, [row["loss"] for row in history], marker="o")
    loss.set(xlabel="epoch", ylabel="training loss")
    accuracy.plot(epochs, [row["accuracy"] for row in history], marker="o", label="training (augmented)")
    accuracy.plot(epochs, [row["public_accuracy"] for row in history], marker="o", label="PublicTest")
    accuracy.set(xlabel="epoch", ylabel="accuracy")
    accuracy.legend()
    first = next((i for i, row in enumerate(history) if row["stage"] == "finetune"), None)
    if first:
        for axes in (loss, accuracy):
            axes.axvline(first + 0.5, linestyle=":", color="grey")
    return figure


def _confusion(matrix: np.ndarray[Any, Any], names: list[str]) -> Any:
    figure = _figure(5.5, 5)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="labelled")
    for row in range(len(names)):
        for column in range(len(names)):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def _class_table(per_class: dict[str, dict[str, float]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{r['precision']:.3f}</td><td>{r['recall']:.3f}</td><td>{r['f1']:.3f}</td><td>{r['n']}</td></tr>"
        for name, r in per_class.items()
    )
    return f"<table><tr><th>class</th><th>precision</th><th>recall</th><th>F1</th><th>faces</th></tr>{rows}</table>"


def _image(figure: Any, caption: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"<figure><img alt='{html.escape(caption)}' src='data:image/png;base64,{encoded}'><figcaption>{html.escape(caption)}</figcaption></figure>"
