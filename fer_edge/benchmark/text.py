"""The record of a latency measurement as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fer_edge.table import aligned

AXES = {"faces": "faces per frame", "size": "frame size", "every": "--detect-every"}


def latency_lines(record: Mapping[str, Any]) -> list[str]:
    """Tables of batches, stages and the sweep, with whatever speaks against them."""
    cases = record["cases"]
    names = numbers(cases)
    lines = ["", machine_line(record["machine"]), ""]
    lines += [f"NOT VALID: {reason}" for reason in record["invalid_because"]]
    lines += [f"{name} {case_title(case)}" for name, case in zip(names, cases, strict=True)]
    lines += aligned(batch_rows(cases, names))
    stages = stage_rows(cases, names)
    if len(stages) > 1:
        lines += ["", f"Clip '{record['settings']['clip']}', median ms per frame; frames/s from the whole time:"]
        lines += aligned(stages)
    lines += [
        f"{name} NOT MEASURED{' TO ITS END' if case['faces'] else ''}: {case['failed'].rstrip('.')}."
        for name, case in zip(names, cases, strict=True)
        if case["failed"]
    ]
    for axis in AXES:
        rows = sweep_rows(cases, names, axis)
        if len(rows) > 1:
            lines += ["", f"Work per frame by {AXES[axis]}, mean ms without decoding and drawing:", *aligned(rows)]
    lines += [f"Note: {remark}" for remark in record["remarks"]]
    return lines


def machine_line(machine: Mapping[str, Any]) -> str:
    """Such as ``AMD EPYC, 2 cores, load 0.3, 2026-11-25 …``."""
    before, after = machine["before"], machine["after"]
    parts = [machine["board"] if machine["board"] != machine["cpu"] else None, machine["cpu"] or "unknown processor"]
    parts += [f"{machine['cores']} cores", f"governor {before['governor'] or 'unknown'}"]
    if before["temperature_c"] is not None:
        parts.append(f"{before['temperature_c']} °C, then {after['temperature_c']} °C")
    known = machine["throttling_known_from"]
    parts.append(f"throttling watched through {known}" if known else "throttling unknown")
    if before["load_1min"] is not None:
        parts.append(f"load {before['load_1min']}")
    return "; ".join(part for part in parts if part)


def numbers(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """``[1]``, ``[2]``, …: short names, where the whole ones would not fit."""
    return [f"[{number}]" for number in range(1, len(cases) + 1)]


def case_title(case: Mapping[str, Any]) -> str:
    """A case by its bundle and what runs it, as asked for where it never ran."""
    if "runs_on" in case:
        return f"{case['bundle']}, {case['runs_on']}"
    asked = case["asked"]
    return f"{asked['bundle']}, {asked['engine']}, {asked['device']}, threads {asked['threads']}"


def batch_rows(cases: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Header and one row per case and batch size; ``names`` are of the cases."""
    rows: list[tuple[str, ...]] = [
        ("case", "faces", "p50 ms", "p90", "p99", "min", "faces/s", "load ms", "first ms", "peak MiB")
    ]
    for name, case in zip(names, cases, strict=True):
        for number, batch in enumerate(case["faces"]):
            once = ("", "", "")
            if number == 0:
                peak = case.get("peak_mib")
                once = (f"{case['load_ms']:.0f}", f"{case['first_ms']:.2f}", "–" if peak is None else f"{peak:.0f}")
            times = (f"{batch[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "min_ms"))
            rows.append(
                (name if number == 0 else "", str(batch["faces"]), *times, f"{batch['faces_per_s']:,.0f}", *once)
            )
    return rows


def stage_rows(cases: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Header and one row per case that ran the clip."""
    ran = [(name, case["clip"]) for name, case in zip(names, cases, strict=True) if case["clip"]]
    if not ran:
        return []
    stages = list(ran[0][1]["stages"])
    rows: list[tuple[str, ...]] = [("case", *stages, "frames/s")]
    for name, clip in ran:
        costs = (f"{clip['stages'][stage]['p50_ms']:.2f}" for stage in stages)
        rows.append((name, *costs, f"{clip['frames_per_s']:.0f}"))
    return rows


def sweep_rows(cases: Sequence[Mapping[str, Any]], names: Sequence[str], axis: str) -> list[tuple[str, ...]]:
    """Header and one row per point of an axis: the whole cost of every case, then the stages of the first."""
    swept = [(name, case["sweep"]) for name, case in zip(names, cases, strict=True) if case["sweep"]]
    points = [[point for point in found if point["axis"] == axis] for _, found in swept]
    if not swept or not points[0]:
        return []
    first = swept[0][0]
    stages = [stage for stage in points[0][0]["mean_ms"] if stage != "total"]
    rows: list[tuple[str, ...]] = [
        (AXES[axis], "found", *(name for name, _ in swept), *(f"{first}: {stages[0]}", *stages[1:]))
    ]
    for together in zip(*points, strict=False):
        point = together[0]
        totals = (f"{each['mean_ms']['total']:.2f}" for each in together)
        costs = (f"{point['mean_ms'][stage]:.2f}" for stage in stages)
        rows.append((point_name(point), str(point["found"]), *totals, *costs))
    return rows


def point_name(point: Mapping[str, Any]) -> str:
    """Where a point lies on its axis."""
    return f"{point['width']}x{point['height']}" if point["axis"] == "size" else str(point[point["axis"]])
