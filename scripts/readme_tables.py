#!/usr/bin/env python3
"""Fill the tables of README.md, the guides and SECURITY.md from the JSON files that hold the numbers; --check only compares.

Accuracy comes from the embedded bundle's manifest (written by `fer-edge export`, measured again by
benchmarks/accuracy.py); everything else from benchmarks/results.
"""

from __future__ import annotations

import re
import sys

from page_tables import boards, models, peers, quantizing, reliability, speed, training
from page_tables.results import ROOT, all_measured, manifest, other_files, table_of

PAGES = [
    ROOT / name for name in ("README.md", "SECURITY.md", "train/README.md", "export/README.md", "benchmarks/RESULTS.md")
]

TABLES = {
    "accuracy": lambda: models.accuracy_table(manifest("default")),
    "flagships": lambda: table_of("flagships", models.flagships_table),
    "robustness": lambda: table_of("robustness", models.robustness_table),
    "peers": lambda: table_of("peers", peers.peers_table),
    "train": lambda: training.train_table(all_measured("train_*")),
    "ensemble": lambda: table_of("ensemble", training.ensemble_table),
    "train_throughput": lambda: table_of("throughput", training.train_throughput_table),
    "read_data": lambda: table_of("read_data", training.read_data_table),
    "int8": lambda: quantizing.int8_table(all_measured("int8_*")),
    "quantization": lambda: table_of("quantization_mobilenetv2", quantizing.quantization_table),
    "stages": lambda: table_of("stages_full", speed.stages_table),
    "startup": lambda: table_of("startup", speed.startup_table),
    "again": lambda: table_of("again", speed.again_table),
    "gpu": lambda: table_of("gpu", speed.gpu_table),
    "limit": lambda: table_of("limit", speed.limit_table),
    "sweep": lambda: table_of("sweep", speed.sweep_table),
    "boards": lambda: table_of("boards", boards.boards_table),
    "pi_emulated": lambda: table_of("pi_emulated", boards.pi_emulated_table),
    "reliability": lambda: table_of("reliability", reliability.reliability_table),
    "reliability_line": lambda: table_of("reliability", reliability.reliability_line),
}


def fill(text: str) -> str:
    """A page with every ``<!-- table:NAME -->`` block made anew."""

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table:{name} -->\n{TABLES[name]()}\n<!-- /table -->"

    return re.sub(r"<!-- table:(?P<name>\w+) -->\n.*?<!-- /table -->", one, text, flags=re.DOTALL)


def main() -> None:
    for sentence in other_files():
        print(f"warning: {sentence}", file=sys.stderr)
    for page in PAGES:
        before = page.read_text()
        after = fill(before)
        if "--check" not in sys.argv[1:]:
            page.write_text(after)
        elif before != after:
            sys.exit(f"{page.name}'s tables are not what the JSON files say. Run: python scripts/readme_tables.py")


if __name__ == "__main__":
    main()
