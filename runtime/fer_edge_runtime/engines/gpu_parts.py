"""What the files of this machine say about a GPU. Nothing here starts a process or loads a driver: a start on the CPU stays fast."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

NODES = ("dri/renderD*", "nvidia[0-9]*", "nvhost-gpu", "nvgpu", "dxg")
DRIVER_FOLDERS = ("usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d", "etc/vulkan/icd.d")
REPLACING_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_LIBRARY_FOLDERS = ("usr/lib", "usr/lib64", "lib", "usr/local/lib", "usr/lib/*-linux-gnu*")
_LOADER = "libvulkan.so.1"


class Missing(NamedTuple):
    """Why a GPU cannot be used, in sentences without a full stop.

    Attributes:
        hardware: no GPU, or none that this user may open. A software adapter of Vulkan would run all the same.
        parts: whatever else is missing; nothing runs without it.
    """

    hardware: tuple[str, ...]
    parts: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.hardware + self.parts


def missing_for_gpu(format: str, *, root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Missing:
    """What is missing to run models of a format on a GPU.

    Args:
        format: ``tflite`` (LiteRT over Vulkan) or ``onnx`` (ONNX Runtime over CUDA).
        root: where ``dev``, ``usr`` and ``etc`` are.
        environment: may name Vulkan's drivers and further library folders.
    """
    if format == "onnx":
        return Missing((), _no_nvidia(root) + _no_cuda_runtime())
    return Missing(_no_gpu(root), _no_litert_gpu() + _no_vulkan(root, environment))


def gpu_nodes(root: Path = Path("/")) -> list[Path]:
    """Device files of graphics processors."""
    return [node for pattern in NODES for node in sorted((root / "dev").glob(pattern))]


def driver_state(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> list[str]:
    """Lines that change when a graphics card or a driver does: device files, PCI ids, kernel, driver manifests and libraries."""
    state = [f"kernel {os.uname().release}", *(str(node) for node in gpu_nodes(root))]
    for device in sorted((root / "sys/class/drm").glob("renderD*/device")):
        state += [f"{device / name}: {_read(device / name)}" for name in ("vendor", "device")]
    state += filter(None, [_read(root / "proc/driver/nvidia/version")])
    state += [f"{name}={environment[name]}" for name in sorted(environment) if name.startswith("VK_")]
    for manifest in _driver_manifests(root, environment):
        state += [_stamp(manifest), *map(_stamp, _library_of(manifest))]
    return state


def _no_gpu(root: Path) -> tuple[str, ...]:
    nodes = gpu_nodes(root)
    if not nodes:
        return ("no GPU was found (/dev/dri/renderD*, /dev/nvidia*)",)
    if not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        names = ", ".join(map(str, nodes))
        return (f"this user may not open {names} (sudo usermod -aG render,video $USER, then log in again)",)
    return ()


def _no_nvidia(root: Path) -> tuple[str, ...]:
    nodes = [node for pattern in NODES if not pattern.startswith("dri") for node in (root / "dev").glob(pattern)]
    return () if nodes else ("no NVIDIA GPU was found (/dev/nvidia*)",)


def _no_cuda_runtime() -> tuple[str, ...]:
    found = importlib.util.find_spec("onnxruntime")
    if found is None or not found.submodule_search_locations:
        return ("ONNX Runtime is not installed (pip install 'onnxruntime-gpu[cuda,cudnn]')",)
    # The library that holds CUDAExecutionProvider; asking ONNX Runtime would cost its import, a second on a small board.
    if not any(
        any(Path(place).glob("capi/*onnxruntime_providers_cuda*")) for place in found.submodule_search_locations
    ):
        return (
            "ONNX Runtime has no CUDAExecutionProvider (pip uninstall onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]')",
        )
    return ()


def _no_litert_gpu() -> tuple[str, ...]:
    found = importlib.util.find_spec("ai_edge_litert")
    if found is None or not found.submodule_search_locations:
        return ("LiteRT is not installed (pip install ai-edge-litert)",)
    if not any(any(Path(place).glob("libLiteRt*GpuAccelerator*")) for place in found.submodule_search_locations):
        return ("the installed LiteRT has no GPU part (pip install 'ai-edge-litert>=2.1')",)
    return ()


def _no_vulkan(root: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    missing = []
    if not _has_loader(root, environment):
        missing.append(f"the Vulkan loader {_LOADER} is not installed (Debian: sudo apt install libvulkan1)")
    if not _driver_manifests(root, environment):
        missing.append(
            "no Vulkan driver is installed (Debian: sudo apt install mesa-vulkan-drivers, or NVIDIA's driver)"
        )
    return tuple(missing)


def _has_loader(root: Path, environment: Mapping[str, str]) -> bool:
    # Not ctypes.util.find_library, which starts ldconfig and sometimes a compiler.
    named = [Path(folder) for folder in environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    usual = [folder for pattern in _LIBRARY_FOLDERS for folder in root.glob(pattern)]
    return any((folder / _LOADER).exists() for folder in [*named, *usual])


def _driver_manifests(root: Path, environment: Mapping[str, str]) -> list[Path]:
    """The files that tell Vulkan's loader its drivers; variables replace the usual folders, as they do for the loader."""
    for name in REPLACING_VARIABLES:
        if environment.get(name):
            return [Path(file) for file in environment[name].split(":") if file and Path(file).exists()]
    added = [Path(file) for file in environment.get("VK_ADD_DRIVER_FILES", "").split(":") if file]
    home = environment.get("XDG_DATA_HOME") or f"{environment.get('HOME', '/nonexistent')}/.local/share"
    folders = [*(root / folder for folder in DRIVER_FOLDERS), Path(home) / "vulkan/icd.d"]
    return [
        *(file for file in added if file.exists()),
        *(file for folder in folders for file in sorted(folder.glob("*.json"))),
    ]


def _library_of(manifest: Path) -> list[Path]:
    import json

    if not manifest.is_file():  # a pipe would be waited for
        return []
    try:
        library = str(json.loads(manifest.read_bytes())["ICD"]["library_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [manifest.parent / library] if "/" in library else []  # a bare name is searched for by the linker


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return f"{file}: absent"
    return f"{file}: {found.st_size} bytes of {found.st_mtime_ns}"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
