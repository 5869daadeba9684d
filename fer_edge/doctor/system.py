"""Python, operating system, heat, clock, disk: what is not fer-edge's own."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from fer_edge.benchmark.machine import read_state
from fer_edge.doctor.check import FAIL, PASS, WARN, Check, Host
from fer_edge.throttle import read_throttling

HOT_C = 80.0  # a Raspberry Pi's soft limit; laptops and servers throttle later
LOW_DISK_MIB = 200
_SIXTY_FOUR_BITS = ("x86_64", "aarch64", "arm64", "AMD64")


def system(host: Host) -> Iterator[Check]:
    """Python, operating system and architecture."""
    good = (3, 11) <= host.python <= (3, 13)
    version = platform.python_version() if host.python == sys.version_info[:2] else ".".join(map(str, host.python))
    yield Check(
        "python",
        PASS if good else WARN,
        f"{version}, {host.bits} bits, at {sys.executable}",
        "" if good else "Use Python 3.11 to 3.13: for others, LiteRT and OpenCV may have no wheels.",
        {"version": version, "bits": host.bits},
    )
    yield Check("os", PASS, os_name(host))
    yield _architecture(host)


def _architecture(host: Host) -> Check:
    board = host.board()
    found = f"{host.machine}, {os.cpu_count()} cores{f', {board}' if board else ''}"
    values = {"machine": host.machine, "cores": os.cpu_count(), "board": board}
    if host.bits == 64 and host.machine in _SIXTY_FOUR_BITS:
        return Check("architecture", PASS, found, "", values)
    if host.machine in _SIXTY_FOUR_BITS:
        found += ": a 32-bit system on a 64-bit kernel"
    remedy = "LiteRT has no wheel for 32-bit systems: write the 64-bit system to the card"
    if host.python == (3, 11):
        return Check(
            "architecture", WARN, found, f"{remedy}, or pip install 'fer-edge[tflite-runtime]' on Python 3.11.", values
        )
    return Check("architecture", FAIL, found, f"{remedy} (tflite-runtime ended with Python 3.11).", values)


def heat(host: Host) -> Iterator[Check]:
    """Throttling, temperature and the clock's governor."""
    state = read_state(host.root)
    yield _throttling(host)
    degrees = state.temperature_c
    hot = degrees is not None and degrees >= HOT_C
    yield Check(
        "temperature",
        WARN if hot else PASS,
        "not told by this machine" if degrees is None else f"{degrees} °C at the hottest sensor",
        "It slows down to cool: give it a heat sink or a fan, and air." if hot else "",
        {"celsius": degrees},
    )
    saving = "powersave" in (state.governor or "")
    mhz = f", up to {state.max_frequency_mhz:.0f} MHz" if state.max_frequency_mhz else ""
    yield Check(
        "governor",
        WARN if saving else PASS,
        f"{state.governor}{mhz}" if state.governor else "not told by this machine",
        "It may hold the clock low: echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        if saving
        else "",
        {"governor": state.governor, "max_frequency_mhz": state.max_frequency_mhz},
    )


def _throttling(host: Host) -> Check:
    seen = read_throttling(host.root)
    values = {"source": seen.source, "now": list(seen.now), "since_boot": list(seen.counted)}
    if not seen.known:
        return Check("throttling", PASS, "not told by this machine", "", values)
    if not seen.now and not seen.counted:
        return Check("throttling", PASS, f"none, says {seen.source}", "", values)
    found = f"{', '.join((*seen.now, *seen.counted))}, says {seen.source}"
    if any(mark.startswith("under-voltage") for mark in (*seen.now, *seen.counted)):
        remedy = "Use the board's own power supply and a short cable, and take power-hungry USB devices off."
        return Check("throttling", FAIL if "under-voltage" in seen.now else WARN, found, remedy, values)
    if seen.source == "thermal_throttle" and not seen.now:  # Intel's counts grow on every laptop that ever worked hard
        return Check("throttling", PASS, found, "", values)
    return Check("throttling", WARN, found, "Give it a heat sink or a fan, and air.", values)


def disk(folder: Path) -> Check:
    """Space for outputs in the working folder."""
    free = shutil.disk_usage(folder).free // 2**20
    low = free < LOW_DISK_MIB
    return Check(
        "disk",
        WARN if low else PASS,
        f"{free} MiB free in {folder}",
        "Free some space before saving videos." if low else "",
        {"free_mib": free},
    )


def os_name(host: Host) -> str:
    """Distribution, kernel, C library."""
    release = {}
    for line in (host.text("etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        release[key] = value.strip('"')
    name = release.get("PRETTY_NAME", platform.system())
    libc = " ".join(part for part in platform.libc_ver() if part)
    return f"{name}, kernel {platform.release()}{f', {libc}' if libc else ''}"
