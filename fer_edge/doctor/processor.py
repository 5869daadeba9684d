"""What the processor has for int8: the features that decide which of XNNPACK's kernels run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fer_edge.doctor.check import PASS, WARN, Check, Host


class Feature(NamedTuple):
    """A flag of ``/proc/cpuinfo`` and what it means for a model in int8."""

    flag: str
    name: str
    meaning: str


# Best first; the first that is there decides the speed of int8.
ARM_INT8 = (
    Feature("i8mm", "i8mm", "matrix products of int8, the fastest"),
    Feature("asimddp", "dotprod", "sums of four int8 products at once, fast"),
    Feature(
        "asimd", "NEON", "int8 through 16-bit products: right, but slower than with dotprod (Cortex-A76 and later)"
    ),
)
X86_INT8 = (
    Feature("amx_int8", "amx_int8", "matrix products of int8, the fastest"),
    Feature("avx512_vnni", "avx512_vnni", "sums of four int8 products at once, 16 lanes, fast"),
    Feature("avx_vnni", "avx_vnni", "sums of four int8 products at once, 8 lanes, fast"),
    Feature("avx2", "avx2", "int8 through 16-bit products: right, but slower than with VNNI"),
)
ARM_OTHER = (
    Feature("asimdhp", "fp16", "half-precision arithmetic, not used by int8 models"),
    Feature("sve", "sve", "longer vectors"),
)
X86_OTHER = (Feature("avx512f", "avx512f", "longer vectors"), Feature("fma", "fma", "float models in fewer steps"))
# CPU part of ARM's own cores (implementer 0x41), as in the kernel's cputype.h.
ARM_PARTS = {
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57", "0xd08": "Cortex-A72",
    "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78", "0xd42": "Cortex-A78AE", "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2",
}  # fmt: skip
POSSIBLE = "sys/devices/system/cpu/possible"


def processor(host: Host) -> Iterator[Check]:
    """Name and features of the processor, and whether XNNPACK can read them."""
    facts = _facts(host)
    name = processor_name(facts) or "processor without a name"
    arm = host.machine in ("aarch64", "arm64") or host.machine.startswith("arm")
    if not arm and host.machine not in ("x86_64", "AMD64", "i686"):
        yield Check("cpu", PASS, f"{name} ({host.machine}): its features are not known to this check")
        return
    flags = set((facts.get("Features") or facts.get("flags") or "").split())
    if not flags or host.text(POSSIBLE) is None:
        yield Check(
            "cpu",
            WARN,
            f"{name}: /proc/cpuinfo or /{POSSIBLE} cannot be read: LiteRT may leave out XNNPACK without a word",
            "In a container or chroot, mount /proc and /sys.",
            {"name": name, "features": [], "int8": None},
        )
        return
    order, others = (ARM_INT8, ARM_OTHER) if arm else (X86_INT8, X86_OTHER)
    present = [feature for feature in (*order, *others) if feature.flag in flags]
    best = next((feature for feature in order if feature.flag in flags), None)
    values = {"name": name, "features": [feature.name for feature in present], "int8": best.name if best else None}
    if best is None:
        remedy = "In a virtual machine, pass the host's processor through (qemu: -cpu host); else use --detect-every 3."
        lacks = ", ".join(feature.name for feature in order)
        yield Check("cpu", WARN, f"{name}: none of {lacks}: everything is slow", remedy, values)
        return
    further = [feature.name for feature in present if feature is not best]
    also = f"; also {', '.join(further)}" if further else ""
    yield Check("cpu", PASS, f"{name}: {best.name}: {best.meaning}{also}", "", values)


def processor_name(facts: dict[str, str]) -> str | None:
    """The model's name on x86, the core's on ARM."""
    part = facts.get("CPU part", "").lower()
    if facts.get("CPU implementer", "").lower() == "0x41" and part:
        return ARM_PARTS.get(part, f"ARM core {part}")
    return facts.get("model name")


def _facts(host: Host) -> dict[str, str]:
    """The first value of every key of ``/proc/cpuinfo``."""
    facts: dict[str, str] = {}
    for line in (host.text("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts
