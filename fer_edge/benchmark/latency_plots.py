"""The plots of a latency page, as inline SVG in the style of the training reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl  # noqa: TID253 imported only when a page is drawn
import numpy as np

from fer_edge.benchmark.text import AXES, point_name
from fer_edge_train.plots import BLUE, GREEN, INK, ORANGE, SETTINGS, new_figure, to_svg

# Told apart by lightness as well as by hue.
COLOURS = (BLUE, ORANGE, GREEN, "#8b5cf6", "#ef4444", "#14b8a6", "#a16207", "#94a3b8")
_MARKERS = "os^Dvp*X"


def batches(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Milliseconds a face against the batch, median with the range to the 90th percentile."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(5.2, 3.4)
        sizes: set[int] = set()
        for number, (name, case) in enumerate(cases.items()):
            faces = np.array([batch["faces"] for batch in case["faces"]])
            p50, p90 = (np.array([batch[key] for batch in case["faces"]]) / faces for key in ("p50_ms", "p90_ms"))
            sizes.update(faces.tolist())
            axes.errorbar(
                faces, p50, yerr=[np.zeros_like(p50), p90 - p50], capsize=3, markersize=5, label=_title(name, case), **_look(number)
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(sizes), [str(size) for size in sorted(sizes)])
        axes.minorticks_off()
        axes.set(xlabel="faces in one batch", ylabel="ms per face", ylim=(0, None))
        _legend(figure, len(cases))
        return to_svg(figure, "milliseconds per face against the batch size")


def stages(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Mean milliseconds of every stage of a frame, one bar a case."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(5.2, 1.4 + 0.45 * len(cases))
        first = next(iter(cases.values()))
        names = [name for name in first["clip"]["stages"] if name != "total"]
        left = np.zeros(len(cases))
        for number, name in enumerate(names):
            costs = np.array([case["clip"]["stages"][name]["mean_ms"] for case in cases.values()])
            axes.barh(range(len(cases)), costs, 0.6, left=left, color=COLOURS[number % len(COLOURS)], label=name)
            left += costs
        for place, total in enumerate(left):
            axes.annotate(f" {total:.1f} ms", (total, place), va="center", fontsize=8)
        axes.set_yticks(range(len(cases)), [_title(name, case) for name, case in cases.items()])
        axes.invert_yaxis()
        axes.set(xlabel="mean ms per frame", xlim=(0, 1.15 * float(left.max())))
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside upper left", ncols=4, fontsize=8)
        return to_svg(figure, "mean milliseconds of every stage of a frame")


def sweep(cases: Mapping[str, Mapping[str, Any]], axis: str) -> str:
    """Mean milliseconds a frame along one axis: every case's total, and the detector's share of the first."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(4.2, 3.2)
        points = [point for point in next(iter(cases.values()))["sweep"] if point["axis"] == axis]
        names = [point_name(point) for point in points]
        for number, (name, case) in enumerate(cases.items()):
            totals = [point["mean_ms"]["total"] for point in case["sweep"] if point["axis"] == axis]
            axes.plot(range(len(totals)), totals, markersize=5, label=_title(name, case), **_look(number))
        detect = [point["mean_ms"]["detect"] for point in points]
        axes.plot(range(len(detect)), detect, linestyle=":", color=INK, label="detector alone, first case")
        axes.set_xticks(range(len(names)), names)
        axes.set(xlabel=AXES[axis], ylabel="mean ms per frame", ylim=(0, None))
        _legend(figure, len(cases) + 1)
        return to_svg(figure, f"milliseconds per frame by {AXES[axis]}")


def _title(name: str, case: Mapping[str, Any]) -> str:
    """Short enough for a legend."""
    threads = f"{case['threads']} thread{'s' * (case['threads'] != 1)}"
    return f"{name} {Path(case['bundle']).name}, {case['engine']}, {case['device']}, {threads}"


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}


def _legend(figure: Any, entries: int) -> None:
    if entries > 1:
        figure.legend(loc="outside upper left", ncols=1, fontsize=8)
