#!/usr/bin/env python3
"""Give every reader of the program inputs that are nearly right, and see that each is accepted or refused in words.

    python benchmarks/fuzz.py [--cases 1000000] [--seed 0] [--targets pictures,http] [--jobs 2] [--minutes 0]
    python benchmarks/fuzz.py --replay FILE

A case is accepted, refused (a `FerEdgeError`), or broken: another exception, a crash of the process, more than 5 s of CPU, or
more memory than 1.5 GB. Cases follow from seed, target and number, so a run can be repeated and is cut short by ``--minutes``.
What broke is kept in runs/fuzz/ (at most 20 a target) with its traceback beside it. Exit code 1 when anything is broken.
The figures go to results/reliability.json, section `fuzz`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fuzzing.target import TARGETS, open_target
from fuzzing.worker import ACCEPTED, BROKEN, CASE, REFUSED, case_input, tried, work

KEPT = Path(__file__).parents[1] / "runs" / "fuzz"
KEPT_EACH = 20
CHUNK = 20_000
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Tally:
    """Of one target.

    Attributes:
        accepted, refused, broken: cases.
        busy_s: of its processes, their start included.
        problems: (case, what happened), the first ones.
    """

    accepted: int = 0
    refused: int = 0
    broken: int = 0
    busy_s: float = 0.0
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Tried."""
        return self.accepted + self.refused + self.broken


def fuzz(cases: int, seed: int, names: list[str], *, jobs: int = 1, minutes: float = 0.0) -> dict[str, Tally]:
    """Share the cases among the targets, in chunks that take turns, so that a run cut short has tried all of them.

    Args:
        cases: over all targets of ``TARGETS``; a part of them gets its part of it.
        seed: of everything random.
        names: of the targets.
        jobs: processes at a time.
        minutes: no case is begun later than that; 0 is no limit.
    """
    until_s = time.monotonic() + minutes * 60 if minutes else float("inf")
    whole = sum(share for _, _, share in TARGETS.values())
    chunks = []
    for name in names:
        wanted = max(1, round(cases * TARGETS[name][2] / whole))
        chunks += [(start, name, range(start, min(start + CHUNK, wanted))) for start in range(0, wanted, CHUNK)]
    tallies = {name: Tally() for name in names}
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(
            lambda chunk: _chunk(chunk[1], seed, chunk[2], until_s), sorted(chunks, key=lambda chunk: chunk[0])
        )
        for (_, name, _), part in zip(sorted(chunks, key=lambda chunk: chunk[0]), done, strict=True):
            tally = tallies[name]
            tally.accepted += part.accepted
            tally.refused += part.refused
            tally.broken += part.broken
            tally.busy_s += part.busy_s
            tally.problems += part.problems
    for name, tally in tallies.items():
        _keep(name, seed, tally.problems)
    return tallies


def _chunk(name: str, seed: int, cases: range, until_s: float) -> Tally:
    """Cases of one target in a process; after a crash in another one, from the next case on."""
    tally = Tally()
    while cases and time.monotonic() < until_s:
        begin_s = time.monotonic()
        counts = _SPAWN.Array("q", [cases.start, 0, 0, 0], lock=False)
        receiver, sender = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=work, args=(name, seed, cases, until_s, counts, sender))
        process.start()
        sender.close()
        with receiver:
            try:
                while True:
                    tally.problems.append(receiver.recv())
            except EOFError:
                process.join()
        tally.busy_s += time.monotonic() - begin_s
        tally.accepted += counts[ACCEPTED]
        tally.refused += counts[REFUSED]
        tally.broken += counts[BROKEN]
        if any(case < 0 for case, _ in tally.problems):
            raise SystemExit(f"{name} cannot be tried: {tally.problems[-1][1]}")
        if process.exitcode == 0:
            break
        tally.broken += 1
        tally.problems.append(
            (counts[CASE], f"the process ended with {process.exitcode}: {_meaning(process.exitcode)}")
        )
        cases = range(counts[CASE] + 1, cases.stop)
    return tally


def _meaning(code: int | None) -> str:
    return {-27: "a hang, 5 s of CPU", -14: "a hang, 120 s without an end", -9: "killed, perhaps for its memory"}.get(
        code or 0, "a crash"
    )


def _keep(name: str, seed: int, problems: list[tuple[int, str]]) -> None:
    if not problems:
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    target = open_target(name)
    for case, problem in problems[:KEPT_EACH]:
        place = KEPT / f"{name}-{seed}-{case}.bin"
        place.write_bytes(case_input(target, seed, name, case))
        place.with_suffix(".txt").write_text(problem)


def replay(path: Path) -> str:
    """Try a kept input once more, in this process; what happens, in words."""
    import faulthandler

    faulthandler.enable()
    faulthandler.dump_traceback_later(6)
    target = open_target(path.name.partition("-")[0])
    data = path.read_bytes()
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
    return tried(target, data) or "accepted or refused in words"


def figures(tallies: dict[str, Tally]) -> dict[str, Any]:
    """Counts for the record."""
    return {
        name: {
            "cases": tally.cases, "accepted": tally.accepted, "refused": tally.refused, "broken": tally.broken,
            "cases_per_s": round(tally.cases / tally.busy_s, 1) if tally.busy_s else None,
        }
        for name, tally in tallies.items()
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", default=",".join(TARGETS), help="names with commas between")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--dry-run", action="store_true", help="do not write results/reliability.json")
    options = parser.parse_args()
    if options.replay:
        print(replay(options.replay))
        return 0
    tallies = fuzz(options.cases, options.seed, options.targets.split(","), jobs=options.jobs, minutes=options.minutes)
    table = figures(tallies)
    print(json.dumps(table, indent=1))
    total = {key: sum(row[key] for row in table.values()) for key in ("cases", "accepted", "refused", "broken")}
    if not options.dry_run:
        from reliability import record

        record("fuzz", {"seed": options.seed, **total, "targets": table})
    print(
        f"{total['cases']:,} cases: {total['accepted']:,} accepted, {total['refused']:,} refused, {total['broken']:,} broken"
    )
    for name, tally in tallies.items():
        for case, problem in tally.problems[:KEPT_EACH]:
            print(
                f"Broken: {name} {case}: {problem.strip().splitlines()[-1]} (--replay {KEPT / f'{name}-{options.seed}-{case}.bin'})"
            )
    return bool(total["broken"])


if __name__ == "__main__":
    sys.exit(main())
