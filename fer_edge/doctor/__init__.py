"""Checks of this machine, each with a verdict and, where it is not fine, a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from fer_edge.doctor.check import FAIL, PASS, WARN, Check, Host
from fer_edge_runtime.errors import FerEdgeError

__all__ = ["FAIL", "PASS", "WARN", "Check", "Host", "run_checks"]


def run_checks(model: str = "default", *, measure: bool = True, host: Host | None = None) -> list[Check]:
    """All checks; a check that breaks is itself a finding, so the list is always whole.

    Args:
        model: the bundle to verify and to measure with.
        measure: run the demonstration clip for two seconds.
        host: the machine; None for this one.
    """
    from fer_edge.doctor import cameras, libraries, memory, models, processor, system

    host = host or Host()
    # First, so that this process has loaded what a run loads and no more: its peak is then a run's.
    speed, need_mib = _speed(model) if measure else ([], None)
    groups: list[tuple[str, Callable[[], Iterable[Check | None]]]] = [
        ("system", lambda: system.system(host)),
        ("cpu", lambda: processor.processor(host)),
        ("heat", lambda: system.heat(host)),
        ("memory", lambda: [memory.memory(host, need_mib)]),
        ("disk", lambda: [system.disk(Path.cwd())]),
        ("libraries", libraries.libraries),
        ("opencv", libraries.opencv),
        ("cameras", lambda: cameras.cameras(host)),
        ("bundle", lambda: models.bundle(model)),
        ("detectors", models.detectors),
        ("gpu", lambda: models.gpu(model)),
        ("speed", lambda: speed),
    ]
    return [check for name, group in groups for check in _guarded(name, group)]


def _guarded(name: str, group: Callable[[], Iterable[Check | None]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(check for check in group() if check)
    except Exception as error:
        found.append(Check(name, FAIL, f"the check broke: {type(error).__name__}: {error}", "Please report this."))
    return found


def _speed(model: str) -> tuple[list[Check], float | None]:
    """The check, and the peak of memory in MiB."""
    from fer_edge.doctor import speed

    try:
        measured = speed.measure_speed(model)
    except FerEdgeError as error:  # the bundle's own line says what is wrong with it
        return [Check("speed", WARN, f"not measured: {error}", "See the lines above.")], None
    except Exception as error:
        broke = f"the measurement broke: {type(error).__name__}: {error}"
        return [Check("speed", FAIL, broke, "See the lines above, or report this.")], None
    return [speed.speed_check(measured)], measured.peak_mib
