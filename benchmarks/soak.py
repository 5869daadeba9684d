#!/usr/bin/env python3
"""Let `fer-edge run` work for long on a camera that keeps failing, and look at what grows, slows down or gets lost.

    python benchmarks/soak.py [--minutes 60] [--faults 50] [--seed 0] [--check-latency] [--dry-run]

A real process reads a real MJPEG stream, which is unplugged, hangs or sends garbage as often as told, in random order and spacing.
It writes JSON Lines and CSV and serves page and metrics. Promised: no result is lost or doubled, every camera that comes back is used again,
file descriptors and threads stay as many as they were, memory grows by no more than 1 MB an hour, and, on a quiet machine
(`--check-latency`), the 99th percentile from the camera's sending to the line's arrival drifts by no more than 10 %.
A short run cannot tell 1 MB an hour from none: it fails when the growth is surely more (lower end of the 95 % interval) and came to half a
megabyte, because in three minutes a single step of an allocator is a steep slope.
Exit code 1 when a promise is broken. The figures go to results/reliability.json, section `soak` (or --section).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import psutil
from cameras import FAULTS, STALL_S, break_it, mend
from command_line import FER_EDGE
from reliability import record
from streams import Camera

FPS = 20
WARM_SHARE = 0.2
SETTLED_S = 2.0
SAMPLE_S = 0.5
DEADLINE_S = 60.0
BLOCKS = 12
MAX_GROWTH = 1.0
STEP_MB = 0.5
MAX_DRIFT = 0.10


class Sample(NamedTuple):
    """The process at one moment while its camera is well."""

    at_s: float
    rss_mb: float
    files: int
    threads: int


class StampedCamera(Camera):
    """Remembers when it sent its latest picture."""

    sent_s = 0.0

    def _jpeg(self) -> bytes:
        data: bytes = super()._jpeg()
        self.sent_s = time.monotonic()
        return data


class Watched:
    """The run: what it prints is checked line by line and not kept."""

    def __init__(self, camera: StampedCamera, folder: Path) -> None:
        self.process = subprocess.Popen(
            [
                FER_EDGE, "run", "--source", camera.url, "--stall-after", str(STALL_S), "--device", "cpu", "--json", "-",
                "--csv", folder / "faces.csv", "--serve", "127.0.0.1:0",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines, self.disorder = 0, 0
        self.words: list[str] = []
        self.latency_ms: list[tuple[float, float]] = []
        self._camera, self._changed = camera, threading.Condition()
        self._readers = [threading.Thread(target=one, daemon=True) for one in (self._read_results, self._read_words)]
        for reader in self._readers:
            reader.start()

    def _read_results(self) -> None:
        last = -1
        assert self.process.stdout is not None
        for line in self.process.stdout:
            arrived_s = time.monotonic()
            frame = json.loads(line)["frame"]
            with self._changed:
                self.lines += 1
                self.disorder += frame <= last
                self.latency_ms.append((arrived_s, (arrived_s - self._camera.sent_s) * 1e3))
                self._changed.notify_all()
            last = frame

    def _read_words(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.words.append(line.rstrip())
                self._changed.notify_all()

    def said(self, words: str) -> int:
        """How many sentences hold these words."""
        return sum(words in line for line in self.words)

    def wait_for(self, words: str, times: int) -> bool:
        """Until it has said so often enough; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self.said(words) >= times, DEADLINE_S)

    def wait_for_result(self) -> bool:
        """Until the next result."""
        with self._changed:
            wanted = self.lines + 1
            return self._changed.wait_for(lambda: self.lines >= wanted, DEADLINE_S)

    def end(self) -> int:
        """Stop it; the exit code, or kill it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            for reader in self._readers:
                reader.join()


class Sampler(threading.Thread):
    """Looks at the process twice a second, except while its camera is broken or has just come back."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.well_since_s: float | None = None
        self._process, self._done = psutil.Process(pid), threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        while not self._done.wait(SAMPLE_S):
            well, now = self.well_since_s, time.monotonic()
            if well is None or now - well < SETTLED_S:
                continue
            with self._process.oneshot():
                seen = Sample(
                    now, self._process.memory_info().rss / 1e6, self._process.num_fds(), self._process.num_threads()
                )
            if self.well_since_s == well:
                self.samples.append(seen)

    def stop(self) -> None:
        """No more samples."""
        self._done.set()
        self.join()


def growth(samples: list[Sample]) -> tuple[float, float, float]:
    """Memory's slope in MB an hour by least squares over block medians, and its 95 % interval (Student's t, 10 degrees)."""
    blocks = np.array_split(np.array(samples), BLOCKS)
    hours = np.array([np.median(block[:, 0]) for block in blocks]) / 3600
    memory = np.array([np.median(block[:, 1]) for block in blocks])
    hours = hours - hours.mean()
    slope = float(hours @ memory / (hours @ hours))
    rest = memory - memory.mean() - slope * hours
    error = float(np.sqrt(rest @ rest / (BLOCKS - 2) / (hours @ hours)))
    return slope, slope - 2.228 * error, slope + 2.228 * error


