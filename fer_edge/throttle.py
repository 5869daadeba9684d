"""Whether the machine slows itself down: the Raspberry Pi's own flags, a core's cooling state, Intel's counters."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# `vcgencmd get_throttled`, as the Raspberry Pi's documentation lists it. The upper four stay set until the next boot.
FLAGS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
SINCE_BOOT = 16
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
# The node's name has an address in it on some boards, such as soc@107c000000 on a Raspberry Pi 5.
_FIRMWARE_ANYWHERE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
ASKED = "vcgencmd get_throttled"
ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Throttling:
    """What the machine says about slowing down.

    Attributes:
        source: where that is known from; None when the machine does not tell.
        now: what holds it back at this moment.
        counted: marks that only grow: flags since boot, and counters of events by name.
    """

    source: str | None
    now: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the machine tells at all."""
        return self.source is not None


def decode_throttled(value: int) -> tuple[str, ...]:
    """The words of a ``get_throttled`` value, lowest bit first; a bit without a documented meaning is named by its number.

    >>> decode_throttled(0x50005)
    ('under-voltage', 'throttled', 'under-voltage since boot', 'throttled since boot')
    """
    return tuple(FLAGS.get(bit, f"bit {bit}") for bit in range(value.bit_length()) if value >> bit & 1)


def parse_throttled(text: str) -> int | None:
    """The number in ``throttled=0x50000``, as `vcgencmd` prints it, or in bare hexadecimal, as the kernel does."""
    try:
        return int(text.strip().rpartition("=")[2], 16)
    except ValueError:
        return None


def read_throttling(root: Path = Path("/"), *, ask: bool = True, timeout_s: float = ASK_TIMEOUT_S) -> Throttling:
    """What the machine says now.

    Args:
        root: where ``sys`` lies; anything but ``/`` asks no program.
        ask: a program may be asked, which takes its time.
        timeout_s: the most of it.
    """
    source, value = "get_throttled", _firmware(root)
    if value is None and ask and root == Path("/"):
        source, value = ASKED, _asked(timeout_s)
    if value is not None:
        flags = decode_throttled(value)
        bits = [bit for bit in range(value.bit_length()) if value >> bit & 1]
        now = tuple(flag for flag, bit in zip(flags, bits, strict=True) if bit < SINCE_BOOT)
        return Throttling(source, now, tuple(flag for flag in flags if flag not in now))
    cooling, counters = _cooling(root), _counters(root)
    if cooling is None and counters is None:
        return Throttling(None)
    source = " and ".join(
        name for name, found in (("cooling_device", cooling), ("thermal_throttle", counters)) if found is not None
    )
    return Throttling(source, cooling or (), counters or ())


def throttled_between(before: Throttling, seen: list[Throttling], after: Throttling) -> list[str]:
    """Why a run does not count, in words; empty when nothing speaks against it.

    What was set since boot before the run began is history; what was added to it is not.
    """
    moments = [("before the run", before), *(("during the run", moment) for moment in seen), ("after the run", after)]
    reasons = [f"{what} {when}" for when, moment in moments for what in moment.now]
    reasons += [f"{mark}, new in this run" for mark in after.counted if mark not in before.counted]
    return list(dict.fromkeys(reasons))


def _firmware(root: Path) -> int | None:
    """The Raspberry Pi's flags, from the kernel."""
    texts = (_text(path) for path in sorted(root.glob(_FIRMWARE_ANYWHERE)))
    return next((value for text in texts if text is not None and (value := parse_throttled(text)) is not None), None)


def _asked(timeout_s: float) -> int | None:
    """The Raspberry Pi's flags, from its own tool, for kernels without the file."""
    tool = shutil.which("vcgencmd")
    if tool is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 a fixed program and argument
            [tool, "get_throttled"], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_throttled(done.stdout) if done.returncode == 0 else None


def _cooling(root: Path) -> tuple[str, ...] | None:
    """Processor cooling devices at work, other than fans; None where the kernel has none."""
    found: tuple[str, ...] | None = None
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind, state = _text(device / "type"), _text(device / "cur_state")
        if kind is None or state is None or not (kind == "Processor" or "cpufreq" in kind):
            continue
        found = found or ()
        if state.isdecimal() and int(state) > 0:
            found = (*found, f"{kind} slowed to step {state}")
    return found


def _counters(root: Path) -> tuple[str, ...] | None:
    """Intel's counts of throttling events, as ``name=count``; None where there are none."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    counts = [(f"{path.parents[1].name} {path.name.removesuffix('_throttle_count')}", _text(path)) for path in files]
    known = tuple(f"{name} throttled {count} times since boot" for name, count in counts if count is not None)
    return known or None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
