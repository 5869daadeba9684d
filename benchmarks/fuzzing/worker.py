"""One process that tries cases of one target, within limits of memory and time that end it when they are reached."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import FerEdgeError
from fuzzing.target import open_target

HANG_CPU_S = 5.0
HANG_WALL_S = 120.0
MEMORY_BYTES = 1500 * 2**20
# Meanings of the shared numbers: the case in work, and how many ended how.
CASE, ACCEPTED, REFUSED, BROKEN = range(4)


def case_input(target: Any, seed: int, name: str, case: int) -> bytes:
    """The same for the same seed, target and case."""
    data: bytes = target.make(random.Random(f"{seed}/{name}/{case}"))
    return data


def work(name: str, seed: int, cases: range, until_s: float, counts: Any, problems: Connection) -> None:
    """Try cases until they, or the time, are over.

    Args:
        name: of the target.
        seed: of all cases.
        cases: their numbers.
        until_s: `time.monotonic` after which no case is begun.
        counts: four shared numbers, see ``CASE``.
        problems: (case, traceback) of what is broken goes here.
    """
    scratch = Path(tempfile.mkdtemp(prefix="fer-edge-fuzz-"))
    tempfile.tempdir = str(scratch)
    try:
        warnings.simplefilter("ignore")
        _nothing_to_see()
        target = open_target(name)
        limit_memory()
        for case in cases:
            if time.monotonic() > until_s:
                break
            counts[CASE] = case
            data = case_input(target, seed, name, case)
            problem = tried(target, data, counts)
            if problem:
                problems.send((case, problem))
        counts[CASE] = cases.stop
    except BaseException:
        problems.send((-1, traceback.format_exc()))
    os.chdir("/")
    shutil.rmtree(scratch, ignore_errors=True)
    # Threads of a server, or of a library, are not waited for.
    problems.close()
    os._exit(0)


def tried(target: Any, data: bytes, counts: Any = None) -> str:
    """Run one case, counted; the traceback when it is broken."""
    signal.setitimer(signal.ITIMER_PROF, HANG_CPU_S)
    signal.setitimer(signal.ITIMER_REAL, HANG_WALL_S)
    problem, outcome = "", ACCEPTED
    try:
        target.run(data)
    except FerEdgeError:
        outcome = REFUSED
    except BaseException:
        outcome, problem = BROKEN, traceback.format_exc()[-4000:]
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if counts is not None:
        counts[outcome] += 1
    return problem


def limit_memory() -> None:
    """As much again as is in use, and no more: what wants gigabytes fails here."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _nothing_to_see() -> None:
    """Native libraries write to these numbers, and the command line prints."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(0),
        os.fdopen(1, "w", encoding="utf-8"),
        os.fdopen(2, "w", errors="backslashreplace"),
    )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
