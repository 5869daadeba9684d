"""What a device does with the artefacts, in a process of its own that never loads TensorFlow.

    python -P -m fer_edge_export.device FOLDER

reads ``job.json``, the artefacts and ``faces.npy`` of the folder and writes the answers there; `ask_device` makes the folder
and reads them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.errors import ExportError
from fer_edge_runtime.engines import Engine, open_engine
from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.manifest import Artefact, Framing, Preprocess, TensorSpec
from fer_edge_runtime.preprocess import to_input

BATCH = 64
WARM_UP = 10
_TOO_HEAVY = ("tensorflow", "keras", "tf_keras", "torch", "jax", "pandas", "matplotlib")

File = tuple[Artefact, bytes]
Progress = Callable[[str, int, int], None]


class Answers(NamedTuple):
    """What the artefacts answered.

    Attributes:
        probabilities: artefact -> (N, classes) float32.
        engines: artefact -> the line of its `EngineInfo`.
        latency: of one face on one thread, where it was measured: ``turns``, artefact -> milliseconds of every round in which
            the artefacts take turns, so that the caches hold the others; ``again``, of running at once again; ``profiles``,
            int8 ONNX artefact -> what `profile_onnx` found.
    """

    probabilities: dict[str, NDArray[np.float32]]
    engines: dict[str, str]
    latency: dict[str, Any]


def ask_device(
    files: Mapping[str, File], faces: NDArray[np.uint8], spec: Preprocess, *, threads: int, rounds: int = 0,
    silent: tuple[str, ...] = (), title: str = "", progress: Progress = lambda title, done, total: None,
) -> Answers:  # fmt: skip
    """Run artefacts over faces in a fresh process.

    Args:
        files: artefact -> its manifest entry and bytes.
        faces: (N, 48, 48) uint8, N at least 1.
        spec: how faces become inputs.
        threads: of the engines that answer.
        rounds: of the latency measurement; 0 is none.
        silent: artefacts that are only timed.
        title: of the progress.
        progress: receives a title, faces done and faces in all.

    Raises:
        ExportError: the process failed, or loaded a training library.
        OutputError: the temporary folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="fer-edge-device-") as place:
        folder = Path(place)
        job = {
            "artefacts": [_plain(artefact) for artefact, _ in files.values()], "spec": _plain(spec), "threads": threads,
            "rounds": rounds, "silent": list(silent),
        }  # fmt: skip
        try:
            (folder / "job.json").write_text(json.dumps(job))
            np.save(folder / "faces.npy", faces, allow_pickle=False)
            for artefact, content in files.values():
                (folder / artefact.path).write_bytes(content)
        except OSError as error:
            raise OutputError(
                f"The artefacts cannot be written to {folder} for their check: {error.strerror or error}. TMPDIR names another place."
            ) from error
        _run(folder, title, progress)
        result = json.loads((folder / "result.json").read_text())
        found = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in files if name not in silent}
    return Answers(found, result["engines"], result["latency"])


def _run(folder: Path, title: str, progress: Progress) -> None:
    command = [sys.executable, "-P", "-m", "fer_edge_export.device", str(folder)]
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603
    ):
        try:
            for line in process.stdout or ():
                name, done, total = json.loads(line)
                progress(f"{name} {title}".strip(), done, total)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code:
        said = (folder / "errors").read_text().strip().splitlines() or ["it said nothing"]
        refused = OutputError if code == OutputError.exit_code else ExportError
        raise refused(f"The process that checks the artefacts ended with code {code}: {said[-1]}")


def main(folder: Path) -> None:
    """The fresh process."""
    job = json.loads((folder / "job.json").read_text())
    spec = Preprocess(**{**job["spec"], "framing": {k: Framing(**v) for k, v in job["spec"]["framing"].items()}})
    faces = np.load(folder / "faces.npy", allow_pickle=False)
    artefacts = [_artefact(values) for values in job["artefacts"]]
    engines = {}
    for artefact in artefacts:
        if artefact.path in job["silent"]:
            continue
        engine = open_engine(artefact, (folder / artefact.path).read_bytes(), threads=job["threads"])
        engines[artefact.path] = engine.describe().line()
        np.save(folder / f"{artefact.path}.npy", _answers(engine, artefact, faces, spec), allow_pickle=False)
    latency = _latency(folder, artefacts, faces, spec, job["rounds"]) if job["rounds"] else {}
    loaded = [name for name in _TOO_HEAVY if name in sys.modules]
    if loaded:
        sys.exit(f"the runtime loaded {', '.join(loaded)}, which a device does not have")
    (folder / "result.json").write_text(json.dumps({"engines": engines, "latency": latency}))


def _answers(engine: Engine, artefact: Artefact, faces: NDArray[np.uint8], spec: Preprocess) -> NDArray[np.float32]:
    found = []
    for start in range(0, len(faces), BATCH):
        _tell(artefact.path, start, len(faces))
        found.append(engine.run(to_input(faces[start : start + BATCH], spec, artefact.input)).copy())
    _tell(artefact.path, len(faces), len(faces))
    return np.concatenate(found)


def _latency(
    folder: Path, artefacts: list[Artefact], faces: NDArray[np.uint8], spec: Preprocess, rounds: int
) -> dict[str, Any]:
    ready = [
        (artefact.path, open_engine(artefact, (folder / artefact.path).read_bytes()), to_input(faces[:1], spec, artefact.input))
        for artefact in artefacts
    ]  # fmt: skip
    times: dict[str, dict[str, list[float]]] = {kind: {name: [] for name, *_ in ready} for kind in ("turns", "again")}
    for number in range(WARM_UP + rounds):
        _tell("latency", number, WARM_UP + rounds)
        for name, engine, face in ready:
            for kind in times:
                began = time.perf_counter()
                engine.run(face)
                if number >= WARM_UP:
                    times[kind][name].append(round(1000 * (time.perf_counter() - began), 4))
    return {**times, "profiles": _profiles(folder, artefacts, faces, spec)}


def _profiles(folder: Path, artefacts: list[Artefact], faces: NDArray[np.uint8], spec: Preprocess) -> dict[str, Any]:
    integers = [a for a in artefacts if a.format == "onnx" and a.precision == "int8"]
    if not integers:
        return {}
    from fer_edge_export.profile import profile_onnx

    return {a.path: profile_onnx((folder / a.path).read_bytes(), to_input(faces[:1], spec, a.input)) for a in integers}


def _tell(name: str, done: int, total: int) -> None:
    sys.stdout.write(json.dumps([name, done, total]) + "\n")
    sys.stdout.flush()


def _artefact(values: dict[str, Any]) -> Artefact:
    ends = {role: TensorSpec(**{**values[role], "shape": tuple(values[role]["shape"])}) for role in ("input", "output")}
    return Artefact(**{**values, **ends})


def _plain(value: Any) -> Any:
    """A named tuple and those inside it as dictionaries."""
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except OSError as problem:
        sys.stderr.write(f"{problem}. TMPDIR names another place for temporary files.\n")
        sys.exit(OutputError.exit_code)
