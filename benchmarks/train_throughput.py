#!/usr/bin/env python3
"""How many faces a second a recipe learns from, and what part of that time is waiting for data.

    KERAS_BACKEND=jax python benchmarks/train_throughput.py --data fer2013.parquet mobilenetv2 inceptionv3 [--set precision=mixed_bfloat16]

Two epochs take turns, through the same `fit` and with the fine-tuning stage's optimizer and layers: one over the recipe's own
batches, drawn, augmented on the host and copied for every step, and one that is given the same batch again and again. The share
that waits is what the second one saves. Weights are random: time does not depend on them. One entry a recipe, backend and device
is kept in results/throughput.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from machine import RESULTS, write_results

from fer_edge_train.batches import Batches
from fer_edge_train.config import Distill, TrainConfig, load_recipe, with_settings
from fer_edge_train.data import load_for
from fer_edge_train.devices import use_all_devices
from fer_edge_train.network import build_training_model, unfreeze_top
from fer_edge_train.provenance import versions
from fer_edge_train.run_folder import read_json
from fer_edge_train.trainer import compile_stage

NAME = "throughput"


class Some(keras.utils.PyDataset):
    """The first batches of an epoch; with ``same`` the first one over and over."""

    def __init__(self, batches: Batches, count: int, *, same: bool) -> None:
        super().__init__()
        self._batches, self._count = batches, count
        self._first = batches[0] if same else None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._batches[index] if self._first is None else self._first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    stored = RESULTS / f"{NAME}.json"
    entries = {key(e): e for e in (read_json(stored)["entries"] if stored.is_file() else [])}
    for name in options.recipes:
        found = measure(with_settings(load_recipe(name), options.settings), options)
        entries[key(found)] = found
        print(found)
    print(write_results(NAME, {"entries": list(entries.values())}))


def key(entry: dict[str, Any]) -> tuple[str, ...]:
    return entry["recipe"], entry["precision"], entry["backend"], entry["device"]


def measure(config: TrainConfig, options: argparse.Namespace) -> dict[str, Any]:
    # Without averaged weights: Keras on JAX cannot go on after it has put them in, unless the run puts the others back.
    config = replace(config, weights="none", distill=Distill(), ema=0.0)
    data = load_for(config, options.data)
    images, labels = data.part("Training")
    targets = np.eye(len(data.names), dtype=np.float32)[labels]
    epoch = Batches(images, targets, np.ones(len(images), np.float32), labels, config, config.seed)
    count = min(options.batches, len(epoch))
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    use_all_devices(config.batch_size, print)
    graph, classifier = build_training_model(config, len(data.names))
    unfreeze_top(classifier, config.finetune.unfreeze)
    compile_stage(graph, config, config.finetune, rows=len(images))
    ways = {"real": Some(epoch, count, same=False), "same": Some(epoch, count, same=True)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, batches in ways.items():
            spent = timed(lambda batches=batches: graph.fit(batches, shuffle=False, verbose=0))
            if turn:  # the first turn compiles
                seconds[name].append(spent)
    faces = count * len(epoch[0][0])
    made = timed(lambda: [epoch[index] for index in range(count)])
    ran_on = versions()
    shares = [1 - same / real for real, same in zip(seconds["real"], seconds["same"], strict=True)]
    return {
        "recipe": config.name, "precision": config.precision, "batch_size": len(epoch[0][0]), "batches": count, "rounds": options.rounds,
        "backend": ran_on["backend"], "device": ran_on["device"], "versions": ran_on,
        "faces_per_s": round(faces / statistics.median(seconds["real"]), 1),
        "faces_per_s_same_batch": round(faces / statistics.median(seconds["same"]), 1),
        "faces_per_s_made": round(faces / made, 1),
        "waiting": {"median": round(statistics.median(shares), 4), "min": round(min(shares), 4), "max": round(max(shares), 4)},
    }  # fmt: skip


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
