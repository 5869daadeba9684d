"""The libraries that run models and read pictures."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fer_edge.doctor.check import FAIL, PASS, WARN, Check


class Library(NamedTuple):
    """A package that runs models.

    Attributes:
        package: its name, which is the check's id too.
        module: what is imported from it.
        advice: where it is not installed; None where its absence is not worth a line.
        status: where it is not installed.
    """

    package: str
    module: str
    advice: str | None
    status: str = PASS


RUNNERS = (
    Library("ai-edge-litert", "ai_edge_litert.interpreter", "The fastest engine: pip install ai-edge-litert", WARN),
    Library("tflite-runtime", "tflite_runtime.interpreter", None),
    Library("onnxruntime", "onnxruntime", "Optional: pip install 'fer-edge[onnx]'"),
)


def libraries() -> Iterator[Check]:
    """numpy, and the engines with what they can run models on."""
    yield _numpy()
    checks = [check for check in map(_runner, RUNNERS) if check]
    yield from checks
    if not any(check.values.get("delegates") for check in checks):
        yield Check(
            "engine",
            FAIL,
            "no library that runs a model is installed and works",
            "pip install ai-edge-litert, or 'fer-edge[onnx]', or 'fer-edge[tflite-runtime]'.",
        )


def _numpy() -> Check:
    try:
        import numpy as np
    except Exception as error:
        return Check("numpy", FAIL, f"cannot be imported: {error}", "pip install --force-reinstall numpy")
    return Check("numpy", PASS, np.__version__)


def _runner(library: Library) -> Check | None:
    package = library.package
    version = _version(package) or (_version("onnxruntime-gpu") if package == "onnxruntime" else None)
    if version is None:
        return Check(package, library.status, "not installed", library.advice) if library.advice else None
    try:
        module = importlib.import_module(library.module)
    except Exception as error:
        found = f"{version} is installed but cannot be imported: {error}"
        return Check(package, FAIL, found, f"Reinstall it: pip install --force-reinstall {package}")
    delegates = _delegates(package, module)
    return Check(package, PASS, f"{version}: {', '.join(delegates)}", "", {"version": version, "delegates": delegates})


def _delegates(package: str, module: Any) -> list[str]:
    """What a library was built to run models on; whether a GPU of this machine is of use is another check."""
    if package == "onnxruntime":
        return list(module.get_available_providers())
    parts = ["XNNPACK"]
    folder = Path(module.__file__).parent
    if any(folder.glob("libLiteRt*WebGpuAccelerator*")):
        parts.append("WebGPU")
    return parts


def opencv() -> Iterator[Check]:
    """The version, what it reads videos through, and whether it has windows."""
    try:
        import cv2
    except ImportError as error:
        yield Check("opencv", FAIL, f"cannot be imported: {error}", "pip install opencv-python-headless")
        return
    builds = [
        name
        for name in (
            "opencv-python",
            "opencv-contrib-python",
            "opencv-python-headless",
            "opencv-contrib-python-headless",
        )
        if _version(name)
    ]
    information = cv2.getBuildInformation()
    window = cv2.currentUIFramework() if hasattr(cv2, "currentUIFramework") else ""
    video = [name for name in ("FFMPEG", "GStreamer", "v4l/v4l2") if _enabled(information, name)]
    found = f"{cv2.__version__} ({', '.join(builds) or 'own build'}); video through {', '.join(video) or 'nothing'}; windows {window or 'none: use --serve'}"
    if len(builds) > 1:
        yield Check(
            "opencv", WARN, found, f"Several OpenCV packages overwrite each other: pip uninstall {' '.join(builds[1:])}"
        )
    elif not video:
        yield Check("opencv", WARN, found, "This build reads no videos or cameras: pip install opencv-python-headless")
    else:
        yield Check("opencv", PASS, found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _enabled(information: str, name: str) -> bool:
    for line in information.splitlines():
        key, _, value = line.strip().partition(":")
        if key.strip().lower() == name.lower():
            return value.strip().upper().startswith("YES")
    return False
