"""Plots that put several runs or trials into one picture, each as SVG for a page and as PNG for Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from fer_edge_train.plots import BLUE, INK, ORANGE, SETTINGS, new_figure, to_svg

COLOURS = (BLUE, ORANGE, "#10b981", "#ef4444", "#a855f7", "#64748b", "#ec4899", "#84cc16", "#a16207", "#06b6d4")
_STYLES = ("-", "--", ":", "-.")
_WIDTH = 4.8


class Plot(NamedTuple):
    """A drawn plot: file name without suffix, caption, and the picture in both forms."""

    name: str
    caption: str
    svg: str
    png: bytes


class Bar(NamedTuple):
    """A run's accuracy in [0, 1] with its 95 % interval, and the same without fine-tuning where that is known."""

    name: str
    accuracy: float
    interval: tuple[float, float]
    without: tuple[float, tuple[float, float]] | None


class Shot(NamedTuple):
    """A trial's value of one option against its accuracy in [0, 1]; ``whole`` unless it was stopped early."""

    value: float
    accuracy: float
    whole: bool


def accuracy_bars(bars: Sequence[Bar], part: str) -> Plot:
    """A pair of bars a run: without and with fine-tuning."""

    def draw(axes: Any) -> None:
        height = 0.38
        for number, bar in enumerate(bars):
            pair = bar.without is not None
            _bar(axes, number + (height / 2 if pair else 0), height, bar.accuracy, bar.interval, BLUE)
            if bar.without:
                _bar(axes, number - height / 2, height, *bar.without, ORANGE)
        axes.set_yticks(range(len(bars)), [_short(bar.name) for bar in bars])
        axes.set(xlim=(0, 1.16), xlabel=f"{part} accuracy", ylim=(len(bars) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.set_xticks(np.linspace(0, 1, 6))
        _percent(axes.xaxis)
        if any(bar.without for bar in bars):
            patches = [Patch(color=ORANGE, label="without fine-tuning"), Patch(color=BLUE, label="with it")]
            axes.figure.legend(handles=patches, loc="outside lower left", ncols=2, fontsize=8)

    return _drawn("accuracy", f"{part} accuracy with 95 % intervals", draw, 1.1 + 0.62 * len(bars))


def _bar(axes: Any, place: float, height: float, accuracy: float, interval: tuple[float, float], colour: str) -> None:
    low, high = interval
    errors = np.clip([[accuracy - low], [high - accuracy]], 0, None)
    axes.barh(place, accuracy, height * 0.94, color=colour, xerr=errors, ecolor=INK, capsize=2.5)
    axes.annotate(f"{accuracy:.1%}", (high + 0.015, place), va="center", fontsize=8)


def validation_curves(series: Mapping[str, Sequence[float]], runs: Sequence[str]) -> Plot:
    """PublicTest accuracy of every run, epoch by epoch; stages follow each other. ``runs`` gives a run its colour."""

    def draw(axes: Any) -> None:
        for name, accuracies in series.items():
            number = runs.index(name)
            epochs = np.arange(1, len(accuracies) + 1)
            marker = "o" if len(accuracies) <= 30 else ""
            axes.plot(
                epochs,
                accuracies,
                _style(number),
                marker=marker,
                markersize=3,
                color=_colour(number),
                label=_short(name),
            )
        axes.set(xlabel="epoch (head, then fine-tune)", ylabel="PublicTest accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        _percent(axes.yaxis)
        axes.figure.legend(loc="outside lower left", ncols=2, fontsize=8)

    return _drawn("curves", "PublicTest accuracy over the epochs", draw, 3.1 + 0.11 * len(series))


def f1_bars(series: Mapping[str, Mapping[str, float]], runs: Sequence[str], part: str) -> Plot:
    """A group of bars a class, one bar a run; ``runs`` gives a run its colour."""

    def draw(axes: Any) -> None:
        classes = list(next(iter(series.values())))
        height = 0.84 / len(series)
        for number, (name, f1) in enumerate(series.items()):
            places = np.arange(len(classes)) + (number - (len(series) - 1) / 2) * height
            bars = axes.barh(
                places, [f1[one] for one in classes], height * 0.94, color=_colour(runs.index(name)), label=_short(name)
            )
            axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7, color=INK)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlim=(0, 1.08), xlabel=f"F1 on {part}", ylim=(len(classes) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        axes.figure.legend(loc="outside lower left", ncols=2, fontsize=8)

    classes = len(next(iter(series.values())))
    return _drawn(
        "f1", f"F1 of every class on {part}", draw, 1 + classes * (0.14 + 0.15 * len(series)) + 0.11 * len(series)
    )


def size_against_accuracy(bars: Sequence[Bar], parameters: Sequence[int], runs: Sequence[str], part: str) -> Plot:
    """A point a run: what its parameters buy; ``runs`` gives a run its colour."""

    def draw(axes: Any) -> None:
        for bar, count in zip(bars, parameters, strict=True):
            number = runs.index(bar.name)
            low, high = bar.interval
            errors = np.clip([[bar.accuracy - low], [high - bar.accuracy]], 0, None)
            axes.errorbar(
                count / 1e6,
                bar.accuracy,
                yerr=errors,
                fmt="os^Dv"[number % 5],
                color=_colour(number),
                capsize=3,
                label=_short(bar.name),
            )
        axes.margins(x=0.2)
        axes.set(xlabel="parameters, millions", ylabel=f"{part} accuracy")
        if max(parameters) > 4 * min(parameters):
            _logarithmic(axes)
        _percent(axes.yaxis)
        axes.figure.legend(loc="outside lower left", ncols=2, fontsize=8)

    return _drawn("parameters", f"Parameters against {part} accuracy, 95 % intervals", draw, 3.1 + 0.11 * len(bars))


def _logarithmic(axes: Any) -> None:
    """Plain numbers at 1, 2 and 5 of a decade where there are few decades, at 1 where there are many."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5) if high / low < 300 else ()))
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted(FuncFormatter(lambda value, _: f"{value:g}"))


def search_progress(accuracies: Sequence[tuple[int, float, bool]]) -> Plot:
    """Accuracy of every trial and the best so far; ``(number, accuracy, whole)`` in the order they were made."""

    def draw(axes: Any) -> None:
        _points(axes, [Shot(number, accuracy, whole) for number, accuracy, whole in accuracies])
        whole = [(number, accuracy) for number, accuracy, finished in accuracies if finished]
        if whole:
            best = np.maximum.accumulate([accuracy for _, accuracy in whole])
            axes.step([number for number, _ in whole], best, where="post", color=ORANGE, label="best so far")
        axes.set(xlabel="trial", ylabel="PublicTest accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        _percent(axes.yaxis)
        axes.figure.legend(loc="outside lower left", ncols=3, fontsize=8)

    return _drawn("search", "Accuracy of every trial", draw, 3.1)


def option_against_accuracy(option: str, shots: Sequence[Shot], *, recipe: float, log: bool, whole: bool) -> Plot:
    """One option against accuracy, the recipe's own value as a dotted line; ``whole`` numbers get whole ticks."""

    def draw(axes: Any) -> None:
        _points(axes, shots)
        axes.axvline(recipe, linestyle=":", color=INK, alpha=0.7, label="the recipe")
        if log:
            _logarithmic(axes)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=option, ylabel="PublicTest accuracy")
        _percent(axes.yaxis)
        axes.figure.legend(loc="outside lower left", ncols=3, fontsize=8)

    return _drawn(option.replace(".", "_"), f"{option} against accuracy", draw, 3.1)


def trial_curves(curves: Sequence[tuple[Sequence[float], bool]]) -> Plot:
    """Accuracy of every trial epoch by epoch, the best one thick; ``(accuracies, is the best)``."""

    def draw(axes: Any) -> None:
        for accuracies, best in sorted(curves, key=lambda curve: curve[1]):
            epochs = np.arange(1, len(accuracies) + 1)
            look = (
                {"color": ORANGE, "linewidth": 2, "zorder": 3, "label": "the best"}
                if best
                else {"color": BLUE, "linewidth": 0.8, "alpha": 0.6}
            )
            axes.plot(epochs, accuracies, marker="o", markersize=2.5, **look)
        axes.set(xlabel="epoch (head, then fine-tune)", ylabel="PublicTest accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        _percent(axes.yaxis)
        if any(best for _, best in curves):
            axes.figure.legend(loc="outside lower left", fontsize=8)

    return _drawn("trials", "Every trial, epoch by epoch", draw, 3.1)


def _points(axes: Any, shots: Sequence[Shot]) -> None:
    for whole, label, face in ((True, "whole trial", BLUE), (False, "stopped early", "none")):
        chosen = [shot for shot in shots if shot.whole == whole]
        if chosen:
            places = [shot.value for shot in chosen], [shot.accuracy for shot in chosen]
            axes.scatter(*places, s=26, facecolors=face, edgecolors=BLUE, label=label, zorder=3)


def _drawn(name: str, caption: str, draw: Callable[[Any], None], height: float) -> Plot:
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(_WIDTH, height)
        draw(axes)
        svg = to_svg(figure, caption)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=150, facecolor="white")
        return Plot(name, caption, svg, png.getvalue())


def _percent(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 1):g} %"))


def _short(name: str, length: int = 26) -> str:
    """A name that fits beside a plot and is plain text there: to matplotlib "_" in front hides it, and "$" begins a formula."""
    short = name if len(name) <= length else f"{name[: length - 9]}…{name[-8:]}"
    return short.lstrip("_").replace("$", r"\$") or "run"


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _style(number: int) -> str:
    return _STYLES[number // len(COLOURS) % len(_STYLES)]
