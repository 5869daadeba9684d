"""The most memory that a process and all it started have held."""

from __future__ import annotations

from pathlib import Path

from fer_edge.benchmark.bench import peak_mib


def tree_peak_mib(pid: int, proc: Path = Path("/proc")) -> float | None:
    """Sum of the largest resident sets (``VmHWM``) of a process and its living descendants in MiB; None where the kernel does not tell."""
    peaks = [peak_mib(proc / str(one) / "status") for one in (pid, *_descendants(pid, proc))]
    known = [peak for peak in peaks if peak is not None]
    return round(sum(known), 1) if known else None


def _descendants(pid: int, proc: Path) -> list[int]:
    found: list[int] = []
    for path in (proc / str(pid) / "task").glob("*/children"):
        try:
            children = [int(word) for word in path.read_text().split()]
        except OSError:
            continue  # it ended in between
        for child in children:
            found += [child, *_descendants(child, proc)]
    return found
