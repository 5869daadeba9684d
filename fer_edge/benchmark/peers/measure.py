"""Measure all peers: environments first, then rounds in which every case has a turn, then accuracy; the record is what ``--json`` prints."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.benchmark.machine import BUSY_SHARE
from fer_edge.benchmark.peers import clips as clips_module
from fer_edge.benchmark.peers.accuracy import TestFaces, score
from fer_edge.benchmark.peers.catalogue import Peer
from fer_edge.benchmark.peers.environment import Environment, InstallError, prepare
from fer_edge.benchmark.peers.session import PeerRun, classify, take_turn
from fer_edge.benchmark.peers.summary import summarize
from fer_edge.benchmark.rounds import Limit, take_turns
from fer_edge.benchmark.watch import Watch
from fer_edge.worker.process import WorkerError

SCHEMA = 1
COMMAND = "benchmark peers"

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        peers: the reference first.
        cache: folder of their environments.
        rounds: turns of every case that count.
        frames: of each clip.
        clip_s: of every turn on each clip at least, in whole passes, so that a fast peer is timed as long as a slow one.
        one_core: every case also on one core.
        timeout_s: a peer that is silent for longer is ended.
        test: faces for the accuracy; None leaves it out.
    """

    peers: Sequence[Peer]
    cache: Path
    rounds: int
    frames: int
    clip_s: float
    one_core: bool
    timeout_s: float
    test: TestFaces | None


def measure_peers(plan: Plan, *, say: Say, progress: Progress) -> tuple[dict[str, Any], list[WorkerError]]:
    """Install, warm the file cache up, take turns, measure accuracy, put the figures together.

    Args:
        plan: what to measure.
        say: told what is installed and what failed.
        progress: receives a title, steps done and in all.

    Returns:
        The record, and what went wrong with single cases.
    """
    # Before pip makes the machine busy.
    watch = Watch()
    runs = [run for peer in plan.peers for run in _runs(peer, plan, say)]
    with tempfile.TemporaryDirectory(prefix="fer-edge-peers-") as name:
        folder = Path(name)
        picture, clips = clips_module.first_picture(folder), clips_module.write_clips(folder, plan.frames)
        _take_turns(runs, picture, clips, plan, watch, say, progress)
        if plan.test is not None:
            _measure_accuracy(runs, plan.test, folder, plan.timeout_s, progress)
    load = watch.before.load_1min
    busy = load is not None and load > BUSY_SHARE * watch.machine.cores
    record = {
        "schema": SCHEMA, "command": COMMAND, "fer_edge": __version__, **watch.as_json(), "machine_busy": busy,
        "settings": {
            "rounds": plan.rounds, "frames": plan.frames, "clip_s": plan.clip_s, "seed": clips_module.SEED, "one_core": plan.one_core,
            "test": None if plan.test is None else {"data": plan.test.words, "n": len(plan.test.labels)},
        },
        **summarize(runs),
    }  # fmt: skip
    return record, [run.failure for run in runs if run.failure]


def _runs(peer: Peer, plan: Plan, say: Say) -> list[PeerRun]:
    """One run a case; where the peer cannot be installed, all of them have failed."""
    environment: Environment | None = None
    failure = None
    try:
        environment = prepare(peer, plan.cache, say=say)
    except InstallError as error:
        say(f"{peer.name}: not measured: {error}")
        failure = WorkerError(str(error), error.exit_code)
    cases = list(peer.cases)
    if plan.one_core:
        core = min(os.sched_getaffinity(0))
        cases += [
            replace(case, name=f"{case.name}, one core", core=core, classifier_of=case.classifier_of or case.name)
            for case in peer.cases
        ]
    return [PeerRun(peer, case, environment, failure) for case in cases]


def _take_turns(
    runs: Sequence[PeerRun], picture: str, clips: Sequence[clips_module.Clip], plan: Plan, watch: Watch, say: Say, progress: Progress,
) -> None:  # fmt: skip
    for number, run in enumerate(runs):  # reads all files once, and shows early what does not work
        progress("first starts", number, len(runs))
        take_turn(run, picture, [], clip_s=0, timeout_s=plan.timeout_s)
        if run.failure is None:
            say(f"{run.case.name}: first label '{run.first_label}'")
        elif run.environment is not None:
            say(f"{run.case.name}: not measured: {run.failure}")
        run.forget()
    done = 0

    def turn(run: PeerRun) -> None:
        nonlocal done
        take_turn(run, picture, clips, clip_s=plan.clip_s, timeout_s=plan.timeout_s)
        watch.look()
        done += 1
        progress("turns", done, plan.rounds * len(runs))

    take_turns([partial(turn, run) for run in runs], Limit(rounds=plan.rounds), after_round=lambda *_: None)


def _measure_accuracy(
    runs: Sequence[PeerRun], test: TestFaces, folder: Path, timeout_s: float, progress: Progress
) -> None:
    """Every classifier once, on the same faces."""
    path = folder / "faces.bin"
    path.write_bytes(test.faces.tobytes())
    count = len(test.labels)
    for run in runs:
        if run.case.classifier_of is None:
            show = partial(_show, progress, f"accuracy of {run.case.name}", count)
            labels = classify(run, path, count, timeout_s, show)
            run.accuracy = None if labels is None else score(labels, test.labels, test.names)


def _show(progress: Progress, title: str, total: int, done: int) -> None:
    progress(title, done, total)
