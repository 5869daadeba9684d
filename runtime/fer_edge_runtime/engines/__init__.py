"""Engines: the libraries that run a classifier. `open_engine` picks by the artefact's format."""

from __future__ import annotations

from fer_edge_runtime.engines.base import Engine, EngineInfo
from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import Artefact

__all__ = ["Engine", "EngineInfo", "open_engine"]


def open_engine(artefact: Artefact, content: bytes, *, threads: int = 1, device: str = "cpu") -> Engine:
    """Start an artefact.

    Args:
        artefact: what the manifest says; the graph's own shapes and dtypes must agree.
        content: its verified bytes.
        threads: intra-op threads, ≥ 1.
        device: ``cpu`` or ``gpu``. A broken GPU driver can take this process down: `trial` tries it in another one first.

    Raises:
        BundleError: the bytes are no such model, or disagree with the manifest.
        DeviceError: the GPU cannot run it.
        MissingPackageError: the library that runs this format is not installed.
    """
    engine: Engine
    if artefact.format == "onnx":
        from fer_edge_runtime.engines.onnx import OnnxEngine

        engine = OnnxEngine(content, name=artefact.path, output=artefact.output, threads=threads, device=device)
    elif device == "gpu":
        from fer_edge_runtime.engines.litert_gpu import LiteRTGpuEngine

        engine = LiteRTGpuEngine(content, name=artefact.path)
    else:
        from fer_edge_runtime.engines.litert import LiteRTEngine

        engine = LiteRTEngine(content, name=artefact.path, threads=threads)
    _check_tensors(artefact, engine)
    return engine


def _check_tensors(artefact: Artefact, engine: Engine) -> None:
    for role, promised, found in (("input", artefact.input, engine.input), ("output", artefact.output, engine.output)):
        if (promised.shape, promised.dtype) != (found.shape, found.dtype):
            raise BundleError(
                f"{artefact.path}: its {role} is {found.dtype} {found.shape}, the manifest says {promised.dtype} {promised.shape}."
            )
        same_scale = abs(promised.scale - found.scale) <= 1e-6 * max(promised.scale, 1e-9)
        if artefact.format == "tflite" and (promised.zero_point != found.zero_point or not same_scale):
            raise BundleError(
                f"{artefact.path}: its {role} has scale {found.scale:g} and zero point {found.zero_point}, the manifest says "
                f"{promised.scale:g} and {promised.zero_point}."
            )
