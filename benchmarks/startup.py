#!/usr/bin/env python3
"""Start-up time and memory of whole processes, as ratios between interleaved runs.

    python benchmarks/startup.py [--rounds 15] [--check]

Each figure stands against what the same machine needs to start bare Python or to import the same libraries. The packages
are byte-compiled first, as pip does when it installs them; a checkout on a machine that forbids writing bytecode is slower.
Peak memory is the child's own maximum resident set. --check exits 1 when a limit is exceeded.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import spread, write_results

PYTHON = sys.executable
FER_EDGE = str(Path(PYTHON).with_name("fer-edge"))
ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests" / "samples" / "astronaut.jpg"
LIMIT_MEMORY_MIB = 250

COMMANDS = {
    "python": [PYTHON, "-c", "pass"],
    "import fer_edge": [PYTHON, "-c", "import fer_edge"],
    "import typer, rich": [PYTHON, "-c", "import typer, rich"],
    "fer-edge --help": [FER_EDGE, "--help"],
    "import numpy, cv2, litert": [PYTHON, "-c", "import numpy, cv2, ai_edge_litert.interpreter"],
    "fer-edge run picture": [FER_EDGE, "run", "--source", str(SAMPLE), "--quiet", "--json", "-"],
    "fer-edge run demo": [FER_EDGE, "run", "--source", "demo", "--quiet", "--json", os.devnull],
}
RATIOS = (
    ("fer-edge --help", "import typer, rich"),
    ("fer-edge run picture", "import numpy, cv2, litert"),
)


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one whole process."""
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for package in ("fer_edge", "runtime/fer_edge_runtime"):
        compileall.compile_dir(ROOT / package, quiet=1)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    memory: dict[str, float] = dict.fromkeys(COMMANDS, 0.0)
    for _ in range(options.rounds + 1):  # the first round warms the file cache and is not counted
        for name, command in COMMANDS.items():
            seconds, mib = measure(command)
            times[name].append(seconds)
            memory[name] = max(memory[name], mib)
    median = {name: statistics.median(values[1:]) for name, values in times.items()}
    checks = {
        "import fer_edge ≤ 1.3 × python + 50 ms": (median["import fer_edge"], 1.3 * median["python"] + 0.05),
        "fer-edge --help ≤ 1.5 × import typer, rich": (median["fer-edge --help"], 1.5 * median["import typer, rich"]),
        "fer-edge run picture ≤ 1.6 × import numpy, cv2, litert": (
            median["fer-edge run picture"],
            1.6 * median["import numpy, cv2, litert"],
        ),
    }
    ratios = {
        f"{name} / {against}": spread([a / b for a, b in zip(times[name][1:], times[against][1:], strict=True)])
        for name, against in RATIOS
    }
    for name, value in median.items():
        print(f"{name:<28}{value * 1e3:8.1f} ms   peak {memory[name]:6.1f} MiB")
    failed = [name for name, (found, limit) in checks.items() if found > limit]
    for name, (found, limit) in checks.items():
        print(f"{'FAIL' if found > limit else 'ok':<5}{name}: {found * 1e3:.1f} ms, limit {limit * 1e3:.1f} ms")
    peak = max(mib for name, mib in memory.items() if name.startswith("fer-edge run"))
    if peak > LIMIT_MEMORY_MIB:
        failed.append("memory")
    print(f"peak memory of a run: {peak:.1f} MiB, limit {LIMIT_MEMORY_MIB}")
    write_results(
        "startup",
        {
            "rounds": options.rounds,
            "median_ms": {name: round(value * 1e3, 1) for name, value in median.items()},
            "peak_mib": {name: round(value, 1) for name, value in memory.items()},
            "ratios": ratios,
        },
    )
    sys.exit(1 if options.check and failed else 0)


if __name__ == "__main__":
    main()
