"""How much memory a run may take: what is free, and what the control group of a container or service allows."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from fer_edge.doctor.check import FAIL, PASS, WARN, Check, Host

# Where nothing was measured. A run's peak was 101 MiB on x86; more faces, larger frames and ONNX Runtime take more.
USUAL_NEED_MIB = 150
COMFORT = 1.5  # times what is needed: below it, another program can push the run out


class Budget(NamedTuple):
    """MiB.

    Attributes:
        available: what a run may take now.
        total: of the machine.
        limit: of the control group; None without one.
    """

    available: int
    total: int
    limit: int | None


def memory(host: Host, need_mib: float | None) -> Check | None:
    """The budget against what a run needs; None where the machine does not tell.

    Args:
        host: the machine.
        need_mib: peak resident memory, measured here; None when nothing was.
    """
    budget = read_budget(host)
    if budget is None:
        return None
    need = need_mib or USUAL_NEED_MIB
    source = "measured" if need_mib else "not measured, usual"
    limit = f", {budget.limit} MiB allowed by the control group" if budget.limit is not None else ""
    found = f"{budget.available} MiB free for a run of {budget.total} MiB{limit}; a run takes {need:.0f} MiB ({source})"
    values = {
        "available_mib": budget.available, "total_mib": budget.total, "limit_mib": budget.limit,
        "need_mib": round(need, 1), "measured": need_mib is not None,
    }  # fmt: skip
    where = "Raise the limit of the container or service" if budget.limit is not None else "End other programs"
    if budget.available < need and need_mib:  # a guess is no reason to fail
        return Check("memory", FAIL, found, f"{where}, or add swap: the kernel would end a run.", values)
    if budget.available < COMFORT * need:
        return Check("memory", WARN, found, f"{where}: have {COMFORT * need:.0f} MiB free.", values)
    return Check("memory", PASS, found, "", values)


def read_budget(host: Host) -> Budget | None:
    """From ``/proc/meminfo`` and the control groups (versions 1 and 2) of this process, whose own memory will be free by then."""
    values = _mib(host, "proc/meminfo")
    if "MemTotal" not in values or "MemAvailable" not in values:
        return None
    available, total = values["MemAvailable"], values["MemTotal"]
    groups = [(limit, used) for limit, used in _groups(host) if limit < total]
    free = min((limit - used for limit, used in groups), default=available)
    own = _mib(host, "proc/self/status").get("RssAnon", 0)
    return Budget(max(0, min(available, free)) + own, total, min((limit for limit, _ in groups), default=None))


def _mib(host: Host, name: str) -> dict[str, int]:
    """The lines of a file of the kernel's that say kB."""
    values = {}
    for line in (host.text(name) or "").splitlines():
        key, _, rest = line.partition(":")
        if rest.endswith("kB"):
            values[key] = int(rest.split()[0]) // 1024
    return values


def _groups(host: Host) -> list[tuple[int, int]]:
    """Limit and use in MiB of the process's control group and those above it."""
    found = []
    for line in (host.text("proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base, names = (
                "sys/fs/cgroup/memory",
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
        else:
            continue
        place = PurePosixPath(path.lstrip("/"))
        for group in (place, *place.parents):
            found.append(_group(host, f"{base}/{group}", *names))
    return [group for group in found if group is not None]


def _group(host: Host, folder: str, limit_name: str, use_name: str, cache_name: str) -> tuple[int, int] | None:
    limit, use = host.text(f"{folder}/{limit_name}"), host.text(f"{folder}/{use_name}")
    if limit is None or not limit.isdecimal():  # "max"
        return None
    # Files read before count as used, but give way to a program that needs room.
    statistics = dict(line.split() for line in (host.text(f"{folder}/memory.stat") or "").splitlines() if " " in line)
    used = int(use or 0) - int(statistics.get(cache_name, 0))
    return int(limit) // 2**20, max(0, used) // 2**20
