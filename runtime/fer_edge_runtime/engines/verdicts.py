"""Remember what a GPU trial found, in the user's cache folder, for as long as library, driver, models and threads stay the same.

A cache that cannot be read or written costs a trial at every start, never an error.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.engines.gpu_parts import driver_state
from fer_edge_runtime.engines.trial import Trial, trial_from

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import Bundle

SCHEMA = 1
_PACKAGES = {"tflite": ("ai-edge-litert", "tflite-runtime"), "onnx": ("onnxruntime-gpu", "onnxruntime")}

_CPU_LINES = ("model name", "CPU implementer", "CPU part", "Model")


def verdict_key(bundle: Bundle, format: str, threads: int, *, against: str = "") -> dict[str, Any]:
    """All that a verdict depends on, in plain values; ``against`` as in `fer_edge_runtime.engines.trial.run_trial`."""
    against = against or format
    packages = dict.fromkeys(("fer-edge", *_PACKAGES[format], *_PACKAGES[against]))
    return {
        "format": format,
        "against": bundle.artefact(against).sha256,
        "library": [f"{package} {_version(package)}" for package in packages],
        "driver": driver_state(),
        "cpu": _cpu(),
        "models": [artefact.sha256 for artefact in bundle.artefacts(format)],
        "golden": [bundle.manifest.golden.sha256, bundle.manifest.golden.tolerance],
        "threads": threads,
    }


def recall(key: Mapping[str, Any], folder: Path | None = None) -> Trial | None:
    """The trial that was remembered under a key; None when there is none, or its file is damaged."""
    try:
        record = json.loads(_file(key, folder).read_bytes())
    except (OSError, ValueError, RuntimeError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or record.get("key") != key:
        return None
    return trial_from(record.get("trial"))


def remember(key: Mapping[str, Any], trial: Trial, folder: Path | None = None) -> Path | None:
    """Write a trial down, whole or not at all; None when that is not possible here."""
    text = json.dumps({"schema": SCHEMA, "key": key, "trial": trial._asdict()}, indent=1) + "\n"
    temporary = ""
    try:
        file = _file(key, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as output:
            temporary = output.name
            output.write(text)
        Path(temporary).replace(file)
    except (OSError, RuntimeError):
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()
        return None
    return file


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/fer-edge``, or ``~/.cache/fer-edge``.

    Raises:
        RuntimeError: this user has no home folder.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".cache") / "fer-edge"


def _file(key: Mapping[str, Any], folder: Path | None) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return (folder or cache_folder()) / f"gpu-{digest[:16]}.json"


def _cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """The processor that the GPU was compared with, as the kernel names it; a cache folder may be shared or moved with its card."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(line for line in lines if line.startswith(_CPU_LINES)))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
