#!/usr/bin/env python3
"""Throughput of `fer-edge annotate`: one and two processes, and Ray with one and two nodes of one CPU on this machine.

    python benchmarks/annotate.py [--pictures 1200] [--rounds 3] [--no-ray] [--print-only]

Each case annotates a third of the pictures and all of them, in turns with the other cases; the difference of the two times is
what the pictures cost, the rest is start-up. Scaling is the ratio of two rates of the same rounds. Two nodes on one machine
say what Ray costs, not what a network does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from machine import write_results

ROOT = Path(__file__).parents[1]
FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
HEIGHT, WIDTH = 480, 640


def make_pictures(folder: Path, count: int) -> None:
    """640×480 JPEGs of one face at another place and size in each, on noise."""
    dice = np.random.default_rng(1)
    face = cv2.imread(str(ROOT / "tests" / "samples" / "astronaut.jpg"))[:320, 80:400]
    for number in range(count):
        picture = dice.integers(90, 130, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        side = int(dice.integers(120, 400))
        y, x = int(dice.integers(0, HEIGHT - side)), int(dice.integers(0, WIDTH - side))
        picture[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)


def annotate(folder: Path, how: list[str], work: Path) -> tuple[float, int]:
    """Seconds that the command counts, and inputs."""
    out = work / "results.parquet"
    out.unlink(missing_ok=True)
    command = [FER_EDGE, "annotate", str(folder), "--out", str(out), "--json", *how]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    totals = json.loads(done.stdout)
    assert totals["bad"] == 0
    return totals["seconds"], totals["inputs"]


def start_cluster(nodes: int, stack: ExitStack) -> str:
    """The address of a cluster that ends with the stack."""
    command = [sys.executable, str(ROOT / "tests" / "ray_cluster.py"), str(nodes)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    stack.callback(process.wait)
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)
    return process.stdout.readline().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--print-only", action="store_true")
    options = parser.parse_args()
    few = options.pictures // 3
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = {}
        for name, count in (("few", few), ("all", options.pictures)):
            folders[name] = work / name
            folders[name].mkdir()
            make_pictures(folders[name], count)
        cases = {f"{n} process{'es' * (n > 1)}": ["--workers", str(n)] for n in (1, 2)}
        if not options.no_ray:
            cases |= {
                f"Ray, {n} node{'s' * (n > 1)}": ["--ray", start_cluster(n, stack), "--workers", str(n)] for n in (1, 2)
            }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        starts: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(options.rounds + 1):
            for name, how in cases.items():
                short, _ = annotate(folders["few"], how, work)
                long, count = annotate(folders["all"], how, work)
                if number == 0:  # starts Ray's own processes, fills the file cache
                    continue
                if long <= short:
                    raise SystemExit("The start-up varied by more than the pictures cost. Give more --pictures.")
                rates[name].append((count - few) / (long - short))
                starts[name].append(short - few / rates[name][-1])
                print(f"{name:<16}{rates[name][-1]:8.1f} pictures/s   start-up {starts[name][-1]:6.2f} s", flush=True)
    rate = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    values = {
        "pictures": options.pictures,
        "size": [WIDTH, HEIGHT],
        "rounds": options.rounds,
        "pictures_per_s": rate,
        "start_up_s": {name: round(statistics.median(values), 2) for name, values in starts.items()},
        "scaling": {
            f"{two} / {one}": round(rate[two] / rate[one], 2)
            for one, two in (
                ("1 process", "2 processes"),
                ("Ray, 1 node", "Ray, 2 nodes"),
                ("1 process", "Ray, 1 node"),
            )
            if one in rate and two in rate
        },
        "busy_at_the_end": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(values, indent=1))
    if not options.print_only:
        print(write_results("annotate", values))


if __name__ == "__main__":
    main()
