#!/usr/bin/env python3
"""Measure the embedded bundle again, by the runtime, and compare with what its manifest says.

    python benchmarks/accuracy.py --data ../shared/data/fer2013.parquet [--model default]

Single crop; a FER2013 row is a framed 48-pixel face, so it enters at the second step of the preprocessing. Exits 1 when a
figure differs from the manifest's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge_export.evaluate import measure_artefacts
from fer_edge_runtime.bundle import load_bundle
from fer_edge_train.data import load_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    bundle, data = load_bundle(options.model), load_dataset(options.data)
    differs = False
    for metric in bundle.manifest.metrics:
        artefact = next((a for a in bundle.manifest.artefacts if a.path == metric["artefact"]), None)
        if artefact is None:
            print(
                f"{metric['artefact']:<22}{metric['split']:<12} not in the bundle; the manifest says {metric['accuracy']:.4f}"
            )
            continue
        content, spec = bundle.contents[artefact.path], bundle.manifest.preprocess
        (measured,), _ = measure_artefacts(
            {artefact.path: (artefact, content)}, data, str(metric["split"]), spec=spec, threads=2
        )
        found = measured.result["accuracy"]
        same = abs(found - float(metric["accuracy"])) < 1e-4
        differs |= not same
        print(
            f"{artefact.path:<22}{metric['split']:<12} {found:.4f}, the manifest says {metric['accuracy']:.4f}{'' if same else '  DIFFERS'}"
        )
    sys.exit(1 if differs else 0)


if __name__ == "__main__":
    main()
