#!/usr/bin/env python3
"""Keep what `fer-edge benchmark peers` measures, for the README's table.

    python benchmarks/peers.py --data fer2013.parquet [--cache runs/peers/venvs] [--rounds 5]
    python benchmarks/peers.py --record runs/peers/record.json

The measurement takes long, so it is kept first, as runs/peers/record.json; the second form goes on from there.

Accuracies that results/flagships.json holds stay there alone: they are measured here again through the packages' own interfaces, must
agree within 0.3 points (`fer` rounds its scores to two digits), and are written as references.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import RESULTS, write_results

FER_EDGE = Path(sys.executable).with_name("fer-edge")
CACHE = Path(__file__).parents[1] / "runs" / "peers" / "venvs"
FLAGSHIPS = {"fer-edge": "default tflite", "fer": "fer 25.10.3"}  # case to model
TOLERANCE = 0.003


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--data", type=Path)
    given.add_argument("--record", type=Path)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    record = json.loads((options.record or measured(options.data, options.cache, options.rounds)).read_text())
    print(write_results("peers", refer(record, json.loads((RESULTS / "flagships.json").read_text()))))


def measured(data: Path, cache: Path, rounds: int) -> Path:
    """Measure, and keep what was measured even where a package failed."""
    command = [FER_EDGE, "benchmark", "peers", "--json", "--data", data, "--cache", cache, "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    kept = cache.parent / "record.json"
    if done.stdout:
        kept.write_text(done.stdout)
    if done.returncode:
        sys.exit(f"fer-edge benchmark peers ended with exit code {done.returncode}. What it said is in {kept}.")
    return kept


def refer(record: dict[str, Any], flagships: dict[str, Any]) -> dict[str, Any]:
    """The record with references in place of the accuracies that another file holds."""
    known = {model["name"]: model["fer2013"]["accuracy"] for model in flagships["models"] if "fer2013" in model}
    for case in record["cases"]:
        model = FLAGSHIPS.get(case["name"])
        if model is not None:
            found, kept = case["accuracy"]["accuracy"], known[model]
            if abs(found - kept) > TOLERANCE:
                sys.exit(
                    f"{case['name']}: {found:.2%} here, {kept:.2%} in flagships.json. Run benchmarks/flagships.py again first."
                )
            case["accuracy"] = {"file": "flagships.json", "model": model}
    record["goals"] = [goal for goal in record["goals"] if not goal["what"].startswith("accuracy")]
    return record


if __name__ == "__main__":
    main()
