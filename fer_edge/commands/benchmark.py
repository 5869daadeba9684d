"""``fer-edge benchmark latency``: measure, print, hold against a baseline."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import ConfigError, GateError, OutputError

if TYPE_CHECKING:
    from fer_edge.benchmark.baseline import Comparison
    from fer_edge.benchmark.rounds import Limit

DEFAULT_SECONDS = 10.0
DEFAULT_FACES = (1, 4, 16)
MAX_FACES = 256


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """The options of ``benchmark latency``, as given."""

    bundles: list[str]
    engines: list[str]
    devices: list[str]
    threads: list[int]
    faces: list[int]
    rounds: int | None
    seconds: float | None
    clip: str
    sweep: bool
    baseline: Path | None
    fail_over: str | None
    ratios: bool
    html: Path | None
    json: bool


def latency_command(options: LatencyOptions) -> None:
    """Measure, print, compare; the exit code is that of the worst that happened."""
    limit = _limit(options)
    check_page(options.html)
    baseline, allowed = _baseline(options)
    from fer_edge.benchmark.case import make_cases
    from fer_edge.benchmark.latency import Plan, measure_latency
    from fer_edge.benchmark.text import latency_lines

    cases = make_cases(
        options.bundles or ["default"], options.engines, options.devices or ["cpu"], options.threads or [1]
    )
    plan = Plan(cases, _faces(options), limit, clip=_clip(options.clip), sweep=options.sweep)
    with interruptible("no process was left behind, nothing was written."), Display() as display:
        record, failures = measure_latency(plan, say=display.say, progress=display.progress)
        if failures and len(failures) == len(cases) and not any(case["faces"] for case in record["cases"]):
            raise failures[0]
        comparison = None
        if baseline is not None:
            from fer_edge.benchmark.baseline import compare

            comparison = compare(baseline, record, allowed=allowed, ratios=options.ratios)
            record["baseline"] = {"file": str(options.baseline), **comparison.as_json()}
        for line in [*latency_lines(record), *_comparison_lines(comparison)]:
            display.say(line)
        if options.html:
            from fer_edge.benchmark.latency_page import write_latency_page

            write_latency_page(options.html, record)
            display.say(f"Page: {options.html}")
    if options.json:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
        sys.stdout.flush()
    _judge(comparison, record)
    if failures:
        raise typer.Exit(failures[0].exit_code)


def check_page(path: Path | None) -> None:
    """Refuse before the work a page that could not be written after it."""
    if path is None:
        return
    if path.suffix != ".html":
        raise ConfigError(f"{path} must end in .html.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    need(("matplotlib",), "benchmark")


def _limit(options: LatencyOptions) -> Limit:
    from fer_edge.benchmark.rounds import Limit

    if options.rounds is not None and options.seconds is not None:
        raise ConfigError("Both --rounds and --seconds were given; one of them ends the measurement.")
    if options.rounds is None and options.seconds is None:
        return Limit(seconds=DEFAULT_SECONDS)
    return Limit(options.rounds, options.seconds)


def _faces(options: LatencyOptions) -> list[int]:
    faces = list(dict.fromkeys(options.faces or DEFAULT_FACES))
    wrong = next((n for n in faces if not 1 <= n <= MAX_FACES), None)
    if wrong is not None:
        raise ConfigError(f"--faces {wrong} cannot be used. Give 1 to {MAX_FACES}.")
    return faces


def _clip(spec: str) -> str:
    """The clip, once it opens as a video: a broken one is refused before any worker starts."""
    from fer_edge_runtime.sources import open_source

    with open_source(spec) as source:
        if source.kind != "video":
            raise ConfigError(f"--clip {spec} is no video file. Give one, or leave it out for the embedded clip.")
    return spec


def _baseline(options: LatencyOptions) -> tuple[dict[str, Any] | None, float | None]:
    """The older record and the allowed share, both checked before anything is measured."""
    from fer_edge.benchmark.baseline import check_same_machine, parse_percent, read_baseline
    from fer_edge.benchmark.machine import describe_machine

    if options.baseline is None:
        given = "--fail-over" if options.fail_over is not None else "--ratios" if options.ratios else None
        if given:
            raise ConfigError(f"{given} compares with an older record: name it with --baseline.")
        return None, None
    allowed = None if options.fail_over is None else parse_percent(options.fail_over)
    record = read_baseline(options.baseline)
    if not options.ratios:
        check_same_machine(options.baseline, record, describe_machine().cpu)
    return record, allowed


def _comparison_lines(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    lines = ["", "Against the baseline:"]
    lines += [f"  {change.sentence()}" for change in comparison.changes]
    return lines + [f"  {line}" for line in comparison.missing]


def _judge(comparison: Comparison | None, record: dict[str, Any]) -> None:
    """The gate.

    Raises:
        GateError: a case became slower, or larger, than is allowed, or the run is no basis for saying so.
    """
    if comparison is None or comparison.allowed is None:
        return
    if not record["valid"]:
        raise GateError(
            f"This run does not count ({'; '.join(record['invalid_because'])}), so it cannot be held against the baseline. Cool the "
            "machine and measure again."
        )
    if comparison.failures:
        slow = "\n".join(f"  {change.sentence()}" for change in comparison.failures)
        raise GateError(
            f"{len(comparison.failures)} of {len(comparison.changes)} figures are more than {comparison.allowed:.1%} slower (or larger) than "
            f"the baseline's:\n{slow}"
        )
