"""Choose what runs the classifier, and say why; nothing falls back in silence."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

from fer_edge_runtime.errors import ConfigError, DeviceError, MissingPackageError

ENGINES = ("auto", "litert", "onnx")
DEVICES = ("auto", "cpu", "gpu")
MAX_AUTO_THREADS = 4


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        format: of the artefact to run: ``tflite`` or ``onnx``.
        threads: intra-op threads.
        reasons: sentences for a person, shortest first.
    """

    format: str
    threads: int
    reasons: tuple[str, ...]


def choose(engine: str = "auto", device: str = "auto", threads: int = 0, *, formats: tuple[str, ...]) -> Choice:
    """Pick the artefact's format and the number of threads.

    Args:
        engine: one of `ENGINES`; ``auto`` prefers LiteRT.
        device: one of `DEVICES`; ``auto`` is the CPU.
        threads: 0 leaves one core to the camera and takes at most four.
        formats: that the bundle holds.

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
    if device == "gpu":
        raise DeviceError(
            f"--device gpu is not available: {'; '.join(missing_for_gpu())}. Use --device cpu (int8 on the CPU is the fast path)."
        )
    reasons = ["GPU not tried: this release has no GPU engine" if device == "auto" else "CPU asked for"]
    if engine == "auto":
        wanted, why = _first_that_runs(formats)
    else:
        wanted, why = {"litert": "tflite", "onnx": "onnx"}[engine], f"{engine} asked for"
    if wanted not in formats:
        raise ConfigError(f"--engine {engine}: the bundle holds no {wanted} model (it has: {', '.join(formats)}).")
    return Choice(wanted, threads or default_threads(), (why, *reasons))


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


def missing_for_gpu() -> list[str]:
    """What this machine and this release lack to run on a GPU."""
    import ctypes.util

    missing = ["this release of fer-edge has no GPU engine yet"]
    if not any(Path("/dev").glob("dri/render*")) and not Path("/dev/nvidia0").exists():
        missing.append("no GPU device was found (/dev/dri/render*, /dev/nvidia0)")
    if not ctypes.util.find_library("vulkan"):
        missing.append("the Vulkan loader libvulkan.so.1 is not installed (Debian: apt install libvulkan1)")
    return missing
