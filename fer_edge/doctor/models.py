"""The bundle, its golden vectors, the face detectors, and whether a GPU is of use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.doctor.check import FAIL, PASS, WARN, Check
from fer_edge_runtime.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import Bundle
    from fer_edge_runtime.engines import EngineInfo


def bundle(model: str) -> Iterator[Check]:
    """Signature, files and the answers of every model to the golden vectors."""
    from fer_edge_runtime.bundle import load_bundle
    from fer_edge_runtime.shipped import shipped_folder

    signature = _signature(model)
    if signature:
        yield signature
        if signature.status == FAIL:
            return
    try:
        loaded = load_bundle(model)
    except FerEdgeError as error:
        remedy = "Install fer-edge again." if shipped_folder(model) else "Export it again."
        yield Check("bundle", FAIL, str(error), remedy)
        return
    manifest = loaded.manifest
    yield Check(
        "bundle",
        PASS,
        f"{manifest.name} {manifest.version}: {manifest.task}, {len(manifest.labels)} labels, sizes and SHA-256 agree",
    )
    for artefact in manifest.artefacts:
        try:
            engine = loaded.open(artefact)
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
            yield _golden(artefact.path, len(loaded.crops), engine.describe())


def _golden(path: str, faces: int, info: EngineInfo) -> Check:
    found = f"{faces} golden vectors agree on {info.line()}"
    if info.engine == "litert" and info.delegate != "XNNPACK":
        remedy = "LiteRT left XNNPACK out: mount /proc and /sys in a container or chroot, or reinstall ai-edge-litert."
        return Check(f"golden:{path}", WARN, f"{found}: right, but slow", remedy)
    return Check(f"golden:{path}", PASS, found)


def _signature(model: str) -> Check | None:
    """Nothing where a run would not ask for one."""
    from fer_edge_runtime.bundle_files import open_files, read_manifest
    from fer_edge_runtime.keys import REQUIRE_VARIABLE, required_key

    try:
        key = required_key()
        if key is None:
            return None
        read_manifest(open_files(model), key)
    except FerEdgeError as error:
        remedy = (
            f"Sign the bundle with that key (fer-edge models sign), or have {REQUIRE_VARIABLE} name another or none."
        )
        return Check("signature", FAIL, str(error), remedy)
    return Check("signature", PASS, f"signed with key {key.id} ({key.origin})")


def detectors() -> Iterator[Check]:
    """Both of this package's."""
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


def gpu(model: str) -> Iterator[Check]:
    """A trial where there is something to try, else what is missing."""
    from fer_edge_runtime.bundle import load_bundle
    from fer_edge_runtime.engines.gpu_parts import gpu_nodes, missing_for_gpu
    from fer_edge_runtime.keys import required_key

    try:
        loaded = load_bundle(model, key=required_key())
    except FerEdgeError:
        yield Check("gpu", PASS, "not tried: it runs the bundle, which is refused above")
        return
    hardware = bool(gpu_nodes())
    for id, format in (("gpu", "tflite"), ("gpu:cuda", "onnx")):
        if not loaded.artefacts(format):
            continue
        missing = missing_for_gpu(format)
        if not missing.parts:
            yield _tried_gpu(id, loaded, format, hardware=hardware)
        elif format == "tflite" or Path("/dev/nvidia0").exists():
            remedy = "Optional: install what is missing; the CPU runs everything." if hardware else ""
            yield Check(id, WARN if hardware else PASS, f"not used: {'; '.join(missing.all())}", remedy)


def _tried_gpu(id: str, bundle: Bundle, format: str, *, hardware: bool) -> Check:
    """A trial of the bundle on the GPU, in a process of its own, as `--device auto` makes one."""
    from fer_edge_runtime.engines.device import verdict
    from fer_edge_runtime.engines.select import choose, default_threads
    from fer_edge_runtime.engines.trial import PROBE_VARIABLE, probe_timeout_s, run_trial

    try:
        timeout_s = probe_timeout_s()
    except FerEdgeError as error:
        return Check(id, FAIL, str(error), f"Unset {PROBE_VARIABLE}, or set it to off.")
    if timeout_s is None:
        return Check(id, PASS, f"not tried: {PROBE_VARIABLE}=off")
    usual = choose(device="cpu", bundle=bundle).format
    trial = run_trial(bundle, format, default_threads(), against=usual, timeout_s=timeout_s)
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
