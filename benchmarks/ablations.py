#!/usr/bin/env python3
"""What each change of a recipe gave: finished runs against a base run, face by face on PublicTest.

    python benchmarks/ablations.py --data fer2013.parquet --base runs/nano runs/nano-camera runs/nano-distilled

The runs are added to benchmarks/results/ablations.json (one that is there already is replaced), and ablations.md is made from
it. PublicTest alone, single crop, float32: PrivateTest chooses nothing. The gain's interval is that of two paired shares
(McNemar's discordant faces, normal approximation); an interval that holds 0 shows no effect.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, write_results
from train_results import WORDS, device, flat

from fer_edge_train.config import TrainConfig
from fer_edge_train.data import load_for
from fer_edge_train.evaluation import PREDICTIONS, read_npz
from fer_edge_train.metrics import wilson_interval
from fer_edge_train.run_folder import read_json, write_whole
from fer_edge_train.summary import duration, summarise_run

NAME = "ablations"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--base", required=True, type=Path, metavar="RUN", help="What the others are compared with.")
    parser.add_argument("--data", required=True, type=Path)
    options = parser.parse_args()
    base = read_run(options.base)
    stored = RESULTS / f"{NAME}.json"
    entries = {(e["base"], e["run"]): e for e in (read_json(stored)["entries"] if stored.is_file() else [])}
    for path in (options.base, *options.runs):
        run = read_run(path)
        entries[base["name"], run["name"]] = entry(base, run, right(base, options.data), right(run, options.data))
    values = {"split": "PublicTest", "entries": list(entries.values())}
    print(write_results(NAME, values))
    page = RESULTS / f"{NAME}.md"
    write_whole(page, lambda temporary: temporary.write_text(markdown(values["entries"])))
    print(page)


def read_run(path: Path) -> dict[str, Any]:
    summary = summarise_run(path)
    if not summary["finished"]:
        sys.exit(f"{path} is not finished, so it shows nothing yet.")
    return summary | {"path": path}


def right(run: dict[str, Any], data: Path) -> np.ndarray:
    """(N,) which faces of PublicTest the run names as the data set does."""
    _, labels = load_for(TrainConfig.from_dict(run["recipe"], where=run["name"]), data).part("PublicTest")
    return read_npz(run["path"] / PREDICTIONS)["PublicTest"].argmax(axis=1) == labels


def entry(base: dict[str, Any], run: dict[str, Any], before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    gain, interval = paired_gain(before, after)
    return {
        "base": base["name"], "run": run["name"], "changes": changes(base["recipe"], run["recipe"]),
        "parameters": run["parameters"], "n": len(after), "accuracy": round(float(after.mean()), 5),
        "interval95": wilson_interval(int(after.sum()), len(after)), "gain_points": gain, "gain_interval95": interval,
        "macro_f1": run["PublicTest"]["macro_f1"], "epochs": sum(run["epochs"].values()), "seconds": run["seconds"],
        "device": device(run, None),
    }  # fmt: skip


def paired_gain(before: np.ndarray, after: np.ndarray) -> tuple[float, list[float]]:
    """Percentage points gained, and their 95 % interval."""
    difference = after.astype(np.float64) - before
    error = 1.959964 * difference.std() / np.sqrt(len(difference))
    gain = difference.mean()
    return round(100 * float(gain), 2), [round(100 * float(gain + side * error), 2) for side in (-1, 1)]


def changes(base: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Keys of the recipe that differ -> [before, after]."""
    before, after = flat(base), flat(run)
    return {key: [before.get(key), after[key]] for key in after if key not in WORDS and before.get(key) != after[key]}


def markdown(entries: list[dict[str, Any]]) -> str:
    lines = [
        "# What each change gave", "",
        "Made by `benchmarks/ablations.py` from `ablations.json`. PublicTest, single crop, float32; intervals are 95 %. A gain is",
        "counted on the same faces; an interval that holds 0 shows no effect. Runs of one seed each differ by chance as well.",
    ]  # fmt: skip
    for base in dict.fromkeys(e["base"] for e in entries):
        lines += [
            "", f"## Against `{base}`", "",
            "| run | changed | params | epochs | accuracy | macro-F1 | gain, points | time, device |", "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for e in entries:
            if e["base"] == base:
                lines.append(row(e))
    return "\n".join(lines) + "\n"


def row(e: dict[str, Any]) -> str:
    changed = "; ".join(f"{key} {before} → {after}" for key, (before, after) in e["changes"].items()) or "–"
    low, high = e["interval95"]
    less, more = e["gain_interval95"]
    gain = "–" if e["base"] == e["run"] else f"{e['gain_points']:+.2f} ({less:+.2f} to {more:+.2f})"
    return (
        f"| {e['run']} | {changed} | {e['parameters'] / 1e6:.2f} M | {e['epochs']} | {e['accuracy']:.2%} ({low:.1%} to {high:.1%}) | "
        f"{e['macro_f1']:.3f} | {gain} | {duration(e['seconds'])}, {e['device']} |"
    )


if __name__ == "__main__":
    main()
