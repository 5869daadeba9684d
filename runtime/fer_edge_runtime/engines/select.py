"""Choose what runs the classifier, and say why; nothing falls back in silence."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, NamedTuple

from fer_edge_runtime.engines.device import faster_device, gpu_artefact
from fer_edge_runtime.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import Bundle
    from fer_edge_runtime.manifest import Artefact

ENGINES = ("auto", "litert", "onnx")
DEVICES = ("auto", "cpu", "gpu")
MAX_AUTO_THREADS = 4
_FORMATS = {"litert": "tflite", "onnx": "onnx"}


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        artefact: the model to run.
        threads: intra-op threads of the CPU.
        reasons: sentences for a person, shortest first.
        device: ``cpu`` or ``gpu``.
    """

    artefact: Artefact
    threads: int
    reasons: tuple[str, ...]
    device: str = "cpu"

    @property
    def format(self) -> str:
        """Of the model: ``tflite`` or ``onnx``."""
        return self.artefact.format


def choose(engine: str = "auto", device: str = "auto", threads: int = 0, *, bundle: Bundle) -> Choice:
    """Pick the model to run, the device and the number of threads.

    Args:
        engine: one of `ENGINES`; ``auto`` prefers LiteRT on the CPU.
        device: one of `DEVICES`; ``auto`` takes the GPU where a trial found it right and faster than the CPU, with engine
            ``auto`` the faster of LiteRT's and ONNX Runtime's.
        threads: 0 leaves one core to the camera and takes at most four.
        bundle: to run.

    Raises:
        ConfigError: a value is not known, or the bundle lacks the format.
        DeviceError: ``gpu``, with everything that is missing for it.
        MissingPackageError: no installed library runs the bundle.
    """
    for name, value, known in (("engine", engine, ENGINES), ("device", device, DEVICES)):
        if value not in known:
            raise ConfigError(f"--{name} {value!r} is not known. Choose one of: {', '.join(known)}.")
    if threads < 0 or threads > 256:
        raise ConfigError(f"--threads {threads} cannot be used. Give 1 to 256, or 0 to choose by itself.")
    threads = threads or default_threads()
    formats = tuple(dict.fromkeys(artefact.format for artefact in bundle.manifest.artefacts))
    if engine == "auto":
        wanted, why = _first_that_runs(formats) if device != "gpu" else ("", "")
    else:
        wanted, why = _FORMATS[engine], f"{engine} asked for"
    if wanted and wanted not in formats:
        raise ConfigError(f"--engine {engine}: the bundle holds no {wanted} model (it has: {', '.join(formats)}).")
    if device == "gpu":
        artefact, reasons = gpu_artefact(bundle, (wanted,) if wanted else formats, threads)
        return Choice(artefact, threads, (*filter(None, [why]), *reasons), "gpu")
    usual = bundle.artefact(wanted)
    if device == "cpu":
        return Choice(usual, threads, (why, "CPU asked for"))
    others = [format for format in formats if format != wanted] if engine == "auto" else []
    found, reasons = faster_device(bundle, wanted, threads, others=others)
    return Choice(found or usual, threads, (why, *reasons), "gpu" if found else "cpu")


def _first_that_runs(formats: tuple[str, ...]) -> tuple[str, str]:
    if "tflite" in formats and importlib.util.find_spec("ai_edge_litert"):
        return "tflite", "LiteRT is installed and first choice"
    if "tflite" in formats and importlib.util.find_spec("tflite_runtime"):
        return "tflite", "tflite_runtime, because LiteRT is not installed"
    if "onnx" in formats and importlib.util.find_spec("onnxruntime"):
        why = "LiteRT is not installed" if "tflite" in formats else "the bundle holds no TFLite model"
        return "onnx", f"ONNX Runtime, because {why}"
    if "tflite" in formats:
        raise MissingPackageError("ai-edge-litert", "tflite-runtime", "no library that runs TFLite models was found")
    raise MissingPackageError("onnxruntime", "onnx", "the bundle holds only ONNX models")


def default_threads(*, spare_cores: int = 1) -> int:
    """One core is left to the camera and the detector's Python; more than four threads do not help models this small."""
    return max(1, min(MAX_AUTO_THREADS, available_cores() - spare_cores))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
