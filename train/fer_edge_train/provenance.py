"""What a run depends on besides its recipe: versions, the commit, how the rows were split."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib import import_module
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
        "backend": backend, backend: import_module(backend).__version__, "numpy": np.__version__,
    }  # fmt: skip


def git_commit() -> str | None:
    """The commit of the source checkout this package runs from, ``-dirty`` when files differ; None outside a checkout."""
    here = Path(__file__)
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None  # installed, perhaps below somebody else's repository
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def split_hash(data: FaceDataset) -> str:
    """SHA-256 of which row belongs to which part."""
    return hashlib.sha256("\n".join(data.usage.tolist()).encode()).hexdigest()
