"""The record of a measurement of peers as one HTML file with its plots inside."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl  # noqa: TID253 imported only when a page is drawn
import numpy as np

from fer_edge.benchmark.latency_plots import COLOURS
from fer_edge.benchmark.peers.text import case_rows, clip_names, clip_rows, goal_lines, ratio_rows, rows_of
from fer_edge.benchmark.text import machine_line
from fer_edge_train.page import figure, page, paragraph, side_by_side, table
from fer_edge_train.plots import SETTINGS, new_figure, to_svg
from fer_edge_train.run_folder import write_whole


def write_peers_page(target: Path, record: Mapping[str, Any]) -> None:
    """Write the page, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    content = page(f"Peers on {record['machine']['cpu']}", peers_body(record))
    write_whole(target, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def peers_body(record: Mapping[str, Any]) -> str:
    """Everything below the page's head."""
    warnings = [
        *(f"These figures do not count: {reason}." for reason in record["invalid_because"]),
        *record["remarks"],
        *(f"{case['name']} was not measured: {case['failed']}." for case in record["cases"] if case["failed"]),
    ]
    parts = [
        f"<h1>{html.escape(record['reference'])} beside its peers</h1>",
        paragraph(machine_line(record["machine"])),
    ]
    parts += [f"<p><strong>{html.escape(line)}</strong></p>" for line in warnings]
    parts += [paragraph(line) for line in goal_lines(record) if line]
    parts += ["<h2>Frames a second</h2>", paragraph(_how(record)), _rows(clip_rows(record))]
    if clip_names(record):
        parts.append(figure(rates(record), "Frames/s, logarithmic; the whisker is the range over the rounds."))
    parts += ["<h2>Start, memory, accuracy</h2>", _rows(case_rows(record))]
    drawn = [
        figure(bars(found, unit), caption)
        for key, unit, caption in (
            ("cold_start_s", "seconds", "From starting the process to the first labelled face."),
            ("peak_mib", "MiB", "Largest resident memory, with the processes it started."),
        )
        if (found := rows_of(record["cases"], key))
    ]
    parts += [
        side_by_side(*drawn),
        f"<h2>{html.escape(record['reference'])} divided by each</h2>",
        _rows(ratio_rows(record)),
    ]
    return "".join([*parts, _what_ran(record)])


def rates(record: Mapping[str, Any]) -> str:
    """Frames/s of every case, grouped by clip."""
    names, cases = clip_names(record), [case for case in record["cases"] if case["clips"]]
    with mpl.rc_context(SETTINGS):
        drawing, axes = new_figure(7.0, 3.6)
        width = 0.8 / len(cases)
        for number, case in enumerate(cases):
            found = [case["clips"][name]["frames_per_s"] if name in case["clips"] else None for name in names]
            places = [place + (number + 0.5) * width - 0.4 for place, one in enumerate(found) if one]
            _bar(
                axes.bar,
                places,
                [one for one in found if one],
                width,
                COLOURS[number % len(COLOURS)],
                "yerr",
                case["name"],
            )
        axes.set_yscale("log")
        axes.set_xticks(range(len(names)), names)
        axes.set(ylabel="frames/s")
        axes.grid(visible=False, axis="x")
        drawing.legend(loc="outside upper left", ncols=3, fontsize=8)
        return to_svg(drawing, "frames a second of every case on every clip")


def bars(found: Mapping[str, Mapping[str, Any]], unit: str) -> str:
    """One bar a case."""
    with mpl.rc_context(SETTINGS):
        drawing, axes = new_figure(4.6, 0.8 + 0.4 * len(found))
        for number, one in enumerate(found.values()):
            _bar(axes.barh, [number], [one], 0.6, COLOURS[number % len(COLOURS)], "xerr", None)
        axes.set_yticks(range(len(found)), list(found))
        axes.invert_yaxis()
        axes.set(xlabel=unit)
        axes.grid(visible=False, axis="y")
        return to_svg(drawing, f"{unit} of every case")


def _bar(
    draw: Any,
    places: list[float],
    found: list[Mapping[str, Any]],
    width: float,
    colour: str,
    error: str,
    label: str | None,
) -> None:
    medians, lows, highs = (np.array([one[key] for one in found]) for key in ("median", "min", "max"))
    draw(
        places,
        medians,
        width,
        color=colour,
        label=label,
        capsize=2,
        ecolor="#888",
        **{error: [medians - lows, highs - medians]},
    )


def _how(record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    return (
        f"Faces of the embedded clip move over a noise, the same {settings['frames']} frames for all, read from lossless files outside "
        f"the timing. In each of {settings['rounds']} rounds every case has one turn, in rotating order: a new process labels a first face, then runs "
        f"every clip once, and again until {settings['clip_s']:g} s have passed. In brackets: how many of the faces it found; who finds fewer has less to classify."
    )


def _what_ran(record: Mapping[str, Any]) -> str:
    rows = []
    for case in record["cases"]:
        install = case["install"]
        about = (
            f"{install['size_bytes'] / 1e6:,.0f} MB, {len(install['packages'])} packages, Python {install['python']}"
            if install
            else "not installed"
        )
        rows.append((case["name"], f"{case['peer']} {case['version']}", case["words"], str(case["cores"]), about))
    return f"<h2>What ran</h2>{table(('case', 'package', 'used as', 'cores', 'environment'), rows, kind='facts')}"


def _rows(rows: list[tuple[str, ...]]) -> str:
    return table(rows[0], rows[1:]) if len(rows) > 1 else ""
