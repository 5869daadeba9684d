#!/usr/bin/env python3
"""Kill `fer-edge run` at random moments, from its first millisecond to its end, and look at what is left.

    python benchmarks/kills.py [--kills 300] [--seed 0] [--jobs 1] [--dry-run]

SIGTERM and SIGINT promise: the exit code is 0, or the signal's own while there was nothing to finish; every JSON line and CSV
row is whole; the video plays, with as many frames as there are JSON lines; nothing has a final name that is not whole; no
temporary file, no child process, no traceback is left. SIGKILL promises less: whole lines up to the last newline, half files
only under the names of parts, no child process; and the next run under the same names works.
Signals take turns, so 300 kills are 200 of SIGTERM and SIGINT, some of which find a process that has just ended by itself.
Exit code 1 when a promise is broken. The figures go to results/reliability.json, section `kills`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
MARK = "FER_EDGE_KILL_MARK"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
SOURCES = ("demo", "test-pattern")
# What a moment is counted from: the start of the process, the line that says that everything is open, the last result.
ANCHORS = ("start", "open", "end")
DEMO_FRAMES = 90
CLOSING_S = 0.2
VIDEOS = ("out.mp4", "out.avi", "out.mkv")
WAIT_S = 60.0


@dataclass(frozen=True)
class Case:
    """One run and its end.

    Attributes:
        number: the signal.
        anchor: one of ``ANCHORS``.
        delay_s: seconds after that.
        source: what it reads.
        pipe: JSON Lines go to a pipe instead of a file.
        video: name of the annotated video.
    """

    number: signal.Signals
    anchor: str
    delay_s: float
    source: str = "demo"
    pipe: bool = False
    video: str = "out.mp4"

    def command(self) -> list[str]:
        """The command line, in a folder of its own."""
        out = "-" if self.pipe else "out.jsonl"
        return [
            FER_EDGE, "run", "--source", self.source, "--device", "cpu", "--json", out, "--csv", "out.csv", "--save", self.video,
            "--serve", "127.0.0.1:0",
        ]  # fmt: skip


@dataclass
class Outcome:
    """What was left.

    Attributes:
        case: what was done.
        stage: how far the program was: ``starting``, ``loading``, ``running`` or ``ended``.
        seconds: from the signal to the end of the process; None when it had ended by itself.
        lines: whole JSON lines.
        problems: promises that were broken.
    """

    case: Case
    stage: str = ""
    seconds: float | None = None
    lines: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Pace:
    """How long the phases of a run take at present; the machine may be busy with other things.

    Attributes:
        start_s: from the start of the process until everything is open.
        run_s: from there to the end of the demonstration clip.
    """

    start_s: float = WAIT_S
    run_s: float = WAIT_S


def random_case(dice: random.Random, number: signal.Signals) -> Case:
    """A case whose delay is a share, from 0 to 1.1, of what its phase takes; ``scaled`` makes seconds of it."""
    anchor = dice.choice(ANCHORS)
    closing = anchor == "end"
    return Case(
        number, anchor, dice.uniform(0, 1.1), "demo" if closing else dice.choice(SOURCES),
        closing or dice.random() < 0.5, dice.choice(VIDEOS),
    )  # fmt: skip


def scaled(case: Case, pace: Pace) -> Case:
    """The case with its delay in seconds."""
    phase_s = {"start": pace.start_s, "open": pace.run_s, "end": CLOSING_S}[case.anchor]
    return replace(case, delay_s=case.delay_s * phase_s)


class Watched:
    """A process whose output is read as it comes, so that its progress is known."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.begin_s = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self.reached = {anchor: threading.Event() for anchor in ANCHORS}
        self.reached["start"].set()
        self.open_s: float | None = None
        self.printed, self.words = bytearray(), bytearray()
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for count, line in enumerate(self.process.stdout, 1):
            self.printed += line
            if count == DEMO_FRAMES:
                self.reached["end"].set()

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.words += line
            if line.startswith(b"Live page: "):
                self.open_s = time.monotonic()
                self.reached["open"].set()
        for event in self.reached.values():  # it has ended; nobody needs to wait for what will not come
            event.set()

    def end(self) -> int:
        """Wait for the end; the exit code.

        Raises:
            subprocess.TimeoutExpired: it does not come; the process is killed.
        """
        try:
            return self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            for reader in self._readers:
                reader.join()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()


