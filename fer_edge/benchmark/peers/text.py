"""The record of a measurement of peers as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fer_edge.benchmark.text import machine_line
from fer_edge.table import aligned

MISSING = "–"


def peer_lines(record: Mapping[str, Any]) -> list[str]:
    """Tables of what was measured, the reference's ratios, the goals, and whatever speaks against them."""
    settings = record["settings"]
    lines = ["", machine_line(record["machine"]), "", *(f"NOT VALID: {reason}" for reason in record["invalid_because"])]
    lines += [*(f"{case['name']}: {case['words']}" for case in record["cases"]), ""]
    lines += aligned(case_rows(record))
    lines += ["", f"Frames/s (share of the faces found), {settings['frames']} frames a clip, decoding left out:"]
    lines += aligned(clip_rows(record))
    if record["ratios"]:
        lines += [
            "",
            f"{record['reference']} to each, median of {settings['rounds']} rounds (range):",
            *aligned(ratio_rows(record)),
        ]
    lines += goal_lines(record)
    lines += [
        f"{case['name']} NOT MEASURED: {case['failed'].rstrip('.')}." for case in record["cases"] if case["failed"]
    ]
    return lines + [f"Note: {remark}" for remark in record["remarks"]]


def case_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, and one row a case: size, start, memory, accuracy."""
    rows: list[tuple[str, ...]] = [
        ("case", "installed", "cold start s", "memory at first face MiB", "peak MiB", "accuracy")
    ]
    for case in record["cases"]:
        size = f"{case['install']['size_bytes'] / 1e6:,.0f} MB" if case["install"] else MISSING
        figures = (
            figure(case["cold_start_s"], 2),
            figure(case["first_face_mib"], 0),
            figure(case["peak_mib"], 0),
        )
        rows.append((case["name"], size, *figures, accuracy_of(record, case)))
    return rows


def clip_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, and one row a case: frames/s of each clip with how many of its faces were found."""
    names = clip_names(record)
    rows: list[tuple[str, ...]] = [("case", *names)]
    for case in record["cases"]:
        clips = case["clips"]
        cells = (
            f"{clips[name]['frames_per_s']['median']:.1f} ({clips[name]['faces_found']:.0%})" if name in clips else MISSING
            for name in names
        )  # fmt: skip
        rows.append((case["name"], *cells))
    return rows


def ratio_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header, and one row a case: the reference divided by it."""
    names = clip_names(record)
    rows: list[tuple[str, ...]] = [("to", "cold start", "peak memory", *(f"frames/s {name}" for name in names))]
    for name, found in record["ratios"].items():
        cells = (found["cold_start"], found["memory"], *(found["frames_per_s"].get(clip) for clip in names))
        rows.append((name, *map(ranged, cells)))
    return rows


def goal_lines(record: Mapping[str, Any]) -> list[str]:
    """Every goal in words: met or missed, and by what."""
    lines = []
    for goal in record["goals"]:
        found = goal["found"]
        shown = f"{found:+.2f}" if isinstance(found, float | int) else ranged(found)
        lines.append(
            f"{'met' if goal['met'] else 'MISSED'}: {goal['what']} against fer: {shown}, asked {goal['asked']}"
        )
    return ["", *lines] if lines else []


def clip_names(record: Mapping[str, Any]) -> list[str]:
    """Of all clips that any case ran."""
    return list(dict.fromkeys(name for case in record["cases"] for name in case["clips"]))


def accuracy_of(record: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """A case's accuracy, or that of the case that has the same classifier."""
    by_name = {other["name"]: other for other in record["cases"]}
    source = by_name.get(case["classifier_of"], case) if case["classifier_of"] else case
    return f"{source['accuracy']['accuracy']:.2%}" if source["accuracy"] else MISSING


def figure(found: Mapping[str, Any] | None, digits: int) -> str:
    """A median."""
    return MISSING if found is None else f"{found['median']:,.{digits}f}"


def ranged(found: Mapping[str, Any] | None) -> str:
    """A median with its range, as multiples."""
    if found is None:
        return MISSING
    digits = 1 if found["median"] >= 1 else 3
    low, mid, high = (f"{found[key]:.{digits}f}" for key in ("min", "median", "max"))
    return f"{mid} ({low} to {high})"


def rows_of(cases: Sequence[Mapping[str, Any]], key: str) -> dict[str, Mapping[str, Any]]:
    """Name and figure of the cases that have one."""
    return {case["name"]: case[key] for case in cases if case[key]}
