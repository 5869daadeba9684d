"""``fer-edge train``: read the recipe and the data, train with a progress bar, say how good it became."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.errors import MissingPackageError

if TYPE_CHECKING:
    from fer_edge_train.config import TrainConfig


EXIT_INTERRUPTED = 130


def train_command(recipe: str, *, data: Path, out: Path, weights: Path | None, resume: bool, **changes: Any) -> None:
    """Train; every ``changes`` value that is not None replaces the recipe's."""
    need(("keras", "pyarrow", "pandas", "matplotlib"), "train")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as tidily as Ctrl-C does
    try:
        _train(recipe, data=data, out=out, weights=weights, resume=resume, **changes)
    except KeyboardInterrupt:
        options = [
            f"--{key.removeprefix('finetune_').replace('_', '-')}={value}"
            for key, value in changes.items()
            if value is not None
        ]
        command = ["fer-edge", "train", recipe, "--data", str(data), "--out", str(out), *options, "--resume"]
        if weights is not None:
            command[5:5] = ["--weights", str(weights)]
        sys.stderr.write(f"fer-edge: interrupted; finished epochs are kept. Continue with: {shlex.join(command)}\n")
        sys.exit(EXIT_INTERRUPTED)


def _train(recipe: str, *, data: Path, out: Path, weights: Path | None, resume: bool, **changes: Any) -> None:
    from fer_edge_train.config import load_recipe, override

    config = override(load_recipe(recipe), **changes)
    quiet_tensorflow()
    from fer_edge_train.data import load_dataset

    with TrainingDisplay() as display:
        display.say(f"Reading {data} …")
        faces = load_dataset(data, split=config.split, seed=config.seed)
        display.say(_balance(faces.counts()))
        from fer_edge_train.report import write_report
        from fer_edge_train.trainer import Listener, train, versions

        for line in _plan(config, versions()):
            display.say(line)
        listener = Listener(display.say, display.start, display.step)
        metrics = train(config, faces, out, weights=weights, listener=listener, resume=resume)
        report = write_report(out)
        for usage in ("PublicTest", "PrivateTest"):
            result = metrics[usage]
            low, high = result["interval95"]
            display.say(
                f"{usage}: accuracy {result['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%}, n = {result['n']}), "
                f"macro-F1 {result['macro_f1']:.3f}; training graph, float32, single crop"
            )
        display.say(f"Report: {report}\nNext: fer-edge export --int8 {out} --out bundle")


def _balance(counts: dict[str, dict[str, int]]) -> str:
    """A line per class: how many faces each part holds."""
    names = list(next(iter(counts.values())))
    width = max(len(name) for name in ["class", "all", *names])
    rows = [("class", *counts)]
    rows += [(name, *(f"{part[name]:,}" for part in counts.values())) for name in names]
    rows += [("all", *(f"{sum(part.values()):,}" for part in counts.values()))]
    return "\n".join(f"  {name:<{width}}" + "".join(f"{cell:>13}" for cell in cells) for name, *cells in rows)


def _plan(config: TrainConfig, versions: dict[str, str]) -> tuple[str, ...]:
    """What is going to run, and on what."""
    head, finetune = config.head, config.finetune
    return (
        f"{config.architecture}, width {config.width:g}, {config.input_size} pixels, batch {config.batch_size}, seed "
        f"{config.seed}: head {head.epochs} epoch(s) at {head.learning_rate:g}, then the upper {finetune.unfreeze:.0%} for up "
        f"to {finetune.epochs} epoch(s) at {finetune.learning_rate:g}, patience {finetune.patience}.",
        ", ".join(f"{name} {value}" for name, value in versions.items()),
    )


def need(packages: tuple[str, ...], extra: str) -> None:
    """Refuse early, with the pip command, when a package of an extra is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, extra)


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up messages off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class TrainingDisplay:
    """A progress bar and sentences on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task: Any = None

    def __enter__(self) -> TrainingDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self._console.print(sentence, soft_wrap=True, markup=False)

    def start(self, title: str, steps: int) -> None:
        """Begin a bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=steps, note="")

    def step(self, loss: float, accuracy: float) -> None:
        """Advance it."""
        self._progress.update(self._task, advance=1, note=f"loss {loss:.3f} accuracy {accuracy:.1%}")
