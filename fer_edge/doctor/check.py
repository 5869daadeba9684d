"""One finding, and the machine that it is about."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The verdicts: fine, worth a note, a problem.
PASS, WARN, FAIL = "PASS", "WARN", "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        id: stable name, for scripts.
        status: ``PASS``, ``WARN`` (runs, but not as well as it could) or ``FAIL`` (something does not work).
        found: what was found.
        remedy: what to do; empty when all is well.
        values: the same as plain values with stable keys, for scripts; None where the machine does not tell.
    """

    id: str
    status: str
    found: str
    remedy: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nobody is left alone with a problem."""
        if self.status != PASS and not self.remedy:
            raise ValueError(f"{self.id}: {self.status} without a remedy: {self.found}")


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that is looked at; tests make some up.

    Attributes:
        root: where ``proc``, ``sys`` and ``dev`` lie; at another place than ``/`` no device is opened and no program asked.
        machine: as ``uname -m`` says it.
        bits: of this Python: 32 on a 32-bit system, whatever its kernel is.
        python: its version.
    """

    root: Path = Path("/")
    machine: str = platform.machine()
    bits: int = 64 if sys.maxsize > 2**32 else 32
    python: tuple[int, int] = sys.version_info[:2]

    @property
    def here(self) -> bool:
        """Whether it is the machine that this process runs on."""
        return self.root == Path("/")

    def text(self, name: str) -> str | None:
        """A small file's text; None where it cannot be read."""
        try:
            return (self.root / name).read_text(errors="replace").strip("\0\n\t ")
        except OSError:
            return None

    def board(self) -> str | None:
        """Such as ``Raspberry Pi 5 Model B Rev 1.0``; None on ordinary computers."""
        return self.text("proc/device-tree/model")

    def is_pi(self) -> bool:
        """Whether it is a Raspberry Pi."""
        return "Raspberry Pi" in (self.board() or "")
