#!/usr/bin/env python3
"""Keep what `fer-edge benchmark latency --sweep` measures: the cost of a frame by faces, frame size and --detect-every, on one thread.

python benchmarks/sweep.py [BUNDLE] [--rounds 20]
"""

from __future__ import annotations

import argparse

from kept import keep, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="default", metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    record = measured(
        "latency", options.bundle, "--sweep", "--engine", "litert", "--faces", "1", "--rounds", str(options.rounds)
    )
    (case,) = record.pop("cases")
    record["measured_files"] = {f"{case['name']}/{case['artefact']}": case["sha256"]}
    print(keep("sweep", {**record, "bundle": case["name"], "runs_on": case["runs_on"], "points": case["sweep"]}))


if __name__ == "__main__":
    main()
