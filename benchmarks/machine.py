"""What a figure was measured on, and how results are written."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import CalledProcessError, run
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fer_edge_runtime.bundle import Bundle
    from fer_edge_runtime.manifest import Artefact

RESULTS = Path(os.environ.get("FER_EDGE_RESULTS") or Path(__file__).parent / "results")
PACKAGES = ("fer-edge", "ai-edge-litert", "onnxruntime", "opencv-python-headless", "numpy")


def describe_machine() -> dict[str, Any]:
    """CPU, cores, system, load, the versions that matter and this checkout's commit."""
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
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def measured_files(models: Iterable[tuple[Bundle, Artefact]]) -> dict[str, str]:
    """``BUNDLE/FILE`` to SHA-256 of what was measured, so that scripts/readme_tables.py sees when another file ships."""
    return {f"{bundle.manifest.name}/{artefact.path}": artefact.sha256 for bundle, artefact in models}


def spread(ratios: Sequence[float]) -> dict[str, Any]:
    """Ratios of single rounds by their median and 10th and 90th percentile; `again.py` holds another run against these."""
    low, high = np.percentile(ratios, [10, 90])
    return {
        "median": round(statistics.median(ratios), 3), "p10": round(float(low), 3), "p90": round(float(high), 3), "n": len(ratios),
    }  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Such as ``058539c12ab3``, with ``-dirty`` where files differ from it; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, CalledProcessError):
        return None


def write_results(name: str, values: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write ``benchmarks/results/<name>.json``, or the same in another folder, whole."""
    target = folder / f"{name}.json"
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps({"machine": describe_machine(), **values}, indent=1) + "\n")
    temporary.replace(target)
    return target
