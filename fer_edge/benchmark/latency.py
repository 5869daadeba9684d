"""Measure latency: every case in a process of its own, all of them taking turns; the record is what ``--json`` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.benchmark.bench import DETECTOR
from fer_edge.benchmark.case import Case
from fer_edge.benchmark.rounds import Limit, Turn, take_turns
from fer_edge.benchmark.scene import Scene
from fer_edge.benchmark.spread import spread
from fer_edge.benchmark.watch import Watch
from fer_edge.worker.process import Worker, WorkerError
from fer_edge_runtime.stream import STREAM_SCAN_EVERY

SCHEMA = 1
COMMAND = "benchmark latency"
WORKER = (sys.executable, "-P", "-m", "fer_edge.benchmark.worker")
CALLS = 5  # timed calls a turn
CLIP_FRAMES = 5  # frames a turn
WARM_UP = 2  # rounds that are not counted
STAGES = ("decode", "detect", "track", "align", "classify", "smooth", "draw", "total")
SWEEP = {
    "faces": tuple(Scene(faces=faces) for faces in (1, 2, 4, 8, 16)),
    "size": tuple(Scene(width, height) for width, height in ((320, 240), (640, 480), (1280, 720), (1920, 1080))),
    "every": tuple(Scene(every=every) for every in (1, 2, 3, 5)),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        cases: at least one.
        faces: batch sizes.
        limit: when the rounds end.
        clip: a video file or ``demo``; its stages are timed.
        sweep: also time synthetic frames by faces, frame size and ``--detect-every``.
        root: where ``proc`` and ``sys`` lie.
    """

    cases: Sequence[Case]
    faces: Sequence[int]
    limit: Limit
    clip: str = "demo"
    sweep: bool = False
    root: Path = Path("/")


class CaseRun:
    """A case's worker and what it has measured so far; once it failed it has nothing more to say."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.worker = Worker(WORKER)
        self.facts: dict[str, Any] = {}
        self.failure: WorkerError | None = None
        self.batches: dict[int, list[float]] = {}
        self.frames: list[dict[str, float]] = []
        self.scenes: dict[Scene, list[dict[str, float]]] = {}

    def ask(self, action: str, **arguments: Any) -> dict[str, Any] | None:
        """The worker's answer; None once it failed."""
        if self.failure:
            return None
        try:
            return self.worker.ask(action, **arguments)
        except WorkerError as error:
            self.failure = error
            return None

    def open(self, clip: str) -> None:
        """Load everything."""
        self.facts = self.ask("open", case=self.case.as_json(), clip=clip) or {}

    def run_batch(self, faces: int) -> None:
        """One turn of a batch size."""
        if answer := self.ask("faces", faces=faces, calls=CALLS):
            self.batches.setdefault(faces, []).extend(answer["ms"])

    def run_clip(self) -> None:
        """One turn of the clip."""
        if answer := self.ask("clip", frames=CLIP_FRAMES):
            self.frames.extend(answer["frames"])

    def run_scene(self, scene: Scene) -> None:
        """One turn of a synthetic scene: a whole cycle of the detector's search for small faces."""
        if answer := self.ask("scene", frames=STREAM_SCAN_EVERY * scene.every, **scene._asdict()):
            self.scenes.setdefault(scene, []).extend(answer["frames"])

    def forget(self) -> None:
        """Drop what was measured: the warm-up."""
        self.batches, self.frames, self.scenes = {}, [], {}

    def finish(self) -> None:
        """Ask for the memory, before a sweep takes more."""
        self.facts |= self.ask("memory") or {}


def measure_latency(
    plan: Plan, *, say: Callable[[str], None], progress: Callable[[str, int, int], None]
) -> tuple[dict[str, Any], list[WorkerError]]:
    """Open every case, warm up, take turns, put the figures together.

    Args:
        plan: what to measure.
        say: told about every case that opened or failed.
        progress: receives a title, rounds (or tenths of seconds) done and in all.

    Returns:
        The record, and what went wrong with single cases.
    """
    watch = Watch(plan.root)
    runs: list[CaseRun] = []
    try:
        runs.extend(CaseRun(case) for case in plan.cases)
        for number, run in enumerate(runs):
            progress("opening", number, len(runs))
            run.open(plan.clip)
            say(_opened(run))
        rounds = _measure(plan, runs, watch, progress)
    except BaseException:  # Ctrl-C too: no worker stays behind
        for run in runs:
            run.worker.kill()
        raise
    finally:
        for run in runs:
            run.worker.close()
    record = {
        "schema": SCHEMA, "command": COMMAND, "fer_edge": __version__, **watch.as_json(),
        "settings": {
            "rounds": rounds, "calls_a_round": CALLS, "frames_a_round": CLIP_FRAMES, "warm_up_rounds": WARM_UP,
            "faces": list(plan.faces), "clip": plan.clip, "detector": DETECTOR,
        },
        "cases": [_case(run, plan.faces) for run in runs],
    }  # fmt: skip
    return record, [run.failure for run in runs if run.failure]


