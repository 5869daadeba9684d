"""What tables are put together from: rows, figures with their interval, and the machine that measured them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [columns, *rows]
    head, *body = (f"| {' | '.join(map(str, line))} |" for line in lines)
    return "\n".join([head, f"|{'---|' * len(columns)}", *body])


def share(found: dict[str, Any] | None) -> str:
    return f"{found['accuracy']:.2%}" if found else ""


def with_interval(found: dict[str, Any] | None) -> str:
    return f"{share(found)} ({found['interval95'][0]:.1%} to {found['interval95'][1]:.1%})" if found else ""


def ratio(found: dict[str, Any]) -> str:
    """Such as ``1.28 (1.20 to 1.41)``: the median of the rounds, their 10th and 90th percentile."""
    return f"{found['median']:.2f} ({found['p10']:.2f} to {found['p90']:.2f})"


def made_with(values: dict[str, Any]) -> str:
    """Machine, versions and date of a file of benchmarks/results, as far as it has them."""
    machine = values["machine"]
    parts = [machine["cpu"], f"{machine['cores']} cores"]
    parts += [f"load {machine['load_1min']}"] if "load_1min" in machine else []
    versions = versions_of(machine)
    return "; ".join([", ".join(parts), *([versions] if versions else []), machine["date"]])


def versions_of(machine: dict[str, Any]) -> str:
    """Such as ``fer-edge 0.1.0 (058539c12ab3), numpy 2.4.6, Python 3.11.7``."""
    versions = dict(machine.get("versions", {}))
    if "fer-edge" in versions and machine.get("commit"):
        versions["fer-edge"] += f" ({machine['commit']})"
    return ", ".join(
        f"{name} {found}" for name, found in [*versions.items(), ("Python", machine.get("python"))] if found
    )
