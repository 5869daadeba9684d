#!/usr/bin/env python3
"""Train a recipe once as it is and once with each of a list of changes, several runs at a time; `ablations.py` compares them.

    python benchmarks/ablate.py benchmarks/recipes/nano-first.toml --data fer2013.parquet --out runs/ablations \\
        --set finetune.epochs=30 --set 'distill.teachers=["runs/teachers/default.npz"]' [--jobs 6] [--minutes 10] [--only NAME …]

Runs that are finished are left alone and interrupted ones go on, so give the same command again. After --minutes no run is
begun and the unfinished ones are stopped, for a machine that is lent for a while. With KERAS_BACKEND=jax the runs share one GPU
(each takes the memory it needs, not all of it) and what they compiled.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BASE = "base"
CHANGES = {
    BASE: [],
    "no-distillation": ["distill.teachers=[]"],
    "temperature-4": ["distill.temperature=4.0"],
    "teachers-alone": ["distill.weight=1.0"],
    "no-votes": ["data.ferplus=none"],
    "no-camera": ["augment.camera=0.0"],
    "no-erasing": ["augment.erase=0.0"],
    "no-mirror": ["augment.flip=false"],
    "no-moves": ["augment.rotation_degrees=0.0", "augment.shift=0.0", "augment.zoom=0.0"],
    "mixup": ["augment.mixup=0.2"],
    "cutmix": ["augment.cutmix=1.0"],
    "no-averaging": ["ema=0.0"],
    "class-weights": ["class_weights=sqrt"],
    "pixels-64": ["input_size=64"],
    "wider": ["width=1.5"],
    "narrower": ["width=0.75"],
    "another-seed": ["seed=8"],  # what chance alone does
    "third-seed": ["seed=9"],
}
POLL_S = 0.5
STOP_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="Folder of the runs.")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="For every run."
    )
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time.")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ended = train_all(options)
    left = [name for name in options.only if not finished(run_of(name, options))]
    print(f"Not finished: {', '.join(left)}." if left else "All are finished.")
    print(
        f"Compare: python benchmarks/ablations.py --data {options.data} --base {run_of(BASE, options)} {options.out}/*/"
    )
    sys.exit(any(ended.values()))


def train_all(options: argparse.Namespace) -> dict[str, int]:
    """Exit code of every run that ended by itself."""
    end = time.monotonic() + 60 * options.minutes
    waiting = [name for name in options.only if not finished(run_of(name, options))]
    running: dict[str, subprocess.Popen[bytes]] = {}
    ended: dict[str, int] = {}
    try:
        while (waiting or running) and time.monotonic() < end:
            while waiting and len(running) < options.jobs:
                name = waiting.pop(0)
                running[name] = begin(name, options)
                print(f"{name}: begun", flush=True)
            time.sleep(POLL_S)
            for name in [name for name, run in running.items() if run.poll() is not None]:
                ended[name] = running.pop(name).wait()
                print(
                    f"{name}: {'finished' if ended[name] == 0 else f'exit code {ended[name]}, see {run_of(name, options)}.log'}",
                    flush=True,
                )
    finally:
        for run in running.values():
            run.send_signal(signal.SIGINT)  # fer-edge train keeps its finished epochs
        for run in running.values():
            run.wait(STOP_S)
    return ended


def begin(name: str, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    run = run_of(name, options)
    settings = [part for setting in [*options.settings, *CHANGES[name]] for part in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "fer_edge",
        "train",
        options.recipe,
        "--data",
        options.data,
        "--out",
        run,
        *settings,
    ]
    if (run / "progress.json").is_file():
        command.append("--resume")
    shared = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str((options.out / ".jax").absolute()),
    }
    with Path(f"{run}.log").open("ab") as log:
        return subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=shared | os.environ)


def run_of(name: str, options: argparse.Namespace) -> Path:
    return options.out / f"{Path(options.recipe).stem}-{name}"


def finished(run: Path) -> bool:
    return (run / "metrics.json").is_file()


if __name__ == "__main__":
    main()
