#!/usr/bin/env python3
"""The teacher: several finished runs that answer together, by the mean of their probabilities, single crop, float32.

    python benchmarks/ensemble.py --data fer2013.parquet runs/mobilenetv2-distilled runs/mobilenetv2 runs/resnet14 runs/cnn4

Every combination of the runs is looked at on PublicTest; the best one is the teacher, and PrivateTest is looked at for that one
alone. The answers are those that each run kept at its end (predictions.npz). Writes results/ensemble.json.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from ablations import read_run
from machine import write_results

from fer_edge_train.config import TrainConfig
from fer_edge_train.data import load_for
from fer_edge_train.evaluation import PREDICTIONS, read_npz
from fer_edge_train.metrics import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", required=True, type=Path)
    options = parser.parse_args()
    runs = {run["name"]: run for run in map(read_run, options.runs)}
    answers = {name: read_npz(run["path"] / PREDICTIONS) for name, run in runs.items()}
    if len({(run["split_hash"], *run["labels"]) for run in runs.values()}) > 1:
        sys.exit("These runs have other classes or other parts of the data, so they cannot answer together.")
    first = next(iter(runs.values()))
    data = load_for(TrainConfig.from_dict(first["recipe"], where=first["name"]), options.data)
    chosen = best(answers, data.part("PublicTest")[1])
    values = {
        "members": [{"name": name, "parameters": run["parameters"], **shares(run)} for name, run in runs.items()],
        "chosen": list(chosen),
        "parameters": sum(runs[name]["parameters"] for name in chosen),
        "looked_at": 2 ** len(runs) - 1,
    }
    for part in ("PublicTest", "PrivateTest"):
        found = evaluate(data.part(part)[1], mean(answers, chosen, part), data.names)
        values[part] = {key: found[key] for key in ("n", "accuracy", "interval95", "macro_f1")}
    print(write_results("ensemble", values))


def best(answers: dict[str, dict[str, np.ndarray]], labels: np.ndarray) -> tuple[str, ...]:
    """The combination that is right most often on PublicTest; of equals the one with fewer members."""
    every = [chosen for size in range(1, len(answers) + 1) for chosen in combinations(answers, size)]
    return max(every, key=lambda chosen: int((mean(answers, chosen, "PublicTest").argmax(axis=1) == labels).sum()))


def mean(answers: dict[str, dict[str, np.ndarray]], chosen: tuple[str, ...], part: str) -> np.ndarray:
    """(N, classes) float32 probabilities of the members, averaged."""
    return np.mean([answers[name][part] for name in chosen], axis=0)


def shares(run: dict[str, Any]) -> dict[str, float]:
    return {part: run[part]["accuracy"] for part in ("PublicTest", "PrivateTest")}


if __name__ == "__main__":
    main()
