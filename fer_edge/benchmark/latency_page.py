"""The record of a latency measurement as one HTML file with its plots inside."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_edge.benchmark import latency_plots as plots
from fer_edge.benchmark.text import AXES, batch_rows, case_title, numbers, stage_rows, sweep_rows
from fer_edge_train.page import cards, figure, page, paragraph, side_by_side, table
from fer_edge_train.run_folder import write_whole


def write_latency_page(target: Path, record: Mapping[str, Any]) -> None:
    """Write the page, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    content = page(f"Latency on {record['machine']['cpu']}", latency_body(record))
    write_whole(target, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def latency_body(record: Mapping[str, Any]) -> str:
    """Everything below the page's head."""
    machine, cases = record["machine"], record["cases"]
    short = numbers(cases)
    names = [f"{number} {case_title(case)}" for number, case in zip(short, cases, strict=True)]
    measured = {name: case for name, case in zip(names, cases, strict=True) if case["faces"]}
    title = machine["board"] or machine["cpu"] or "this machine"
    parts = [f"<h1>Latency on {html.escape(title)}</h1>", _verdict(record)]
    parts.append(cards([_card(name, case) for name, case in measured.items()]))
    if measured:
        parts += ["<h2>Batches of faces</h2>", paragraph(_how_batches(record)), _rows(batch_rows(cases, short))]
        parts.append(
            figure(
                plots.batches({name.split()[0]: case for name, case in measured.items()}),
                "Median milliseconds a face; the whisker reaches to the 90th percentile.",
            )
        )
    ran = {name: case for name, case in zip(short, cases, strict=True) if case["clip"]}
    if ran:
        parts += ["<h2>Stages of a frame</h2>", paragraph(_how_stages(record)), _rows(stage_rows(cases, short))]
        parts.append(figure(plots.stages(ran), "Mean milliseconds of every stage."))
    parts += [_sweep(cases), _comparison(record.get("baseline")), _cases(cases), _machine(record)]
    return "".join(parts)


def _verdict(record: Mapping[str, Any]) -> str:
    lines = [f"These figures do not count: {reason}." for reason in record["invalid_because"]]
    lines += record["remarks"]
    lines += [
        f"{case_title(case)} was not measured to its end: {case['failed']}."
        for case in record["cases"]
        if case["failed"]
    ]
    return "".join(f"<p><strong>{html.escape(line)}</strong></p>" for line in lines)


def _card(name: str, case: Mapping[str, Any]) -> tuple[str, str, str]:
    first = case["faces"][0]
    faces = f"{first['faces']} face{'s' * (first['faces'] != 1)}"
    rate = f", {case['clip']['frames_per_s']:.0f} frames/s end to end" if case["clip"] else ""
    return name, f"{first['p50_ms']:.2f} ms", f"median of {faces}{rate}"


def _how_batches(record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    return (
        f"One call of the engine on prepared faces. Every case has a process of its own; in each of {settings['rounds']} rounds all "
        f"cases and batch sizes took turns of {settings['calls_a_round']} calls, in rotating order, after {settings['warm_up_rounds']} "
        "rounds of warm-up. Load is reading the bundle and starting the engine, first is the engine's very first call, peak is the "
        "process's largest resident memory with detector and clip."
    )


def _how_stages(record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    return (
        f"The clip '{settings['clip']}' as fer-edge run processes it, detector '{settings['detector']}' on every frame. Medians; "
        "frames/s is from the whole time, which also holds the search for small faces on every 15th frame."
    )


def _sweep(cases: list[Mapping[str, Any]]) -> str:
    swept = {name: case for name, case in zip(numbers(cases), cases, strict=True) if case["sweep"]}
    if not swept:
        return ""
    drawn = [figure(plots.sweep(swept, axis), f"Mean milliseconds a frame by {AXES[axis]}.") for axis in AXES]
    text = (
        "Synthetic frames: a face of the clip tiled on grey. Without decoding and drawing. Unless an axis says otherwise: 640x480, one "
        "face, detection on every frame."
    )
    tables = "".join(_rows(sweep_rows(cases, numbers(cases), axis)) for axis in AXES)
    return f"<h2>Work per frame</h2>{paragraph(text)}{side_by_side(*drawn)}{tables}"


def _comparison(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    rows = [
        (
            change["case"],
            *(f"{change[when]:.4g}{change['unit']}" for when in ("before", "now")),
            f"{change['change']:+.1%}{'' if change['counts'] else ' (scatter)'}",
        )
        for change in found["changes"]
    ]
    text = f"Compared: {found['compared']}."
    if found["allowed"] is not None:
        text += f" Allowed: {found['allowed']:.1%} slower; {'kept' if found['ok'] else 'exceeded'}."
    missing = "".join(paragraph(line) for line in found["missing"])
    header = ("case", "before", "now", "change")
    return f"<h2>Against the baseline</h2>{paragraph(text)}{table(header, rows)}{missing}"


def _cases(cases: list[Mapping[str, Any]]) -> str:
    rows = [
        (
            f"{number} {case_title(case)}", case["artefact"], case["precision"], case["sha256"][:12], case["device"], case["delegate"],
            _count(case["operators"]["total"]), _count(case["operators"]["delegated"]), f"{case['golden_difference']:.4f}",
            "; ".join(case["reasons"]),
        )
        for number, case in zip(numbers(cases), cases, strict=True) if "runs_on" in case
    ]  # fmt: skip
    header = (
        "case",
        "file",
        "precision",
        "SHA-256",
        "device",
        "runs on",
        "operators",
        "delegated",
        "golden difference",
        "why",
    )
    return f"<h2>What ran</h2>{table(header, rows, kind='facts')}"


def _machine(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    fixed = [(name, _text(machine[name])) for name in ("cpu", "board", "cores", "system", "python")]
    fixed += sorted(machine["versions"].items())
    fixed.append(("throttling known from", _text(machine["throttling_known_from"])))
    states = [
        (name.replace("_", " "), _text(machine["before"][name]), _text(machine["after"][name]))
        for name in machine["before"]
    ]
    facts = table(("what", "value"), fixed, kind="facts")
    return f"<h2>Machine</h2>{side_by_side(facts, table(('state', 'before', 'after'), states, kind='facts'))}"


def _rows(rows: list[tuple[str, ...]]) -> str:
    return table(rows[0], rows[1:]) if rows else ""


def _count(value: int | None) -> str:
    return "not told" if value is None else str(value)


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return (", ".join(map(str, value)) or "no") if isinstance(value, list) else str(value)
