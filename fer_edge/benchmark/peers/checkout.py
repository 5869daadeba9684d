"""This repository, which fer-edge's own clean environment is installed from."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import fer_edge
from fer_edge_runtime.errors import ConfigError


def find_checkout() -> Path:
    """The repository's folder.

    Raises:
        ConfigError: this fer-edge was installed from somewhere else.
    """
    folder = Path(fer_edge.__file__).parents[1]
    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(
            "fer-edge installs itself into a clean environment to be measured there, which takes its repository: clone it, "
            "pip install -e '.[benchmark]', and measure from there."
        )
    return folder


def source_digest(checkout: Path) -> str:
    """SHA-256 over everything that an installation takes from the repository."""
    project = checkout / "pyproject.toml"
    packages = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    files = [path for package in packages for path in sorted((checkout / package).rglob("*")) if _is_source(path)]
    found = hashlib.sha256()
    for path in (project, *files):
        found.update(f"{path.relative_to(checkout)}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
