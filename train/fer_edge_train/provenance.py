"""What a run depends on besides its recipe: versions, the commit, how the rows were split."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from fer_edge_train.data import FaceDataset
from fer_edge_train.devices import describe_device


def versions() -> dict[str, str]:
    """Python, machine, device, Keras, its backend and that backend's version, numpy."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(), "machine": platform.machine(), "device": describe_device(), "keras": keras.__version__,
        "backend": backend, backend: metadata.version(backend), "numpy": np.__version__,
    }  # fmt: skip


def git_commit() -> str | None:
    """The commit of the source checkout this package runs from; None when it was installed from a wheel."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def split_hash(data: FaceDataset) -> str:
    """SHA-256 of which row belongs to which part."""
    return hashlib.sha256("\n".join(data.usage.tolist()).encode()).hexdigest()
