"""Try a bundle on the GPU in a process of its own: a driver that crashes or hangs takes that one down, never the program.

``FER_EDGE_GPU_PROBE=off`` skips the trial, for services: ``--device auto`` is then the CPU, ``--device gpu`` opens the GPU at once.
A number instead is the most seconds that a trial may take.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    import subprocess

    from fer_edge_runtime.bundle import Bundle

PROBE_VARIABLE = "FER_EDGE_GPU_PROBE"
TIMEOUT_S = 60.0
_KILL_S = 2.0
_WORKER = (sys.executable, "-P", "-m", "fer_edge_runtime.engines.trial_worker")


class Trial(NamedTuple):
    """What came of it.

    Attributes:
        problem: why the GPU cannot be used; empty when its answers to the golden faces are right.
        artefact: file name of the model that ran.
        adapter: name of the GPU.
        driver: name and version of its driver, as far as they are told.
        software: the adapter is a program on the CPU.
        gpu_ms: median of a face on the GPU.
        cpu_ms: median of a face on the CPU with the threads that were asked for.
        notes: models of the bundle that were tried before, and why they do not run there.
    """

    problem: str = ""
    artefact: str = ""
    adapter: str = ""
    driver: str = ""
    software: bool = False
    gpu_ms: float = 0.0
    cpu_ms: float = 0.0
    notes: tuple[str, ...] = ()

    def kind(self) -> str:
        """Such as ``SwiftShader Device (Subzero) (software, not a real GPU)``."""
        return f"{self.adapter} (software, not a real GPU)" if self.software else self.adapter


def trial_from(record: Any) -> Trial | None:
    """A trial out of what JSON held; None when it is none."""
    if not isinstance(record, dict) or set(record) != set(Trial._fields):
        return None
    values = {**record, "notes": tuple(map(str, record["notes"])) if isinstance(record["notes"], list) else None}
    pattern = Trial()
    if any(type(value) is not type(getattr(pattern, name)) for name, value in values.items()):
        return None
    return Trial(**values)


def content_of(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of the models and golden vectors of a bundle."""
    golden = bundle.manifest.golden
    return {golden.path: golden.sha256, **{entry.path: entry.sha256 for entry in bundle.manifest.artefacts}}


def probe_timeout_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """The most seconds a trial may take; None when trials are switched off.

    Raises:
        ConfigError: the variable holds something else.
    """
    value = environment.get(PROBE_VARIABLE, "").strip().lower()
    if value == "off":
        return None
    try:
        timeout_s = float(value or TIMEOUT_S)
    except ValueError:
        timeout_s = 0.0
    if not 0.1 <= timeout_s <= 3600:
        raise ConfigError(f"{PROBE_VARIABLE}={value!r} cannot be used. Set it to off, or to a number of seconds.")
    return timeout_s


def run_trial(
    bundle: Bundle,
    format: str,
    threads: int,
    *,
    against: str = "",
    timeout_s: float = TIMEOUT_S,
    command: Sequence[str] = _WORKER,
) -> Trial:
    """Open the bundle's models of a format on the GPU, replay the golden vectors, time a face there and on the CPU.

    Args:
        bundle: read again from where it came from; files that changed since are refused.
        format: ``tflite`` or ``onnx``.
        threads: of the CPU that it is compared with.
        against: format of the model that the CPU would run, where it is another.
        timeout_s: after which the process is ended.
        command: the program that does it, given a folder with ``job.json``.
    """
    import json
    import tempfile

    job = {
        "bundle": bundle.origin, "sha256": content_of(bundle), "format": format, "threads": threads, "timeout_s": timeout_s,
        "against": against or format,
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(prefix="fer-edge-gpu-", ignore_cleanup_errors=True) as place:
            folder = Path(place)
            (folder / "job.json").write_text(json.dumps(job))
            ended = _run([*command, place], folder, timeout_s)
            if ended:
                said = reason_of(folder)
                return Trial(problem=f"{ended}{f' ({said})' if said else ''}")
            found = trial_from(json.loads((folder / "result.json").read_bytes()))
    except (OSError, ValueError) as error:
        return Trial(problem=f"the trial could not be run: {error}")
    return found or Trial(problem="the trial answered with something unreadable")


def _run(command: list[str], folder: Path, timeout_s: float) -> str:
    """Run to the end; says how it ended when not well. stdout and stderr go to files of the folder."""
    import signal
    import subprocess

    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        # Own session: a Ctrl-C for the program is no verdict on the GPU. Own folder: what the driver printed before it died.
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            return f"its trial did not end within {timeout_s:g} s"
        except BaseException:
            _kill(process)
            raise
    if code < 0:
        return f"its trial was ended by {signal.Signals(-code).name}"
    return f"its trial ended with exit code {code}" if code else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, but never wait for one that hangs inside the kernel's driver."""
    from contextlib import suppress
    from subprocess import TimeoutExpired

    process.kill()
    with suppress(TimeoutExpired):
        process.wait(_KILL_S)


def reason_of(folder: Path) -> str:
    """The line that tells most of what a dead trial left behind; empty when it said nothing."""
    from fer_edge_runtime.engines.litert_gpu import reason_in

    printed = [file.read_text(errors="replace") for file in (*folder.glob("fer-edge-native-*"), folder / "stderr")]
    text = "\n".join(printed)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (reason_in(text) or (f"it said last: {lines[-1]}" if lines else ""))[:200]
