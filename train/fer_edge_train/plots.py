"""The plots of a report, as inline SVG: sharp on any screen, text in the page's own colour, so that dark mode works."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

INK = "#010203"  # no plot uses this colour for anything else; it becomes the page's
BLUE, ORANGE, GREEN = "#3b82f6", "#f59e0b", "#10b981"
_SIDES = (ORANGE, BLUE, GREEN)  # of models beside each other: the one that is compared with first
SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "fer-edge", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "legend.frameon": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.15, "axes.axisbelow": True,
}  # fmt: skip


def curves(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """``(caption, svg)`` of loss, accuracy and learning rate per epoch, as far as the history holds them."""
    panels: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
        ("Loss per epoch", "loss", (("loss", "training"), ("public_loss", "PublicTest"))),
        ("Accuracy per epoch", "accuracy", (
            ("accuracy", "training (augmented)"), ("public_accuracy", "PublicTest"), ("public_macro_f1", "PublicTest, macro-F1"),
        )),
        ("Learning rate per epoch", "learning rate", (("learning_rate", "learning rate"),)),
    )  # fmt: skip
    drawn = []
    for caption, unit, series in panels:
        present = [(key, label) for key, label in series if history and all(key in row for row in history)]
        if present:
            drawn.append((caption, _curve(history, unit, present)))
    return drawn


def _curve(history: Sequence[Mapping[str, Any]], unit: str, series: Sequence[tuple[str, str]]) -> str:
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(4.6, 3)
        epochs = np.arange(1, len(history) + 1)
        for (key, label), colour in zip(series, (BLUE, ORANGE, GREEN), strict=False):
            marker = "o" if len(history) <= 30 else ""
            axes.plot(epochs, [row[key] for row in history], marker=marker, markersize=3, color=colour, label=label)
        axes.set(xlabel="epoch", ylabel=unit, xlim=(0.5, len(history) + 0.5))
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        if unit == "learning rate":
            axes.ticklabel_format(axis="y", scilimits=(0, 0))
        boundary = sum(row["stage"] == "head" for row in history)
        if 0 < boundary < len(history):
            axes.axvline(boundary + 0.5, linestyle=":", color=INK, alpha=0.6)
            axes.annotate(
                " fine-tune", (boundary + 0.5, 1.0), xycoords=("data", "axes fraction"), fontsize=8, va="bottom"
            )
        if len(series) > 1:
            axes.legend(fontsize=8)
        return to_svg(figure, f"{unit} over {len(history)} epochs")


def per_class(results: Mapping[str, Mapping[str, Mapping[str, float]]], key: str) -> str:
    """Bars of one figure per class; ``results`` maps a series' name to its ``per_class`` table."""
    with mpl.rc_context(SETTINGS):
        names = list(next(iter(results.values())))
        figure, axes = new_figure(4.6, max(1.6, 0.5 + 0.34 * len(names) * max(1, 0.7 * len(results))))
        height = 0.8 / len(results)
        for number, ((label, table), colour) in enumerate(
            zip(results.items(), _SIDES if len(results) > 1 else (BLUE,), strict=False)
        ):
            places = np.arange(len(names)) + (number - (len(results) - 1) / 2) * height
            bars = axes.barh(places, [table[name][key] for name in names], height, color=colour, label=label)
            axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=8, color=INK)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.08), xlabel={"f1": "F1"}.get(key, key))
        axes.grid(visible=False, axis="y")
        if len(results) > 1:
            figure.legend(loc="outside upper left", ncols=len(results), fontsize=8)
        return to_svg(figure, f"{key} per class")


def accuracies(series: Mapping[str, Sequence[Mapping[str, Any]]], groups: Sequence[str]) -> str:
    """Bars of accuracy with 95 % intervals; each series has one result per group."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(4.6, 3)
        width = 0.8 / len(series)
        for number, ((label, results), colour) in enumerate(zip(series.items(), _SIDES, strict=False)):
            heights = np.array([result["accuracy"] for result in results])
            intervals = np.array([result["interval95"] for result in results])
            errors = np.clip(np.stack([heights - intervals[:, 0], intervals[:, 1] - heights]), 0, None)
            places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
            axes.bar(places, heights, width * 0.92, color=colour, label=label, yerr=errors, ecolor=INK, capsize=3)
            for place, height, upper in zip(places, heights, intervals[:, 1], strict=True):
                axes.annotate(f"{height:.1%}", (place, upper + 0.01), ha="center", va="bottom", fontsize=8)
        axes.set_xticks(range(len(groups)), groups)
        axes.set(ylim=(0, 1.1), ylabel="accuracy")
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=len(series), fontsize=8)
        return to_svg(figure, f"accuracy with 95 % intervals: {', '.join(series)}")


def roc(result: Mapping[str, Any]) -> str:
    """The ROC curve of a two-class result."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(3.8, 3.6)
        axes.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=0.5)
        axes.plot(result["roc"]["fpr"], result["roc"]["tpr"], color=BLUE)
        axes.set(
            xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect=1
        )
        axes.annotate(f"AUC {result['auc']:.3f}", (0.95, 0.08), ha="right")
        return to_svg(figure, f"ROC curve, area {result['auc']:.3f}")


def calibration(found: Mapping[str, Any]) -> str:
    """Accuracy against confidence, bin by bin, with the share of faces in each."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(3.8, 3.6)
        bins = found["bins"]
        confidence = [item["confidence"] for item in bins]
        shares = np.array([item["count"] for item in bins]) / max(1, sum(item["count"] for item in bins))
        axes.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=0.5, label="perfect")
        axes.bar(confidence, shares, 1 / 20, color=INK, alpha=0.2, label="share of faces")
        axes.plot(confidence, [item["accuracy"] for item in bins], marker="o", markersize=4, color=BLUE, label="model")
        axes.set(
            xlabel="confidence", ylabel="accuracy in the bin", xlim=(-0.01, 1.03), ylim=(-0.01, 1.01), aspect="equal"
        )
        axes.legend(fontsize=8, loc="upper left")
        return to_svg(figure, f"calibration curve, expected error {found['ece']:.3f}")


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """An empty figure of so many inches and its axes, see-through so that it fits light and dark pages."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    return figure, figure.subplots(subplot_kw={"facecolor": "none"})


def to_svg(figure: Any, description: str) -> str:
    """An ``<svg>`` element for a page; ink takes the page's text colour, ``description`` is what a screen reader says."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue().replace(INK, "currentColor")
    text = text[text.index("<svg") :]
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(description)}" ', 1)