def _measure(plan: Plan, runs: Sequence[CaseRun], watch: Watch, progress: Callable[[str, int, int], None]) -> int:
    """Warm-up, the counted rounds, and the sweep's; returns the number of counted rounds."""
    turns: list[Turn] = [partial(run.run_batch, faces) for faces in plan.faces for run in runs]
    turns += [run.run_clip for run in runs]
    take_turns(turns, Limit(rounds=WARM_UP), after_round=lambda done, _: progress("warming up", done, WARM_UP))
    for run in runs:
        run.forget()

    def show(title: str) -> Callable[[int, float], None]:
        def after_round(done: int, seconds: float) -> None:
            watch.look()
            if plan.limit.rounds is not None:
                progress(title, done, plan.limit.rounds)
            elif plan.limit.seconds is not None:
                progress(
                    title, min(round(10 * seconds), round(10 * plan.limit.seconds)), round(10 * plan.limit.seconds)
                )

        return after_round

    rounds = take_turns(turns, plan.limit, after_round=show("measuring"))
    for run in runs:
        run.finish()
    if plan.sweep:
        scenes = list(dict.fromkeys(scene for axis in SWEEP.values() for scene in axis))
        scene_turns: list[Turn] = [partial(run.run_scene, scene) for scene in scenes for run in runs]
        take_turns(scene_turns, Limit(rounds=1), after_round=show("sweep, warming up"))
        for run in runs:
            run.scenes = {}
        take_turns(scene_turns, plan.limit, after_round=show("sweep"))
    return rounds


def _opened(run: CaseRun) -> str:
    if run.failure:
        return f"{run.case.words()}: not measured: {run.failure}"
    facts = run.facts
    cost = f"loaded in {facts['load_ms']:.0f} ms, first face {facts['first_ms']:.1f} ms"
    return f"{run.case.bundle}: {facts['artefact']} on {facts['runs_on']}: {cost}"


def _case(run: CaseRun, faces: Sequence[int]) -> dict[str, Any]:
    """A case's part of the record; what a dead worker had measured before is kept."""
    failure = run.failure
    return {
        "bundle": run.case.bundle, "asked": run.case.as_json(), **run.facts,
        "failed": str(failure) if failure else None,
        "faces": [_batch(n, run.batches[n]) for n in faces if run.batches.get(n)],
        "clip": _clip(run.frames) if run.frames else None,
        "sweep": [
            {"axis": axis, **scene._asdict(), **_work(run.scenes[scene])}
            for axis, scenes in SWEEP.items() for scene in scenes if run.scenes.get(scene)
        ],
    }  # fmt: skip


def _batch(faces: int, times_ms: Sequence[float]) -> dict[str, Any]:
    found = spread(times_ms)
    return {"faces": faces, **found.as_json(), "faces_per_s": round(faces / found.p50_ms * 1e3, 1)}


def _clip(frames: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Stages by quantile; frames/s from the whole time, because a median hides the frames on which more is done."""
    seconds = sum(frame["total"] for frame in frames) / 1e3
    return {
        "frames": len(frames), "frames_per_s": round(len(frames) / seconds, 2),
        "faces_per_frame": round(sum(frame["faces"] for frame in frames) / len(frames), 2),
        "stages": {name: spread([frame[name] for frame in frames]).as_json() for name in STAGES if name in frames[0]},
    }  # fmt: skip


def _work(frames: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean milliseconds a frame: with a detector on every N-th frame the median would show one kind of frame only."""
    means = {name: round(sum(f[name] for f in frames) / len(frames), 4) for name in frames[0] if name != "faces"}
    return {"frames": len(frames), "found": min(int(frame["faces"]) for frame in frames), "mean_ms": means}
