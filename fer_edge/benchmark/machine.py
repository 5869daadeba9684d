"""What a figure was measured on: the facts that stay, and the state that changes while one measures."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fer_edge_runtime.engines.select import available_cores

PACKAGES = (
    "fer-edge", "ai-edge-litert", "tflite-runtime", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "opencv-python",
    "numpy",
)  # fmt: skip
BUSY_SHARE = 0.5  # of the cores: above it, other work competes for them


@dataclass(frozen=True, slots=True)
class Machine:
    """What stays the same.

    Attributes:
        cpu: model name, as the kernel or the board says it; None when neither does.
        board: such as ``Raspberry Pi 5 Model B Rev 1.0``; None on ordinary computers.
        cores: that this process may use.
        system: kernel and C library.
        python: its version.
        versions: installed packages that a figure depends on.
    """

    cpu: str | None
    board: str | None
    cores: int
    system: str
    python: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """What changes; None where the machine does not tell.

    Attributes:
        date: UTC, to the second.
        governor: of the processor's frequency; several are joined by commas.
        frequency_mhz: of the fastest core.
        max_frequency_mhz: that the governor may choose.
        temperature_c: of the hottest thermal zone.
        load_1min: processes that ran or waited on average over the last minute.
    """

    date: str
    governor: str | None
    frequency_mhz: float | None
    max_frequency_mhz: float | None
    temperature_c: float | None
    load_1min: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def describe_machine(root: Path = Path("/")) -> Machine:
    """The facts of this machine.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    board = _text(root / "proc/device-tree/model")
    return Machine(
        cpu=_cpu(root) or board,
        board=board,
        cores=available_cores(),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
    )


def read_state(root: Path = Path("/")) -> State:
    """The state of this moment.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    cpus = root / "sys/devices/system/cpu"
    governors = {text for path in sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")) if (text := _text(path))}
    current = _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"), 1e-3)
    highest = _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_max_freq"), 1e-3)
    zones = _numbers((root / "sys/class/thermal").glob("thermal_zone*/temp"), 1e-3)
    return State(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        governor=", ".join(sorted(governors)) or None,
        frequency_mhz=round(max(current), 1) if current else _stated_mhz(root),
        max_frequency_mhz=round(max(highest), 1) if highest else None,
        temperature_c=round(max(zones), 1) if zones else None,
        load_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def remarks(machine: Machine, before: State, after: State) -> list[str]:
    """What makes the figures less sure without spoiling them, as sentences."""
    found = []
    if before.load_1min is not None and before.load_1min > BUSY_SHARE * machine.cores:
        found.append(
            f"Other work ran on this machine (load {before.load_1min} on {machine.cores} cores): the ratios count, not the times."
        )
    if before.governor and "powersave" in before.governor:
        found.append("The frequency governor is powersave; 'performance' gives steadier figures.")
    if before.governor != after.governor:
        found.append(f"The frequency governor changed from {before.governor} to {after.governor} in between.")
    return found


def _cpu(root: Path) -> str | None:
    """The first line of ``/proc/cpuinfo`` that names the processor; ARM boards often have none."""
    facts = _cpuinfo(root)
    return next((facts[key] for key in ("model name", "Hardware", "Model") if facts.get(key)), None)


def _stated_mhz(root: Path) -> float | None:
    try:
        return round(float(_cpuinfo(root)["cpu MHz"]), 1)
    except (KeyError, ValueError):
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first value of every key."""
    facts: dict[str, str] = {}
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts


def _numbers(paths: Any, factor: float) -> list[float]:
    texts = (_text(path) for path in paths)
    return [int(text) * factor for text in texts if text and text.lstrip("-").isdecimal()]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n\t ")
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
