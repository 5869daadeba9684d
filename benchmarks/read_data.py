#!/usr/bin/env python3
"""Time and memory of reading all of FER2013, from parquet and from the CSV, each in a fresh process.

    python benchmarks/read_data.py ../shared/data/fer2013.parquet [--csv fer2013.csv] [--rounds 3] [--check]

Without --csv the Kaggle form is written from the parquet first. Seconds are the whole process, imports included; the best round
counts, because other work on the machine only ever adds to it. CPU seconds are of all threads, peak memory is the process's
maximum resident set. --check exits 1 above 3 s from parquet, 20 s from the CSV or 400 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import write_results

CODE = "import sys; from pathlib import Path; from fer_edge_train.data import load_dataset; print(load_dataset(Path(sys.argv[1])).digest())"
LIMIT_S = {"parquet": 3.0, "csv": 20.0}
LIMIT_MB = 400


def measure(path: Path) -> dict[str, float | str]:
    """One whole process that reads ``path`` and prints its digest."""
    with tempfile.TemporaryFile("w+") as output:
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", CODE, str(path)], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"Reading {path} ended with exit code {process.returncode}.")
        output.seek(0)
        return {
            "seconds": round(seconds, 2), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1), "digest": output.read().strip(),
        }  # fmt: skip


def write_csv(parquet: Path, target: Path) -> None:
    """The faces of ``parquet`` as Kaggle's fer2013.csv."""
    from fer_edge_train.data import load_dataset

    data = load_dataset(parquet)
    with target.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for face, label, usage in zip(data.images, data.labels, data.usage, strict=True):
            file.write(f"{label},{' '.join(map(str, face.ravel().tolist()))},{usage}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        csv = options.csv or Path(folder) / "fer2013.csv"
        if options.csv is None:
            write_csv(options.parquet, csv)
        results = {}
        for form, path in {"parquet": options.parquet, "csv": csv}.items():
            rounds = [measure(path) for _ in range(options.rounds)]
            results[form] = min(rounds, key=lambda values: values["seconds"])
            results[form]["peak_mb"] = max(values["peak_mb"] for values in rounds)
            print(form, results[form])
    if results["parquet"]["digest"] != results["csv"]["digest"]:
        raise SystemExit("The two forms do not hold the same rows.")
    write_results("read_data", {"rounds": options.rounds, "forms": results})
    slow = [
        form for form, values in results.items() if values["seconds"] > LIMIT_S[form] or values["peak_mb"] > LIMIT_MB
    ]
    sys.exit(1 if options.check and slow else 0)


if __name__ == "__main__":
    main()
