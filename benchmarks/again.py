#!/usr/bin/env python3
"""Measures the kept ratios again, and says which lie within the spread that is kept with them.

    python benchmarks/again.py --data fer2013.parquet [--check]

startup.py, stages.py and flagships.py run as they are; what they write goes to a temporary folder, benchmarks/results stays. A ratio
is reproduced when its median lies between the kept run's 10th and 90th percentile of single rounds. --check exits 1 when one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import RESULTS, write_results

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for script, arguments in (("startup", []), ("stages", []), ("flagships", ["--data", str(options.data)])):
            measure(script, arguments, folder)
        entries = [entry for name in ("startup", "stages_full", "flagships") for entry in compare(name, Path(folder))]
    for entry in entries:
        print(
            f"{'ok' if entry['within'] else 'FAIL':<5}{entry['ratio']}: {entry['again']['median']}, kept {entry['kept']}"
        )
    print(write_results("again", {"ratios": entries}))
    sys.exit(1 if options.check and not all(entry["within"] for entry in entries) else 0)


def measure(script: str, arguments: list[str], folder: str) -> None:
    done = subprocess.run(
        [sys.executable, HERE / f"{script}.py", *arguments], env=os.environ | {"FER_EDGE_RESULTS": folder}, check=False
    )
    if done.returncode:
        sys.exit(f"{script}.py ended with exit code {done.returncode}; nothing was written.")


def compare(name: str, folder: Path) -> list[dict[str, Any]]:
    """Every ratio that is kept in ``NAME.json``, beside the one in a folder."""
    kept, again = (dict(ratios(json.loads((place / f"{name}.json").read_text()))) for place in (RESULTS, folder))
    return [
        {
            "ratio": f"{name}: {ratio}", "kept": before, "again": again[ratio],
            "within": before["p10"] <= again[ratio]["median"] <= before["p90"],
        }
        for ratio, before in kept.items()
    ]  # fmt: skip


def ratios(values: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Where in a file of results a `machine.spread` lies; an entry of a list goes by its name."""
    if isinstance(values, dict) and {"median", "p10", "p90"} <= set(values):
        yield path, values
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from ratios(value, f"{path}, {key}" if path else key)
    elif isinstance(values, list):
        for number, value in enumerate(values):
            name = value.get("name", number) if isinstance(value, dict) else number
            yield from ratios(value, f"{path}, {name}")


if __name__ == "__main__":
    main()
