"""``fer-edge train``: read the recipe and the data, train with a progress bar, say how good it became."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.commands.display import Display, interruptible, need

if TYPE_CHECKING:
    from fer_edge_train.config import TrainConfig


def train_command(recipe: str, *, data: Path, out: Path, weights: Path | None, resume: bool, **changes: Any) -> None:
    """Train; every ``changes`` value that is not None replaces the recipe's."""
    need(("keras", "pyarrow", "pandas", "matplotlib"), "train")
    command = ["fer-edge", "train", recipe, "--data", str(data), "--out", str(out)]
    command += [] if weights is None else ["--weights", str(weights)]
    command += [
        f"--{key.removeprefix('finetune_').replace('_', '-')}={value}"
        for key, value in changes.items()
        if value is not None
    ]
    with interruptible(f"finished epochs are kept. Continue with: {shlex.join(command)} --resume"):
        _train(recipe, data=data, out=out, weights=weights, resume=resume, **changes)


def _train(recipe: str, *, data: Path, out: Path, weights: Path | None, resume: bool, **changes: Any) -> None:
    from fer_edge_train.config import load_recipe, override

    config = override(load_recipe(recipe), **changes)
    from fer_edge_train.data import load_dataset

    with Display() as display:
        display.say(f"Reading {data} …")
        faces = load_dataset(data, split=config.split, seed=config.seed)
        display.say(_balance(faces.counts()))
        from fer_edge_train.quiet import quiet

        with quiet():
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
