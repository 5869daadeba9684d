"""What a figure was measured on, and how results are written."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def describe_machine() -> dict[str, Any]:
    """CPU, cores, system, load and the versions that matter."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("fer-edge", "ai-edge-litert", "opencv-python-headless", "numpy")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def write_results(name: str, values: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write ``benchmarks/results/<name>.json``, or the same in another folder, whole."""
    target = folder / f"{name}.json"
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps({"machine": describe_machine(), **values}, indent=1) + "\n")
    temporary.replace(target)
    return target
