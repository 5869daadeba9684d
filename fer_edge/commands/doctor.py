"""``fer-edge doctor``: print the checks, as a table for people or as JSON for scripts."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import typer

from fer_edge import __version__
from fer_edge.doctor import FAIL, PASS, WARN, Check, run_checks
from fer_edge.startup import start_light

_FOUND_COLUMN = 32
_COLOURS = {PASS: "32", WARN: "33", FAIL: "31"}


def doctor_command(*, as_json: bool, model: str, measure: bool) -> None:
    """Check and print; exit code 1 when a check fails."""
    start_light()
    if measure and not as_json and sys.stderr.isatty():
        sys.stderr.write("Measuring for 2 seconds …\n")
    checks = run_checks(model, measure=measure)
    failed = sum(check.status == FAIL for check in checks)
    if as_json:
        record = {"schema": 1, "fer_edge": __version__, "ok": not failed, "checks": [asdict(check) for check in checks]}
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        for check in checks:
            sys.stderr.write(_line(check) + "\n")
        warned = sum(check.status == WARN for check in checks)
        sys.stderr.write(f"{len(checks)} checks: {failed} failed, {warned} with a warning.\n")
    if failed:
        raise typer.Exit(1)


def _line(check: Check) -> str:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    status = f"\x1b[{_COLOURS[check.status]}m{check.status}\x1b[0m" if colour else check.status
    remedy = f"\n{'':{_FOUND_COLUMN}}→ {check.remedy}" if check.remedy else ""
    return f"{status}  {check.id:<{_FOUND_COLUMN - 7}} {check.found}{remedy}"
