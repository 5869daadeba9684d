"""What is measured: a bundle on an engine, a device and a number of threads."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.errors import MissingPackageError

_LIBRARIES = {"litert": ("tflite", ("ai_edge_litert", "tflite_runtime")), "onnx": ("onnx", ("onnxruntime",))}


@dataclass(frozen=True, slots=True)
class Case:
    """One combination, as asked for.

    Attributes:
        bundle: ``default``, a folder or a zip.
        engine: ``auto``, ``litert`` or ``onnx``.
        device: as `fer_edge_runtime.engines.select.choose` takes it.
        threads: 0 lets the runtime choose.
    """

    bundle: str
    engine: str
    device: str
    threads: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def words(self) -> str:
        """Such as ``default, litert, cpu, 1 thread``."""
        threads = "threads chosen" if not self.threads else f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.bundle}, {self.engine}, {self.device}, {threads}"


def make_cases(
    bundles: Sequence[str], engines: Sequence[str], devices: Sequence[str], threads: Sequence[int]
) -> list[Case]:
    """Every combination once, in the order given.

    Args:
        bundles: each is read and verified.
        engines: none means every installed library that runs a model of the bundle.
        devices: at least one.
        threads: at least one.

    Raises:
        BundleError: a bundle is refused.
        MissingPackageError: no installed library runs a bundle.
    """
    cases = []
    for bundle in bundles:
        formats = {artefact.format for artefact in load_bundle(bundle).manifest.artefacts}
        chosen = list(engines) or installed_engines(formats)
        cases += [Case(bundle, *rest) for rest in product(chosen, devices, threads)]
    return list(dict.fromkeys(cases))


def installed_engines(formats: set[str]) -> list[str]:
    """Names of the engines whose library is installed and whose format is among those given.

    Raises:
        MissingPackageError: there is none.
    """
    found = [
        name
        for name, (format, modules) in _LIBRARIES.items()
        if format in formats and any(importlib.util.find_spec(module) for module in modules)
    ]
    if not found:
        package, extra = ("ai-edge-litert", "tflite-runtime") if "tflite" in formats else ("onnxruntime", "onnx")
        raise MissingPackageError(package, extra, "no library that runs this bundle was found")
    return found