def soak(minutes: float, faults: int, seed: int, *, check_latency: bool) -> tuple[dict[str, Any], list[str]]:
    """Figures and broken promises."""
    dice = random.Random(seed)
    image = cv2.imread(str(Path(__file__).parents[1] / "tests" / "samples" / "astronaut.jpg"))
    broken: list[str] = []
    outages: Counter[str] = Counter()
    with StampedCamera(image, fps=FPS) as camera, tempfile.TemporaryDirectory(prefix="fer-edge-soak-") as place:
        run = Watched(camera, Path(place))
        if not run.wait_for_result():
            run.end()
            raise SystemExit(f"no result came: {run.words}")
        begin_s = time.monotonic()
        end_s = begin_s + minutes * 60
        sampler = Sampler(run.process.pid)
        sampler.well_since_s = begin_s
        sampler.start()
        gaps: list[tuple[float, float]] = []
        for number in range(1, faults + 1):
            left_s = end_s - time.monotonic()
            threading.Event().wait(max(0.0, left_s / (faults - number + 2) * dice.uniform(0.5, 1) - 2 * STALL_S))
            fault = dice.choice(FAULTS)
            outages[fault] += 1
            sampler.well_since_s, broke_s = None, time.monotonic()
            break_it(camera, fault)
            noticed = run.wait_for("Trying again in", number)
            mend(camera, fault)
            if not (noticed and run.wait_for("pictures again after", number) and run.wait_for_result()):
                broken.append(f"outage {number} ({fault}) was not {'mended' if noticed else 'noticed'}")
                break
            sampler.well_since_s = time.monotonic()
            gaps.append((broke_s, sampler.well_since_s))
            print(f"\r{number} of {faults} faults, {run.lines} results", end="", file=sys.stderr, flush=True)
        threading.Event().wait(max(0.0, end_s - time.monotonic()))
        sampler.stop()
        code = run.end()
        print(file=sys.stderr)
    figures, more = judge(run, sampler.samples, gaps, begin_s, check_latency=check_latency)
    if code:
        more.append(f"exit code {code}")
    shown = {"minutes": minutes, "seed": seed, "faults": dict(outages), "exit_code": code}
    return {**shown, **figures}, broken + more


def judge(
    run: Watched, samples: list[Sample], gaps: list[tuple[float, float]], begin_s: float, *, check_latency: bool
) -> tuple[dict[str, Any], list[str]]:
    """What the run's output and the samples tell, after the warm-up."""
    broken = []
    told = next((int(found[1]) for line in run.words if (found := re.match(r"(\d+) frames in", line))), None)
    lost = None if told is None else told - run.lines
    if lost != 0 or run.disorder:
        broken.append(f"{run.lines} results, {told} frames in the summary, {run.disorder} out of order")
    warm_s = begin_s + WARM_SHARE * (samples[-1].at_s - begin_s) if samples else begin_s
    late = [sample for sample in samples if sample.at_s >= warm_s]
    if len(late) < BLOCKS:
        raise SystemExit(
            f"only {len(late)} looks at the process: a longer run is needed, or one with fewer faults. {broken}"
        )
    third = len(late) // 3
    first, last = late[:third], late[-third:]
    held = {}
    for name in ("files", "threads"):
        before, after = (int(np.median([getattr(sample, name) for sample in part])) for part in (first, last))
        held[name] = [before, after]
        if after > before:
            broken.append(f"{name} grew from {before} to {after}")
    slope, low, high = growth(late)
    if low > MAX_GROWTH and slope * (late[-1].at_s - late[0].at_s) / 3600 > STEP_MB:
        broken.append(f"memory grows by {slope:.1f} MB an hour ({low:.1f} to {high:.1f})")
    calm = [
        (at_s, cost)
        for at_s, cost in run.latency_ms
        if at_s >= warm_s and not any(start <= at_s <= end + SETTLED_S for start, end in gaps)
    ]
    costs = np.array([cost for _, cost in calm])
    third = len(costs) // 3
    p99 = [float(np.quantile(part, 0.99)) for part in (costs[:third], costs[-third:])]
    drift = p99[1] / p99[0] - 1
    if check_latency and drift > MAX_DRIFT:
        broken.append(f"the 99th percentile went from {p99[0]:.1f} to {p99[1]:.1f} ms")
    longest = max((end - start for start, end in gaps), default=0.0)
    return {
        "results": run.lines, "lost": lost, "out_of_order": run.disorder, "outages_survived": len(gaps),
        "longest_outage_s": round(longest, 1), "rss_mb": [round(first[0].rss_mb, 1), round(last[-1].rss_mb, 1)],
        "growth_mb_per_hour": {"slope": round(slope, 2), "low": round(low, 2), "high": round(high, 2)},
        "file_descriptors": held["files"], "threads": held["threads"],
        "latency_p99_ms": [round(value, 1) for value in p99], "latency_p99_drift": round(drift, 3),
        "latency_checked": check_latency,
    }, broken  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--check-latency", action="store_true", help="the machine is quiet: fail on slower answers, too"
    )
    parser.add_argument(
        "--section",
        default="soak",
        choices=("soak", "soak_quiet"),
        help="of results/reliability.json; a short run beside the long one",
    )
    parser.add_argument("--dry-run", action="store_true", help="do not write results/reliability.json")
    options = parser.parse_args()
    figures, broken = soak(options.minutes, options.faults, options.seed, check_latency=options.check_latency)
    if not options.dry_run:
        record(options.section, {**figures, "broken_promises": broken})
    print(json.dumps(figures, indent=1))
    for problem in broken:
        print(f"Broken: {problem}", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
