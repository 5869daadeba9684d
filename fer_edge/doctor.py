"""Checks of this machine, each with a verdict and a remedy."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_runtime.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import Bundle

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
LOW_MEMORY_MIB = 400


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        id: stable name, for scripts.
        status: ``PASS``, ``WARN`` or ``FAIL``.
        found: what was found.
        remedy: what to do; empty when all is well.
    """

    id: str
    status: str
    found: str
    remedy: str = ""


def run_checks(model: str = "default") -> list[Check]:
    """All checks; a check that breaks is itself a finding, so the list is always whole."""
    checks: list[Check] = []
    for group in (_system, _libraries, _opencv, _cameras, lambda: _bundle(model), _detectors, lambda: _gpu(model)):
        checks.extend(_guarded(group))
    return checks


def _guarded(group: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        for check in group():
            found.append(check)
    except Exception as error:
        name = getattr(group, "__name__", "bundle").strip("_<>")
        found.append(Check(name, FAIL, f"the check broke: {type(error).__name__}: {error}", "Please report this."))
    return found


def _system() -> Iterator[Check]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check(
        "python",
        PASS if good else WARN,
        f"{platform.python_version()} at {sys.executable}",
        "" if good else "Use Python 3.11 to 3.13.",
    )
    yield Check("os", PASS, _os_name())
    machine = platform.machine()
    if machine in ("x86_64", "aarch64", "arm64", "AMD64"):
        yield Check("architecture", PASS, f"{machine}, {os.cpu_count()} cores{_board()}")
    else:
        remedy = "LiteRT has no wheel for 32-bit boards: use a 64-bit system, or pip install 'fer-edge[tflite-runtime]' on Python 3.11."
        yield Check("architecture", WARN, f"{machine}{_board()}", remedy)
    memory = _memory_mib()
    if memory is not None:
        total, free = memory
        low = free < LOW_MEMORY_MIB
        yield Check(
            "memory",
            WARN if low else PASS,
            f"{free} of {total} MiB free",
            f"A run needs up to 250 MiB; have {LOW_MEMORY_MIB} free." if low else "",
        )
    disk = shutil.disk_usage(Path.cwd()).free // 2**20
    yield Check(
        "disk",
        PASS if disk > 200 else WARN,
        f"{disk} MiB free in {Path.cwd()}",
        "" if disk > 200 else "Free some space before saving videos.",
    )


def _libraries() -> Iterator[Check]:
    yield Check("numpy", PASS, _version("numpy") or "missing")
    runners = 0
    for package, module, extra in (
        ("ai-edge-litert", "ai_edge_litert.interpreter", ""),
        ("tflite-runtime", "tflite_runtime.interpreter", "tflite-runtime"),
        ("onnxruntime", "onnxruntime", "onnx"),
    ):
        version = _version(package) or (_version("onnxruntime-gpu") if package == "onnxruntime" else None)
        if version is None:
            if extra != "tflite-runtime":
                hint = (
                    f"Optional: pip install 'fer-edge[{extra}]'"
                    if extra
                    else "The fastest engine: pip install ai-edge-litert"
                )
                yield Check(package, PASS if extra else WARN, "not installed", hint)
            continue
        try:
            importlib.import_module(module)
        except Exception as error:
            yield Check(
                package,
                FAIL,
                f"{version} is installed but cannot be imported: {error}",
                f"Reinstall it: pip install --force-reinstall {package}",
            )
        else:
            runners += 1
            yield Check(package, PASS, version)
    if not runners:
        yield Check(
            "engine",
            FAIL,
            "no library that runs a model is installed",
            "pip install ai-edge-litert, or 'fer-edge[onnx]', or 'fer-edge[tflite-runtime]'.",
        )


def _opencv() -> Iterator[Check]:
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


def _cameras() -> Iterator[Check]:
    devices = sorted(Path("/dev").glob("video*"))
    stable = sorted(Path("/dev/v4l/by-id").glob("*")) if Path("/dev/v4l/by-id").is_dir() else []
    picamera = importlib.util.find_spec("picamera2") is not None
    on_pi = "Raspberry Pi" in _board()
    if not devices and not picamera:
        hint = "Plug one in, or use --source FILE, an rtsp:// address or --source demo."
        if on_pi:
            hint = "For a CSI camera: sudo apt install python3-picamera2, make the environment with --system-site-packages, use --camera picamera2:0."
        yield Check("cameras", WARN, "none found (/dev/video*)", hint)
        return
    closed = [device for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    names = [str(path) for path in (stable or devices)] + (["picamera2:0"] if picamera else [])
    if closed:
        yield Check(
            "cameras",
            FAIL,
            f"{', '.join(map(str, closed))}: this user may not open it",
            "sudo usermod -aG video $USER, then log in again.",
        )
    else:
        hint = "CSI cameras do not work as index 0: use --camera picamera2:0." if on_pi and not picamera else ""
        yield Check("cameras", WARN if hint else PASS, ", ".join(names), hint)


def _bundle(model: str) -> Iterator[Check]:
    from fer_edge_runtime.bundle import load_bundle
    from fer_edge_runtime.shipped import shipped_folder

    signature = _signature(model)
    if signature:
        yield signature
        if signature.status == FAIL:
            return
    try:
        bundle = load_bundle(model)
    except FerEdgeError as error:
        remedy = "Install fer-edge again." if shipped_folder(model) else "Export it again."
        yield Check("bundle", FAIL, str(error), remedy)
        return
    manifest = bundle.manifest
    yield Check(
        "bundle",
        PASS,
        f"{manifest.name} {manifest.version}: {manifest.task}, {len(manifest.labels)} labels, sizes and SHA-256 agree",
    )
    for artefact in manifest.artefacts:
        try:
            engine = bundle.open(artefact)
        except FerEdgeError as error:
            missing = error.exit_code == 7
            status = PASS if missing else FAIL
            found = "not checked: its engine is not installed" if missing else str(error)
            yield Check(
                f"golden:{artefact.path}",
                status,
                found,
                str(error) if missing else "Export the bundle again, or report this.",
            )
        else:
            yield Check(
                f"golden:{artefact.path}",
                PASS,
                f"{len(bundle.crops)} golden vectors agree on {engine.describe().line()}",
            )


def _signature(model: str) -> Check | None:
    """Nothing where a run would not ask for one."""
    from fer_edge_runtime.bundle_files import open_files, read_manifest
    from fer_edge_runtime.keys import required_key

    try:
        key = required_key()
        if key is None:
            return None
        read_manifest(open_files(model), key)
    except FerEdgeError as error:
        return Check("signature", FAIL, str(error))
    return Check("signature", PASS, f"signed with key {key.id} ({key.origin})")


def _detectors() -> Iterator[Check]:
    import numpy as np

    from fer_edge_runtime.detect import open_detector

    for spec in ("short", "full"):
        try:
            faces = open_detector(spec).detect(np.zeros((480, 640, 3), np.uint8))
        except FerEdgeError as error:
            yield Check(f"detector:{spec}", FAIL, str(error), "Install fer-edge again.")
        else:
            found = f"runs, {len(faces)} faces on a black frame"
            yield Check(f"detector:{spec}", FAIL if faces else PASS, found, "Please report this." if faces else "")


def _gpu(model: str) -> Iterator[Check]:
    from fer_edge_runtime.bundle import load_bundle
    from fer_edge_runtime.engines.gpu_parts import gpu_nodes, missing_for_gpu
    from fer_edge_runtime.keys import required_key

    try:
        bundle = load_bundle(model, key=required_key())
    except FerEdgeError:
        yield Check("gpu", PASS, "not tried: it runs the bundle, which is refused above")
        return
    hardware = bool(gpu_nodes())
    for id, format in (("gpu", "tflite"), ("gpu:cuda", "onnx")):
        if not bundle.artefacts(format):
            continue
        missing = missing_for_gpu(format)
        if not missing.parts:
            yield _tried_gpu(id, bundle, format, hardware=hardware)
        elif format == "tflite" or Path("/dev/nvidia0").exists():
            remedy = "Optional: install what is missing; the CPU runs everything." if hardware else ""
            yield Check(id, WARN if hardware else PASS, f"not used: {'; '.join(missing.all())}", remedy)


def _tried_gpu(id: str, bundle: Bundle, format: str, *, hardware: bool) -> Check:
    """A trial of the bundle on the GPU, in a process of its own, as `--device auto` makes one."""
    from fer_edge_runtime.engines.device import verdict
    from fer_edge_runtime.engines.select import default_threads
    from fer_edge_runtime.engines.trial import PROBE_VARIABLE, probe_timeout_s, run_trial

    try:
        timeout_s = probe_timeout_s()
    except FerEdgeError as error:
        return Check(id, FAIL, str(error), f"Unset {PROBE_VARIABLE}, or set it to off.")
    if timeout_s is None:
        return Check(id, PASS, f"not tried: {PROBE_VARIABLE}=off")
    trial = run_trial(bundle, format, default_threads(), timeout_s=timeout_s)
    if trial.problem:
        remedy = "Update the graphics driver (Debian: mesa-vulkan-drivers, or NVIDIA's); until then the CPU is used."
        return Check(id, WARN if hardware else PASS, f"cannot be used: {trial.problem}", remedy if hardware else "")
    driver = f", driver {trial.driver}" if trial.driver else ""
    _, why = verdict(trial)
    found = f"{trial.kind()}{driver}: the golden vectors agree; --device auto chooses {why}"
    if trial.software and hardware:
        remedy = "Vulkan does not show the real GPU: install a driver for it, or go on with the CPU."
        return Check(id, WARN, found, remedy)
    return Check(id, PASS, found)


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


def _os_name() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.system()
    libc = " ".join(part for part in platform.libc_ver() if part)
    return f"{name}, kernel {platform.release()}{f', {libc}' if libc else ''}"


def _board() -> str:
    try:
        return f", {Path('/proc/device-tree/model').read_text().strip(chr(0)).strip()}"
    except OSError:
        return ""


def _memory_mib() -> tuple[int, int] | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.endswith("kB")}
    return values["MemTotal"], values["MemAvailable"]
