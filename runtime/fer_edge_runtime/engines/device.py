"""CPU or GPU: what the files of the machine rule out, what a trial found, what is remembered of it, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_runtime.engines.gpu_parts import gpu_nodes, missing_for_gpu
from fer_edge_runtime.errors import DeviceError

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import Bundle
    from fer_edge_runtime.engines.trial import Trial
    from fer_edge_runtime.manifest import Artefact

# Under this share of the CPU's time the GPU is faster by more than a measurement's noise.
_CLEARLY_FASTER = 0.9
_ENGINES = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}


def faster_device(
    bundle: Bundle, format: str, threads: int, *, others: Sequence[str] = (), root: Path = Path("/")
) -> tuple[Artefact | None, tuple[str, ...]]:
    """The model to run on the GPU, or None for the CPU, and why.

    Where no GPU can be used, a few looks at files decide; a trial runs once, and its verdict is remembered.

    Args:
        bundle: to run.
        format: of the models that the CPU would run.
        threads: of the CPU.
        others: formats that may run on the GPU instead, where all that they need is there; the fastest is taken.
        root: where ``dev``, ``usr`` and ``etc`` are.

    Raises:
        ConfigError: the variable of the trial holds something unknown.
    """
    missing = missing_for_gpu(format, root=root).all()
    usable = [other for other in others if gpu_nodes(root) and not missing_for_gpu(other, root=root).all()]
    if missing and not usable:
        return None, (f"CPU: {missing[0]}",)
    from fer_edge_runtime.engines.trial import PROBE_VARIABLE, probe_timeout_s

    timeout_s = probe_timeout_s()
    if timeout_s is None:
        return None, (f"CPU: {PROBE_VARIABLE}=off skips the trial of the GPU",)
    best, reasons = None, [f"{_ENGINES[format]}: CPU: {missing[0]}"] if missing else []
    for tried in [*([] if missing else [format]), *usable]:
        trial, origin = _trial_of(bundle, tried, threads, timeout_s, against=format, again=False)
        use, why = verdict(trial)
        reasons += [f"{f'{_ENGINES[tried]}: ' if usable else ''}{why} ({origin})", *trial.notes]
        if use and (best is None or trial.gpu_ms < best.gpu_ms):
            best = trial
    return (_named(bundle, best) if best else None), tuple(reasons)


def verdict(trial: Trial) -> tuple[bool, str]:
    """Whether ``auto`` takes the GPU after a trial, and why."""
    if trial.problem:
        return False, f"CPU: the GPU cannot be used: {trial.problem}"
    if trial.software:
        return False, f"CPU: the adapter {trial.kind()} is never chosen by itself"
    times = f"{trial.gpu_ms:.2f} ms a face on the GPU {trial.adapter}, {trial.cpu_ms:.2f} ms on the CPU"
    if trial.gpu_ms < _CLEARLY_FASTER * trial.cpu_ms:
        return True, f"GPU, because it is faster: {times}"
    return False, f"CPU, because the GPU is not faster: {times}"


def gpu_artefact(bundle: Bundle, formats: Sequence[str], threads: int) -> tuple[Artefact, tuple[str, ...]]:
    """The model to run on the GPU, which must be, and what to say about it.

    Args:
        bundle: to run.
        formats: the first that runs is taken.
        threads: of the CPU, which a trial compares with.

    Raises:
        ConfigError: the variable of the trial holds something unknown.
        DeviceError: with everything that is missing.
    """
    from fer_edge_runtime.engines.trial import PROBE_VARIABLE, probe_timeout_s

    timeout_s = probe_timeout_s()
    problems = []
    for format in formats:
        missing = missing_for_gpu(format)
        if missing.parts:
            problems.append(f"{_ENGINES[format]}: {'; '.join(missing.all())}")
            continue
        if timeout_s is None:
            return bundle.artefact(format), (f"GPU asked for; not tried before ({PROBE_VARIABLE}=off)",)
        trial, _ = _trial_of(bundle, format, threads, timeout_s, against=format, again=True)
        if not trial.problem:
            return _named(bundle, trial), (f"GPU asked for: {trial.kind()}", *trial.notes)
        problems.append(
            f"{_ENGINES[format]}: {'; '.join([trial.problem.removesuffix(' Use --device cpu.').rstrip('.'), *missing.hardware])}"
        )
    raise DeviceError(
        f"--device gpu is not available. {'. '.join(problems)}. Use --device cpu (int8 on the CPU is the fast path)."
    )


def _trial_of(
    bundle: Bundle, format: str, threads: int, timeout_s: float, *, against: str, again: bool
) -> tuple[Trial, str]:
    """The remembered trial or a new one, and which; ``again`` tries anew what is remembered to have failed."""
    import logging

    from fer_edge_runtime.engines.trial import run_trial
    from fer_edge_runtime.engines.verdicts import recall, remember, verdict_key

    key = verdict_key(bundle, format, threads, against=against)
    known = recall(key)
    if known is not None and not (again and known.problem):
        return known, "remembered; --device gpu tries a failed one again" if known.problem else "remembered"
    # Up to a minute of silence needs a word, and nobody who calls a library has a terminal for certain.
    logging.getLogger(__name__).warning("Trying the GPU once, up to %g s; the verdict is remembered …", timeout_s)
    trial = run_trial(bundle, format, threads, against=against, timeout_s=timeout_s)
    file = remember(key, trial)
    return trial, f"tried now, remembered in {file}" if file else "tried now; the cache folder cannot be written"


def _named(bundle: Bundle, trial: Trial) -> Artefact:
    return next(artefact for artefact in bundle.manifest.artefacts if artefact.path == trial.artefact)
