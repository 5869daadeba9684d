#!/usr/bin/env python3
"""Break a camera on purpose, again and again, and look at what `fer-edge run` makes of it.

    python benchmarks/cameras.py [--runs 8] [--flaps 60] [--seed 0]

Runs: a real process on a real MJPEG stream that is unplugged, hangs or sends garbage, twice each with a return, once without, where
SIGTERM comes. Promised: no record while there is no picture, frame numbers and times that only grow, another track after a gap, one
reconnect per return, exit code 0 within 2 s of the signal. Flaps: one source in this process, as many outages, and what they leave
behind in threads, file descriptors and memory. Exit code 1 when a promise is broken. The figures go to results/reliability.json,
section `cameras`.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import psutil
from reliability import record

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from streams import Camera, Run  # noqa: E402 the tests' camera

from fer_edge_runtime.sources import LiveOptions, SourceHealth  # noqa: E402
from fer_edge_runtime.sources.camera import _open_stream  # noqa: E402
from fer_edge_runtime.sources.live import LiveSource  # noqa: E402
from fer_edge_runtime.sources.reconnect import Backoff  # noqa: E402

FAULTS = ("unplug", "hang", "garbage")
STALL_S = 1.5
WARM_FLAPS = 10


def break_it(camera: Camera, fault: str) -> None:
    if fault == "unplug":
        camera.unplug()
    else:
        camera.mode = fault


def mend(camera: Camera, fault: str) -> None:
    camera.mode = "run"
    if fault == "unplug":
        camera.plug_in()


def one_run(image: Any, dice: random.Random) -> tuple[dict[str, Any], list[str]]:
    """Two outages with a return and one that a signal ends; the figures and the broken promises."""
    broken, back_s, faults = [], [], []
    with Camera(image) as camera, Run("--source", camera.url, "--stall-after", STALL_S) as run:
        for outage in range(1, 4):
            run.sees(5)
            faults.append(fault := dice.choice(FAULTS))
            break_it(camera, fault)
            run.hears("Trying again in", times=outage)
            known = len(run.records)
            if outage == 3:
                break
            threading.Event().wait(dice.uniform(0, 1))
            if len(run.records) != known:
                broken.append(f"a record without a picture ({fault})")
            mend(camera, fault)
            mended_s = time.monotonic()
            run.hears("pictures again after", times=outage)
            back_s.append(time.monotonic() - mended_s)
        code, stopped_s = run.ends(signal.SIGTERM)
    frames, times = ([line[key] for line in run.records] for key in ("frame", "time_s"))
    tracks = [face["track"] for line in run.records for face in line["faces"]]
    for name, kept in {
        f"exit code {code}": code == 0,
        f"ended {stopped_s:.1f} s after the signal": stopped_s < 2,
        "frame numbers or times out of order": all(
            a < b for values in (frames, times) for a, b in itertools.pairwise(values)
        ),
        f"tracks {sorted(set(tracks))} in three connections": tracks == sorted(tracks) and len(set(tracks)) >= 3,
        "not two reconnects in the summary": "2 reconnects" in "\n".join(run.said),
        "password shown": "hunter2" not in "\n".join(run.said),
    }.items():
        if not kept:
            broken.append(f"{name} ({', '.join(faults)})")
    return {"faults": faults, "records": len(frames), "back_s": back_s, "stopped_s": stopped_s}, broken


def flap(image: Any, outages: int, dice: random.Random) -> tuple[dict[str, Any], list[str]]:
    """One source that fails as often; what the process holds after the first ten and at the end."""
    process, held = psutil.Process(), []
    with Camera(image, fps=50) as camera:
        options = LiveOptions(stall_s=0.5)
        source = LiveSource(
            lambda: _open_stream(camera.url, "flapping"), name="flapping", opened=_open_stream(camera.url, "flapping"),
            options=options, backoff=Backoff(0.02, 0.05),
        )  # fmt: skip
        fault, done, seen = "", 0, 0

        def idle() -> None:
            nonlocal fault
            if fault and source.health().retry_in_s is not None:
                mend(camera, fault)
                fault = ""

        for _ in source.frames(on_idle=idle):
            seen += 1
            if seen % 5 or fault:
                continue
            if done in (WARM_FLAPS, outages):
                held.append((threading.active_count(), process.num_fds(), process.memory_info().rss / 2**20))
            if done == outages:
                break
            fault, done = dice.choice(FAULTS), done + 1
            break_it(camera, fault)
        health: SourceHealth = source.health()
        source.close()
    (threads, files, rss), (threads_after, files_after, rss_after) = held
    broken = []
    if threads_after > threads + 4 or files_after > files + 4 or rss_after > rss + 20:
        broken.append(f"{outages} outages left threads, files or memory behind: {held}")
    if health.reconnects != outages or health.abandoned:
        broken.append(f"{outages} outages, but {health}")
    return {
        "outages": outages, "reconnects": health.reconnects, "stalls": health.stalls, "threads": [threads, threads_after],
        "file_descriptors": [files, files_after], "rss_mib": [round(rss, 1), round(rss_after, 1)],
    }, broken  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--flaps", type=int, default=60, help=f"more than {WARM_FLAPS}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    image = cv2.imread(str(TESTS / "samples" / "astronaut.jpg"))
    dice = random.Random(options.seed)
    runs, broken = [], []
    for number in range(options.runs):
        figures, problems = one_run(image, dice)
        runs.append(figures)
        broken += problems
        print(f"run {number + 1}: {', '.join(figures['faults'])}: {'; '.join(problems) or 'as promised'}", flush=True)
    flaps, problems = flap(image, options.flaps, dice)
    broken += problems
    back_s = [value for figures in runs for value in figures["back_s"]]
    record("cameras", {
        "seed": options.seed, "runs": len(runs), "faults": dict(Counter(fault for figures in runs for fault in figures["faults"])),
        "records": sum(figures["records"] for figures in runs),
        "seconds_from_mended_to_pictures": {"median": round(statistics.median(back_s), 2), "longest": round(max(back_s), 2)},
        "seconds_from_sigterm_to_end_longest": round(max(figures["stopped_s"] for figures in runs), 2),
        "flaps": flaps, "broken_promises": broken,
    })  # fmt: skip
    for problem in broken:
        print(f"Broken: {problem}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
