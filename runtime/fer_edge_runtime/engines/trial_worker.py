"""The process of a trial: ``python -m fer_edge_runtime.engines.trial_worker FOLDER`` reads job.json, writes result.json."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.engines.trial import Trial, content_of
from fer_edge_runtime.errors import BundleError, FerEdgeError
from fer_edge_runtime.preprocess import to_input

if TYPE_CHECKING:
    from fer_edge_runtime.engines import Engine
    from fer_edge_runtime.manifest import Artefact

_SPARE_S = 5
_PR_SET_PDEATHSIG = 1
_ROUNDS = 30
_BUDGET_S = 1.0


def main(folder: Path) -> None:
    """Do the job of a folder."""
    job = json.loads((folder / "job.json").read_bytes())
    _end_with_parent()
    if hasattr(signal, "alarm"):  # should that not be possible
        signal.alarm(int(job["timeout_s"]) + _SPARE_S)
    try:
        bundle = load_bundle(job["bundle"])
        if content_of(bundle) != job["sha256"]:  # a signature may have been required of what was read before
            raise BundleError(f"{job['bundle']} was changed since it was read")
        trial = _try(bundle, job["format"], job["threads"], bundle.artefact(job["against"]))
    except FerEdgeError as error:
        trial = Trial(problem=str(error))
    (folder / "result.json").write_text(json.dumps(trial._asdict()))


def _end_with_parent() -> None:
    """Have Linux kill this process with the one that waits for it, also when a driver hangs here."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _try(bundle: Bundle, format: str, threads: int, usual: Artefact) -> Trial:
    notes: list[str] = []
    for artefact in bundle.artefacts(format):
        try:
            engine = bundle.open(artefact, threads=threads, device="gpu")
        except FerEdgeError as error:
            notes.append(str(error))
        else:
            return _measured(bundle, artefact, engine, threads, usual)._replace(notes=tuple(notes))
    return Trial(problem=" ".join(notes))


def _measured(bundle: Bundle, artefact: Artefact, engine: Engine, threads: int, usual: Artefact) -> Trial:
    details = engine.describe().details
    adapter, software = str(details["adapter"]), bool(details["software"])
    driver = _cuda_driver() if artefact.format == "onnx" else ""
    if artefact.format == "tflite":
        from fer_edge_runtime.engines.vulkan import vulkan_adapters

        for found in vulkan_adapters():
            if found.name == adapter:
                driver, software = found.driver, software or found.software
    return Trial(
        artefact=artefact.path, adapter=adapter, driver=driver, software=software,
        gpu_ms=_median_ms(engine, bundle, artefact),
        cpu_ms=_median_ms(bundle.open(usual, threads=threads), bundle, usual),
    )  # fmt: skip


def _median_ms(engine: Engine, bundle: Bundle, artefact: Artefact) -> float:
    """Of one face; the golden vectors went through before, so nothing is cold."""
    face: Any = to_input(bundle.crops[:1], bundle.manifest.preprocess, artefact.input)
    times_s: list[float] = []
    while len(times_s) < _ROUNDS and sum(times_s) < _BUDGET_S:
        begin = time.perf_counter()
        engine.run(face)
        times_s.append(time.perf_counter() - begin)
    return round(statistics.median(times_s) * 1e3, 3)


def _cuda_driver(version: Path = Path("/proc/driver/nvidia/version")) -> str:
    try:
        return version.read_text(errors="replace").splitlines()[0].removeprefix("NVRM version:").strip()
    except (OSError, IndexError):
        return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
