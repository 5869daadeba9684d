"""Where the numbers are kept: benchmarks/results and the manifests of the bundles that ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "runtime" / "fer_edge_runtime" / "assets"
RESULTS = ROOT / "benchmarks" / "results"
NOT_MEASURED = "Not measured yet."
OF_SHIPPED_MODELS = ("stages_full", "flagships", "robustness", "pi_emulated", "boards", "limit", "sweep")


def measured(name: str) -> dict[str, Any] | None:
    """A file of benchmarks/results, where it is there."""
    return read(RESULTS / f"{name}.json")


def all_measured(pattern: str) -> list[dict[str, Any]]:
    """The files of benchmarks/results with such names."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{pattern}.json"))]


def table_of(name: str, make: Callable[[dict[str, Any]], str]) -> str:
    """What a function makes of a file of benchmarks/results; without it, that nothing is measured."""
    values = measured(name)
    return NOT_MEASURED if values is None else make(values)


def manifest(bundle: str) -> dict[str, Any] | None:
    """The manifest of a bundle, where it ships."""
    return read(BUNDLES / bundle / "manifest.json")


def read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def other_files() -> list[str]:
    """Sentences about results that were measured on other model files than those that ship now, or do not say on which."""
    found = []
    for name in OF_SHIPPED_MODELS:
        values = measured(name)
        if values is None:
            continue
        files = values.get("measured_files")
        if files is None:
            found.append(f"{name}.json does not say which model files it was measured on.")
        found += [
            f"{name}.json was measured on another {file} than the one that ships now."
            for file, digest in (files or {}).items()
            if (shipped := shipped_digest(file)) is not None and shipped != digest
        ]
    return found


def shipped_digest(file: str) -> str | None:
    """SHA-256 of ``BUNDLE/FILE`` in this package, by its manifest; None of what does not ship."""
    bundle, _, path = file.partition("/")
    artefacts = (manifest(bundle) or {"artefacts": []})["artefacts"]
    return next((artefact["sha256"] for artefact in artefacts if artefact["path"] == path), None)
