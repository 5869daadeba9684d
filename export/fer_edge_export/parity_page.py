"""``parity.html``: what int8 changed, to look at."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from fer_edge_export.evaluate import Measured
from fer_edge_train import page
from fer_edge_train.plots import BLUE, INK, SETTINGS, new_figure, per_class, to_svg

REPORT_PAGE = "parity.html"
_POINTS = 5000  # of the scatter


def parity_page(name: str, report: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    """The page.

    Args:
        name: of the bundle.
        report: what ``parity.json`` holds.
        measured: every artefact on every split that was looked at, float32 first in each.
    """
    gate = report["gate"]
    body = [f"<h1>{html.escape(name)}: int8 against float32</h1>", _cards(gate, report)]
    body.append(page.paragraph(_verdict(gate)))
    for split in dict.fromkeys(m.split for m in measured):
        body.append(_split(split, report[split], [m for m in measured if m.split == split]))
    body.append(_quantization(report["quantization"], report["calibration"]))
    body.append(_graph(report["checks"]))
    if report.get("latency"):
        body.append(_latency(report["latency"]))
    return page.page(f"{name}: int8 against float32", "\n".join(body))


def _cards(gate: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    speedup = report.get("latency", {}).get("int8_speedup", {})
    items = [
        ("float32", f"{gate['float_accuracy']:.2%}", gate["split"]),
        *((name, f"{accuracy:.2%}", gate["split"]) for name, accuracy in gate["int8_accuracy"].items()),
        (
            "calibration error",
            f"{report['temperature']['ece']:.3f}",
            f"{report['temperature']['ece_before']:.3f} before temperature",
        ),
        *((f"speed of int8, {kind}", f"{ratio:.2f}×", "of float32, one face") for kind, ratio in speedup.items()),
    ]
    return page.cards(items)


def _verdict(gate: Mapping[str, Any]) -> str:
    agreed = gate.get("formats_agree")
    between = f" TFLite and ONNX give {agreed:.2%} of the faces the same label." if agreed is not None else ""
    return (
        f"The gate {'is passed' if gate['passed'] else 'is NOT passed'}: int8 lost {gate['drop_points']:g} points of {gate['split']} "
        f"accuracy, {gate['max_drop_points']:g} are allowed.{between}"
    )


def _split(split: str, found: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    reference, *others = measured
    rows = []
    for m in measured:
        low, high = m.result["interval95"]
        against = found["against_float32"].get(m.artefact, {})
        rows.append([
            m.artefact, f"{m.result['accuracy']:.2%}", f"{low:.1%} to {high:.1%}", f"{m.result['macro_f1']:.3f}",
            f"{against['top1_agreement']:.2%}" if against else "", f"{against['mean_kl']:.4f}" if against else "",
            f"{against['max_abs_difference']:.3f}" if against else "", m.engine,
        ])  # fmt: skip
    header = (
        "artefact",
        "accuracy",
        "95 %",
        "macro-F1",
        "same label as float32",
        "mean KL",
        "largest difference",
        "engine",
    )
    drawn = [
        page.side_by_side(
            page.figure(_scatter(reference.probabilities, other.probabilities), f"Probabilities: {other.artefact}"),
            page.figure(_differences(reference.probabilities, other.probabilities), f"Differences: {other.artefact}"),
        )
        for other in others
        if other.precision == "int8"
    ]
    bars = per_class({m.artefact: m.result["per_class"] for m in measured[:3]}, "f1")
    title = f"<h2>{split}, {reference.result['n']:,} faces</h2>"
    return "\n".join([title, page.table(header, rows), *drawn, page.figure(bars, "F1 per class")])


def _scatter(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> str:
    chosen = np.random.default_rng(0).permutation(exact.size)[:_POINTS]
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(3.8, 3.6)
        axes.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=0.5)
        axes.scatter(
            exact.ravel()[chosen], rounded.ravel()[chosen], s=4, alpha=0.4, color=BLUE, linewidths=0, rasterized=True
        )
        axes.set(xlabel="float32", ylabel="int8", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        return to_svg(figure, "probabilities of int8 against float32")


def _differences(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> str:
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(4.6, 3)
        difference = (rounded - exact).ravel()
        reach = max(0.02, float(np.quantile(np.abs(difference), 0.999)))
        axes.hist(np.clip(difference, -reach, reach), bins=61, color=BLUE)
        axes.set(xlabel="int8 − float32, of a probability", ylabel="probabilities", yscale="log")
        return to_svg(figure, "histogram of the differences of probabilities")


def _quantization(quantization: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    text = (
        f"What ships: {quantization['method']}. Ranges of the activations from {calibration['faces']} training faces (seed "
        f"{calibration['seed']}), which of four ways: {quantization['rounding']['chosen']}."
    )
    ways = [[way, f"{nats:.4f}"] for way, nats in quantization["rounding"]["divergence_nats"].items()]
    held_out = quantization["rounding"]["held_out_faces"]
    parts = [
        "<h2>Quantization</h2>", page.paragraph(text),
        page.table(("ranges and biases", f"mean KL divergence from float, nats, on {held_out} training faces"), ways),
    ]  # fmt: skip
    if "training" in quantization:
        reached = [[method, f"{accuracy:.2%}"] for method, accuracy in quantization["PublicTest"].items()]
        history = [
            [str(row["epoch"]), "" if row["loss"] is None else f"{row['loss']:.4f}", f"{row['public_accuracy']:.2%}"]
            for row in quantization["training"]["history"]
        ]
        parts += [
            page.table(("int8 by", "PublicTest"), reached),
            page.table(("epoch of training", "loss", "PublicTest, rounding simulated"), history),
        ]
    return "\n".join(parts)


def _graph(checks: Mapping[str, Any]) -> str:
    rows = [
        [name, ", ".join(f"{count} {operator}" for operator, count in sorted(found["operators"].items()))]
        for name, found in checks.items()
        if isinstance(found, Mapping) and "operators" in found
    ]
    worst = [[name, f"{ratio:.1f}"] for name, ratio in checks.get("worst_tensors_db", {}).items()]
    return "\n".join([
        "<h2>The graph</h2>", page.table(("artefact", "operators"), rows, kind="facts"),
        page.table(("tensor furthest from float32", "signal to noise, dB"), worst),
    ])  # fmt: skip


def _latency(latency: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{found['median_ms']:.3f}", f"{found['p10_ms']:.3f}", f"{found['again_median_ms']:.3f}"]
        for name, found in latency["artefacts"].items()
    ]
    text = (
        f"One face, one thread, {latency['rounds']} rounds in which the artefacts take turns, so that each finds the others in the "
        f"caches, as behind a detector; and of each a second run right after its first. {latency['machine']}."
    )
    table = page.table(("artefact", "median ms", "fastest tenth ms", "second run, median ms"), rows)
    profiles = [_profile(name, found) for name, found in latency["profiles"].items()]
    return "\n".join(["<h2>Time</h2>", page.paragraph(text), table, *profiles])


def _profile(name: str, found: Mapping[str, Any]) -> str:
    total = sum(row["us"] for row in found["operators"].values())
    kinds = [
        [kind, str(row["count"]), f"{row['us']:.0f}", f"{row['us'] / total:.1%}"]
        for kind, row in found["operators"].items()
    ]
    slowest = [[operator, kind, f"{us:.0f}"] for operator, kind, us in found["slowest"]]
    text = f"Where the time of {name} goes, by ONNX Runtime's profiler, which itself adds to every operator: the shares count."
    return "\n".join([
        page.paragraph(text), page.table(("operators", "count", "µs a face", "share"), kinds),
        page.table(("slowest operator", "kind", "µs a face"), slowest),
    ])  # fmt: skip