def run_case(case: Case, folder: Path, pace: Pace) -> Outcome:
    """Run and kill it in a folder, which is empty but for what an earlier run left; brings the pace up to date."""
    (folder / "tmp").mkdir(exist_ok=True)
    mark = uuid.uuid4().hex
    places = {"TMPDIR": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder.parent / "cache")}
    watched = Watched(case.command(), folder, {**os.environ, **places, MARK: mark})
    watched.reached[case.anchor].wait(WAIT_S)
    try:
        watched.process.wait(case.delay_s)
    except subprocess.TimeoutExpired:
        sent_s: float | None = time.monotonic()
        watched.process.send_signal(case.number)
    else:
        sent_s = None
    try:
        code = watched.end()
    except subprocess.TimeoutExpired:
        return Outcome(
            case, "hung", problems=[f"still running {WAIT_S:g} s after the signal: {watched.words.decode()}"]
        )
    ended_s = time.monotonic()
    if watched.open_s is not None:
        pace.start_s = watched.open_s - watched.begin_s
        if sent_s is None and case.source == "demo":
            pace.run_s = ended_s - watched.open_s
    outcome = Outcome(case, seconds=None if sent_s is None else ended_s - sent_s)
    _judge(outcome, folder, code, bytes(watched.printed), watched.words.decode(errors="replace"))
    outcome.problems += [f"process {pid} is left" for pid in marked_processes(mark)]
    return outcome


def marked_processes(mark: str) -> list[int]:
    """Processes that inherited a run's environment, whatever their session or parent."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdecimal() and f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


def _judge(outcome: Outcome, folder: Path, code: int, printed: bytes, words: str) -> None:
    case, problems = outcome.case, outcome.problems
    left = {path.name for path in folder.iterdir()} - {"tmp"}
    soft = case.number is not signal.SIGKILL
    outcome.stage = _stage(code, words, printed, left)
    if code not in (0, -case.number):
        problems.append(f"exit code {code}: {words}")
    if "Traceback" in words and not _before_our_first_line(words):
        problems.append(f"traceback: {words}")
    if soft and code != 0 and left:
        problems.append(f"ended by the signal, but there was something to finish: {sorted(left)}")
    parts = {name for name in left if ".part" in name}
    if soft and parts:
        problems.append(f"temporary files: {sorted(parts)}")
    unknown = left - parts - {"out.jsonl", "out.csv", case.video}
    if unknown:
        problems.append(f"unknown files: {sorted(unknown)}")
    scratch = [path.name for path in (folder / "tmp").iterdir()]
    if scratch:
        problems.append(f"files in TMPDIR: {scratch}")
    lines = printed if case.pipe else _read(folder, "out.jsonl", parts)
    outcome.lines = _whole_lines(lines, problems, soft=soft)
    _whole_rows(_read(folder, "out.csv", parts), problems)
    if case.video in left:
        frames = _frames(folder / case.video)
        if frames == 0 or (case.source == "demo" and soft and frames != outcome.lines):
            problems.append(f"{case.video} has {frames} frames, JSON has {outcome.lines} lines")


def _stage(code: int, words: str, printed: bytes, left: set[str]) -> str:
    if code != 0:
        return "running" if left else "starting"
    if "Stopped before" in words or "stopped before" in words:
        return "loading"
    return "running" if "; stopped." in words else "ended"


def _before_our_first_line(words: str) -> bool:
    """Whether Python itself was still starting: then it is Python's traceback, and there is no line of ours in it."""
    frames = [line for line in words.splitlines() if line.lstrip().startswith("File ")]
    return words.rstrip().endswith("KeyboardInterrupt") and not any("in main" in line for line in frames)


def _read(folder: Path, name: str, parts: set[str]) -> bytes:
    path = folder / (f"{name}.part" if f"{name}.part" in parts else name)
    return path.read_bytes() if path.exists() else b""


