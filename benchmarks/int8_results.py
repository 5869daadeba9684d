#!/usr/bin/env python3
"""Keep what exports reached: benchmarks/results/int8_<run>.json, one a bundle: accuracy of every artefact, agreement, latency.

    python benchmarks/int8_results.py bundles/mobilenetv2 bundles/inceptionv3

Everything comes from the ``parity.json`` and ``manifest.json`` that `fer-edge export` wrote. `python scripts/readme_tables.py`
makes the README's table from these files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from machine import write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    for bundle in parser.parse_args().bundles:
        manifest, parity = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "parity.json"))
        print(write_results(f"int8_{manifest['provenance']['run']}", summary(manifest, parity)))


def summary(manifest: dict[str, Any], parity: dict[str, Any]) -> dict[str, Any]:
    """What a bundle's own report says, without its plots."""
    recipe = manifest["provenance"]["recipe"]
    splits = {
        split: {
            "n": next(metric["n"] for metric in manifest["metrics"] if metric["split"] == split),
            "accuracy": {name: row["accuracy"] for name, row in parity[split]["artefacts"].items()},
            "against_float32": parity[split]["against_float32"],
        }
        for split in ("PublicTest", "PrivateTest")
    }
    return {
        "run": manifest["provenance"]["run"], "architecture": recipe["architecture"], "input_size": recipe["input_size"],
        "method": parity["quantization"]["method"], "rounding": parity["quantization"].get("rounding"),
        "formats_agree": parity["gate"]["formats_agree"], "max_drop_points": parity["gate"]["max_drop_points"],
        "size_bytes": {artefact["path"]: artefact["size_bytes"] for artefact in manifest["artefacts"]},
        "worst_tensors_db": parity["checks"]["worst_tensors_db"], **splits, "latency": parity["latency"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
