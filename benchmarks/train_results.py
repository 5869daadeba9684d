#!/usr/bin/env python3
"""Keep what finished training runs reached: benchmarks/results/train_<name>.json, one a run: facts, metrics and what was changed in the recipe, without local paths.

    python benchmarks/train_results.py runs/mobilenetv2 runs/inceptionv3
    python benchmarks/train_results.py runs/resnet50 --device "NVIDIA H100"

The name is the run folder's. The device is what the run recorded, or --device; a run that recorded none is taken to have been
made on this machine. `python scripts/readme_tables.py` makes the README's table from these files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from machine import describe_machine, write_results

from fer_edge_train.config import load_recipe, recipe_names
from fer_edge_train.run_folder import read_json
from fer_edge_train.summary import summarise_run

WORDS = ("name", "reproduces", "expects")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--device", help="What the runs were made on, when it was not this machine.")
    options = parser.parse_args()
    summaries = [summarise_run(run) for run in options.runs]
    unfinished = [summary["name"] for summary in summaries if not summary["finished"]]
    if unfinished:
        sys.exit(f"Not finished, so nothing is written: {', '.join(unfinished)}.")
    for summary, run in zip(summaries, options.runs, strict=True):
        summary["device"] = device(summary, options.device)
        summary["changes"] = changes(summary)
        summary["metrics"] = read_json(run / "metrics.json")
        print(write_results(f"train_{summary['name']}", summary))


def changes(summary: dict[str, Any]) -> dict[str, Any]:
    """Options that the run had otherwise than the recipe of its name that ships."""
    name = summary["recipe"]["name"] or summary["name"]
    if name not in recipe_names():
        return {}
    shipped, made = flat(load_recipe(name).to_dict()), flat(summary["recipe"])
    return {key: value for key, value in made.items() if key not in WORDS and value != shipped[key]}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key != "classes":
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


def device(summary: dict[str, Any], given: str | None) -> str:
    recorded = summary["versions"].get("device")
    if given or recorded:
        return str(given or recorded)
    machine = describe_machine()
    return f"{machine['cpu']}, {machine['cores']} cores"


if __name__ == "__main__":
    main()