def _whole_lines(content: bytes, problems: list[str], *, soft: bool) -> int:
    whole, newline, rest = content.rpartition(b"\n")
    if rest and soft:
        problems.append(f"the last JSON line is not whole: {rest[-80:]!r}")
    count = 0
    for line in whole.splitlines() if newline else []:
        try:
            json.loads(line)
            count += 1
        except ValueError:
            problems.append(f"a JSON line is broken: {line[-80:]!r}")
    return count


def _whole_rows(content: bytes, problems: list[str]) -> None:
    rows = list(csv.reader(content.rpartition(b"\n")[0].decode().splitlines()))
    if len({len(row) for row in rows}) > 1:
        problems.append("CSV rows differ in length")


def _frames(path: Path) -> int:
    import cv2

    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def run_again(case: Case, folder: Path) -> list[str]:
    """After a SIGKILL: a run under the same names must work, whatever was left."""
    process = subprocess.run(
        [*case.command(), "--max-frames", "5"], cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    left = sorted(path.name for path in folder.iterdir() if ".part" in path.name)
    if process.returncode or left:
        return [f"the next run ended with {process.returncode} and left {left}: {process.stderr}"]
    return []


def run_all(
    kills: int, seed: int, jobs: int = 1, *, report: Callable[[int, Outcome], None] | None = None
) -> list[Outcome]:
    """Look how fast an undisturbed run is, then do all kills; signals take turns. Outcomes come in order."""
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # in the background of a shell, and its children would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    dice = random.Random(seed)
    cases = [random_case(dice, SIGNALS[i % len(SIGNALS)]) for i in range(kills)]
    with tempfile.TemporaryDirectory(prefix="fer-edge-kills-") as place:
        root = Path(place)
        pace = Pace()
        (root / "whole").mkdir()
        whole = run_case(Case(signal.SIGTERM, "start", WAIT_S), root / "whole", pace)
        if whole.problems or whole.stage != "ended":
            raise SystemExit(f"an undisturbed run fails: {whole}")

        def one(position: int) -> Outcome:
            folder = root / str(position)
            folder.mkdir()
            case = scaled(cases[position], pace)
            outcome = run_case(case, folder, pace)
            if case.number is signal.SIGKILL:
                outcome.problems += run_again(case, folder)
            if report is not None:
                report(position, outcome)
            return outcome

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, range(kills)))


def figures(outcomes: list[Outcome]) -> dict[str, Any]:
    """Counts by signal and stage, and how long the end took; a kill landed when the run had not ended by itself before."""
    table: dict[str, Any] = {}
    for number in SIGNALS:
        mine = [outcome for outcome in outcomes if outcome.case.number is number]
        seconds = [outcome.seconds for outcome in mine if outcome.seconds is not None]
        table[number.name] = {
            "kills": len(mine),
            "landed": len(seconds),
            "stages": dict(sorted(Counter(outcome.stage for outcome in mine).items())),
            "broken_promises": sum(bool(outcome.problems) for outcome in mine),
            "seconds_to_end_median": round(statistics.median(seconds), 3) if seconds else None,
            "seconds_to_end_max": round(max(seconds), 3) if seconds else None,
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="do not write results/reliability.json")
    options = parser.parse_args()

    def report(position: int, outcome: Outcome) -> None:
        case = outcome.case
        took = "" if outcome.seconds is None else f", ended {outcome.seconds:.2f} s later"
        print(
            f"{position:4} {case.number.name:7} {case.anchor} + {case.delay_s:.3f} s: {outcome.stage}{took}, {outcome.lines} lines"
        )
        for problem in outcome.problems:
            print(f"     PROBLEM {case}: {problem}")

    outcomes = run_all(options.kills, options.seed, options.jobs, report=report)
    table = figures(outcomes)
    print(json.dumps(table, indent=1))
    if not options.dry_run:
        from reliability import record

        record("kills", {"kills": options.kills, "seed": options.seed, "jobs": options.jobs, "signals": table})
    sys.exit(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    main()
