"""Records of `fer-edge benchmark`, kept as results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import write_results

FER_EDGE = Path(sys.executable).with_name("fer-edge")


def measured(command: str, *arguments: str) -> dict[str, Any]:
    """The record of a measurement; ends the program where it failed, or where the machine slowed itself down meanwhile."""
    done = subprocess.run(
        [FER_EDGE, "benchmark", command, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"fer-edge benchmark {command} ended with exit code {done.returncode}; nothing was written.")
    record = json.loads(done.stdout)
    if not record["valid"]:
        sys.exit(f"Nothing was written, because this run does not count: {'; '.join(record['invalid_because'])}.")
    return record


def keep(name: str, record: dict[str, Any]) -> Path:
    """Write a record; what it says of the machine goes beside what every file says of it."""
    return write_results(name, {"watched": record.pop("machine"), **record})
