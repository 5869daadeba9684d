"""What was done to break the program, in a table: every section of ``benchmarks/results/reliability.json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from page_tables.cells import table

Row = tuple[str, str, str]
MIN_RATE = 0.9
EXPECTED = {"200", "429", "503"}


def kills(found: dict[str, Any]) -> Row:
    each = found["signals"]
    landed = ", ".join(f"{name} {one['landed']} of {one['kills']}" for name, one in each.items())
    longest = max(each[name]["seconds_to_end_max"] for name in ("SIGTERM", "SIGINT"))
    return (
        f"{found['kills']} runs killed at random moments",
        broken(sum(one["broken_promises"] for one in each.values())),
        f"hit a living process: {landed}; SIGTERM and SIGINT: ended within {longest:.1f} s. Promised: last line whole, video plays, no process left",
    )


def cameras(found: dict[str, Any]) -> Row:
    faults, flaps = found["faults"], found["flaps"]
    files, threads = flaps["file_descriptors"], flaps["threads"]
    return (
        f"{sum(faults.values())} camera faults in {found['runs']} runs ({', '.join(sorted(faults))}), {flaps['outages']} outages of one source",
        broken(len(found["broken_promises"])),
        f"pictures again {found['seconds_from_mended_to_pictures']['median']:.1f} s after the repair (median); file descriptors "
        f"{files[0]} before, {files[1]} after, threads {threads[0]}, {threads[1]}",
    )


def soak(found: dict[str, Any]) -> Row:
    growth, faults = found["growth_mb_per_hour"], sum(found["faults"].values())
    early, late = found["latency_p99_ms"]
    judged = "promised: 10 %" if found["latency_checked"] else "not judged, the machine was at work"
    return (
        f"{found['minutes']:g} minutes on a camera that failed {faults} times",
        broken(len(found["broken_promises"])),
        f"{found['results']:,} results, {found['lost']} lost; memory {growth['slope']:+.1f} MB an hour (95 %: {growth['low']:+.1f} to "
        f"{growth['high']:+.1f}); file descriptors {found['file_descriptors'][0]} to {found['file_descriptors'][1]}, "
        f"threads {found['threads'][0]} to {found['threads'][1]}; 99th percentile from the camera's sending to the line {early:.1f} to {late:.1f} ms "
        f"({found['latency_p99_drift']:+.0%}; {judged})",
    )


def service(found: dict[str, Any]) -> Row:
    loads = found["page"]["loads"]
    worst = min(loads, key=lambda name: loads[name]["ratio"])
    return (
        f"the live page under {len(loads)} loads ({'; '.join(loads)}), {found['page']['seconds']:g} s each",
        broken(sum(map(fails, loads.values()))),
        f"frame rate at least {loads[worst]['ratio']:.0%} of the quiet {loads[worst]['quiet_fps']:.0f} frames/s ({worst}); stopped in "
        f"{found['page']['stop_s_with_50_clients']:.2f} s with 50 clients. Promised: {MIN_RATE:.0%}, "
        f"no answer but {', '.join(sorted(EXPECTED))}",
    )


def fails(load: dict[str, Any]) -> bool:
    """Whether a load cost too much, or had an answer that nobody should get; slow clients and viewers have no codes."""
    answers = "codes" in load and bool(set(load["codes"]) - EXPECTED or not load["ok_per_s"])
    return answers or load["ratio"] < MIN_RATE


def fuzz(found: dict[str, Any]) -> Row:
    return (
        f"{found['cases']:,} spoiled inputs to {len(found['targets'])} readers ({', '.join(found['targets'])})",
        broken(found["broken"]),
        f"{found['accepted']:,} accepted, {found['refused']:,} refused in words. Promised: no crash, no hang of 5 s, no more than 1.5 GB",
    )


def flips(found: dict[str, Any]) -> Row:
    files = found["files"]
    return (
        f"{sum(each['positions'] for each in files.values()):,} changed bytes in {len(files)} shipped files",
        broken(len(found["loaded"])),
        f"{len(found['loaded'])} loaded. Promised: no changed bundle or detector is opened",
    )


def broken(count: int) -> str:
    return "none" if count == 0 else f"**{count}**"


ROWS: dict[str, Callable[[dict[str, Any]], Row]] = {
    "kills": kills, "cameras": cameras, "soak": soak, "soak_quiet": soak, "service": service, "fuzz": fuzz, "flips": flips,
}  # fmt: skip


IN_SHORT: dict[str, Callable[[dict[str, Any]], str]] = {
    "kills": lambda found: f"{sum(one['landed'] for one in found['signals'].values())} runs killed",
    "cameras": lambda found: f"{sum(found['faults'].values()) + found['flaps']['outages']} camera outages",
    "fuzz": lambda found: f"{found['cases']:,} spoiled inputs",
    "flips": lambda found: (
        f"{sum(each['positions'] for each in found['files'].values()):,} changed bytes in shipped files"
    ),
    "soak": lambda found: (
        f"{found['minutes']:g} minutes on a camera that failed {sum(found['faults'].values())} times ({found['results']:,} results, "
        f"{found['lost']} lost)"
    ),
}


def reliability_line(values: dict[str, Any]) -> str:
    """The same in a sentence, of what was measured."""
    there = [name for name in IN_SHORT if name in values]
    failed = [f"{name} {count}" for name in there if (count := ROWS[name](values[name])[1]) != "none"]
    return (
        f"{', '.join(IN_SHORT[name](values[name]) for name in there)}. Promises broken: {', '.join(failed) or 'none'}."
    )


def reliability_table(values: dict[str, Any]) -> str:
    """A line for every section that was measured, and where."""
    rows = [make(values[name]) for name, make in ROWS.items() if name in values]
    machines = {
        f"{found['machine']['cpu']}, {found['machine']['cores']} cores, {found['machine']['date']}"
        for name, found in values.items()
        if name in ROWS
    }
    shown = table(["done", "promises broken", "measured"], rows)
    return f"{shown}\n\n{'; '.join(sorted(machines))}. `scripts/nightly` does all of it again."
