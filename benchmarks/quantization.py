#!/usr/bin/env python3
"""Post-training quantization against quantization-aware training of one run, over several seeds.

    python benchmarks/quantization.py runs/mobilenetv2 --seeds 7 8 9 [--epochs 2] [--data FER2013]

Each seed draws its own calibration faces, order and augmentation. Writes ``results/quantization_<run>.json`` after every seed.
What ships is chosen by PublicTest; PrivateTest is measured for that one alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from machine import write_results

from fer_edge_export import ExportConfig, export_bundle
from fer_edge_export.config import QatConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    seeds: dict[str, Any] = {}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            report = export_bundle(
                ExportConfig(
                    options.run, Path(folder) / "bundle", data=options.data, seed=seed, max_drop_points=100, min_agreement=0,
                    qat=QatConfig(epochs=options.epochs, seed=seed),
                ),
                say=print,
            )  # fmt: skip
        seeds[str(seed)] = summary(report)
        target = write_results(
            f"quantization_{options.run.name}", {"run": options.run.name, "epochs": options.epochs, "seeds": seeds}
        )
    print(f"wrote {target}")


def summary(report: dict[str, Any]) -> dict[str, Any]:
    quantization = report["quantization"]
    final = report["PrivateTest"]
    return {
        "float_public": report["gate"]["float_accuracy"], "int8_public": quantization["PublicTest"],
        "method": quantization["method"], "formats_agree": report["gate"]["formats_agree"],
        "private": {name: artefact["accuracy"] for name, artefact in final["artefacts"].items()},
        "agreement_with_float": {name: row["top1_agreement"] for name, row in final["against_float32"].items()},
        "history": quantization["training"]["history"], "latency": report["latency"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
