"""One turn of a case: start its process, label the first face, run the clips, look at the memory, end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.benchmark.peers.catalogue import FOLDER, Peer, PeerCase
from fer_edge.benchmark.peers.clips import Clip
from fer_edge.benchmark.peers.environment import Environment, clean_environment
from fer_edge.benchmark.peers.memory import tree_peak_mib
from fer_edge.worker.process import Worker, WorkerError

WARM_UP_FRAMES = 2  # of each clip, not counted
FRAMES_AT_ONCE = 3  # asked for, so that a slow peer is not taken for a silent one


@dataclass(slots=True)
class PeerRun:
    """A case and what its turns have measured; once it failed it has no more turns.

    Attributes:
        cold_start_s: from starting the process to the first labelled face, one value a turn.
        first_face_mib, peak_mib: the most memory until then, and with all clips.
        frames_per_s: by clip, one value a turn.
        found: by clip, how many of the faces were found; of all turns the same.
        extra: by clip, boxes where no face is.
    """

    peer: Peer
    case: PeerCase
    environment: Environment | None
    failure: WorkerError | None = None
    first_label: str | None = None
    cold_start_s: list[float] = field(default_factory=list)
    first_face_mib: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    frames_per_s: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)
    accuracy: dict[str, Any] | None = None

    def forget(self) -> None:
        """Drop what was measured: the warm-up of the file cache."""
        self.cold_start_s, self.first_face_mib, self.peak_mib, self.frames_per_s = [], [], [], {}


def start(run: PeerRun, timeout_s: float) -> Worker:
    """The case's process, which has done nothing yet."""
    assert run.environment is not None  # noqa: S101 a case without one has failed before
    # The driver's own folder comes first on its path; what is shared lies in ours.
    environment = clean_environment() | {"PYTHONPATH": str(FOLDER / "drivers")}
    command = [str(run.environment.python), "-s", str(run.peer.driver)]
    return Worker(command, answer_timeout_s=timeout_s, environment=environment)


def open_case(run: PeerRun, worker: Worker) -> None:
    """Import and build the peer."""
    worker.ask("open", options=dict(run.case.options), core=run.case.core)


def take_turn(run: PeerRun, picture: str, clips: Sequence[Clip], *, clip_s: float, timeout_s: float) -> None:
    """Measure once; a failure is noted in the run and raised no further."""
    if run.failure:
        return
    begin = time.perf_counter()
    worker = start(run, timeout_s)
    try:
        open_case(run, worker)
        faces = worker.ask("picture", path=picture)["faces"]
        run.cold_start_s.append(time.perf_counter() - begin)
        if not faces:
            raise WorkerError("it found no face in the first picture, so its start cannot be timed")
        run.first_label = faces[0]["label"]
        _note(run.first_face_mib, tree_peak_mib(worker.pid))
        for clip in clips:
            _run_clip(run, worker, clip, clip_s)
        _note(run.peak_mib, tree_peak_mib(worker.pid))
    except WorkerError as error:
        run.failure = error
    except BaseException:  # Ctrl-C too: no process stays behind
        worker.kill()
        raise
    finally:
        worker.close()


def classify(
    run: PeerRun, faces: Path, count: int, timeout_s: float, progress: Callable[[int], None], at_once: int = 64
) -> list[str] | None:
    """The case's labels of faces of 48×48 bytes in a file; None once it failed."""
    if run.failure:
        return None
    worker = start(run, timeout_s)
    labels: list[str] = []
    try:
        open_case(run, worker)
        while len(labels) < count:
            answer = worker.ask("classify", path=str(faces), first=len(labels), count=min(at_once, count - len(labels)))
            labels += answer["labels"]
            progress(len(labels))
    except WorkerError as error:
        run.failure = error
        return None
    except BaseException:
        worker.kill()
        raise
    finally:
        worker.close()
    return labels


def _run_clip(run: PeerRun, worker: Worker, clip: Clip, at_least_s: float) -> None:
    """Time whole passes until so much time has passed; the first one says what is found."""
    worker.ask("frames", paths=list(clip.paths[:WARM_UP_FRAMES]))
    times: list[float] = []
    found: list[Any] = []
    begin = time.perf_counter()
    while not times or time.perf_counter() - begin < at_least_s:
        for first in range(0, len(clip.paths), FRAMES_AT_ONCE):
            answer = worker.ask("frames", paths=list(clip.paths[first : first + FRAMES_AT_ONCE]))
            times += answer["ms"]
            found += answer["faces"]
    run.frames_per_s.setdefault(clip.name, []).append(1e3 * len(times) / sum(times))
    hits = extra = 0
    for faces, truth in zip(found, clip.truth, strict=False):
        met = matched([face["box"] for face in faces], truth)
        hits, extra = hits + met, extra + len(faces) - met
    run.found[clip.name] = hits / sum(map(len, clip.truth))
    run.extra[clip.name] = extra / len(clip.truth)


def matched(boxes: Sequence[Sequence[float]], truth: Sequence[Sequence[float]]) -> int:
    """How many true faces have the middle of a found box inside them; true faces do not overlap."""
    middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    return sum(any(x1 <= x <= x2 and y1 <= y <= y2 for x, y in middles) for x1, y1, x2, y2 in truth)


def _note(values: list[float], value: float | None) -> None:
    if value is not None:
        values.append(value)
