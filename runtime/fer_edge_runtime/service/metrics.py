"""Figures in Prometheus' text format 0.0.4, written by hand: the client library costs a device more than the page does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_STARTED_S = time.time()


class Counters:
    """Counters of one name with one label or several; counted in any thread."""

    def __init__(self, name: str, help_: str, labels: Sequence[str] = ()) -> None:
        """Nothing was counted."""
        self.name = name
        self.help = help_
        self._labels = tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *values: str, by: float = 1) -> None:
        """Count; ``values`` are those of the labels."""
        with self._lock:
            self._values[values] = self._values.get(values, 0) + by

    def text(self) -> str:
        """The family."""
        with self._lock:
            rows = sorted(self._values.items())
        return family(
            self.name,
            "counter",
            self.help,
            [(tuple(zip(self._labels, key, strict=True)), value) for key, value in rows],
        )


class Histogram:
    """How long something took, per value of one label."""

    def __init__(self, name: str, help_: str, label: str) -> None:
        """Nothing was measured."""
        self.name = name
        self.help = help_
        self._label = label
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, value: str, seconds: float) -> None:
        """Add one measurement for a value of the label."""
        at = next((i for i, bound in enumerate(SECONDS) if seconds <= bound), len(SECONDS))
        with self._lock:
            self._counts.setdefault(value, [0] * (len(SECONDS) + 1))[at] += 1
            self._sums[value] = self._sums.get(value, 0.0) + seconds

    def text(self) -> str:
        """The family."""
        with self._lock:
            rows = [(value, list(counts), self._sums[value]) for value, counts in sorted(self._counts.items())]
        lines = [*_head(self.name, "histogram", self.help)]
        for value, counts, total in rows:
            label = (self._label, value)
            so_far = 0
            for bound, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
                so_far += count
                lines.append(_sample(f"{self.name}_bucket", (label, ("le", bound)), so_far))
            lines.append(_sample(f"{self.name}_sum", (label,), total))
            lines.append(_sample(f"{self.name}_count", (label,), so_far))
        return "\n".join(lines) + "\n"


def family(name: str, kind: Kind, help_: str, samples: Iterable[tuple[Labels, float]]) -> str:
    """A metric with its samples."""
    rows = [_sample(name, labels, value) for labels, value in samples]
    return "\n".join([*_head(name, kind, help_), *rows]) + "\n"


def info(name: str, help_: str, facts: Mapping[str, str]) -> str:
    """Facts that are no numbers, as labels of a 1."""
    return family(name, "gauge", help_, [(tuple(facts.items()), 1)])


def process_text() -> str:
    """Memory, processor time, files and start of this process under the names that Prometheus uses everywhere."""
    times = os.times()
    parts = [
        family("process_cpu_seconds_total", "counter", "Processor time in seconds.", [((), times.user + times.system)]),
        family("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", [((), _STARTED_S)]),
    ]
    try:
        resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 a number is wanted, not paths
    except (OSError, ValueError, IndexError):  # not Linux
        return "".join(parts)
    parts += [
        family("process_resident_memory_bytes", "gauge", "Resident memory in bytes.", [((), resident)]),
        family("process_open_fds", "gauge", "Open files.", [((), files)]),
    ]
    return "".join(parts)


def _head(name: str, kind: Kind, help_: str) -> tuple[str, str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{f'{{{inside}}}' if inside else ''} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
