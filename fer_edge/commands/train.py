"""``fer-edge train``: read the recipe and the data, train with a progress bar, say how good it became."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.commands.display import Display, interruptible, need, need_backend
from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge_train.config import TrainConfig
    from fer_edge_train.data import FaceDataset

_PACKAGES = ("keras", "pyarrow", "pandas", "matplotlib", "tensorboard")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The command line's wishes; ``changes`` that are not None replace the recipe's values, ``settings`` are ``--set``."""

    recipe: str | None
    data: Path | None
    out: Path | None
    resume: bool
    dry_run: bool
    settings: list[str]
    ferplus: Path | None
    skip_bad: bool
    json: bool
    unexpected: list[Path]
    changes: dict[str, Any]


def list_command(*, as_json: bool) -> None:
    """Print what each recipe reproduces and what to expect of it."""
    from fer_edge_train.config import recipes

    known = recipes()
    if as_json:
        sys.stdout.write(json.dumps({name: recipe.to_dict() for name, recipe in known.items()}) + "\n")
        return
    width = min(100, shutil.get_terminal_size().columns)
    for name, recipe in known.items():
        stages = f"{recipe.head.epochs} + {recipe.finetune.epochs} epochs, {recipe.input_size} px"
        sys.stdout.write(f"{name}  ({stages})\n")
        for text in (recipe.reproduces, f"Expect: {recipe.expects}"):
            sys.stdout.write(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  ") + "\n")


def train_command(options: TrainOptions) -> None:
    """Train, or with ``dry_run`` say what that would take."""
    if options.recipe is None:
        raise ConfigError("Name a recipe, such as: fer-edge train mobilenetv2 --data … --out …; --list shows them all.")
    if options.unexpected:
        raise ConfigError(
            f"Unexpected '{options.unexpected[0]}' after the recipe; only `train compare` takes run folders."
        )
    if options.data is None or (options.out is None and not options.dry_run):
        missing = "--data" if options.data is None else "--out"
        raise ConfigError(f"{missing} is missing: fer-edge train {options.recipe} --data DATA --out RUN")
    need(_PACKAGES, "train")
    need_backend()
    with interruptible(_advice(options)):
        _train(options, options.recipe, options.data)


def _advice(options: TrainOptions) -> str:
    if options.dry_run:
        return "nothing was written."
    again = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return f"finished epochs are kept. Continue with: {shlex.join(['fer-edge', *again])} --resume"


def _train(options: TrainOptions, recipe: str, data: Path) -> None:
    from fer_edge_train.config import load_recipe, override, with_settings

    config = with_settings(override(load_recipe(recipe), **options.changes), options.settings)
    from fer_edge_train.data import load_for

    with Display() as display:
        display.say(f"Reading {data} …")
        faces = load_for(
            config, data, skip_bad=options.skip_bad, ferplus=options.ferplus, say=display.say, progress=display.progress
        )
        display.say(_balance(faces.counts()))
        if config.split == "usage" and not (
            data.is_dir() or options.resume or options.dry_run
        ):  # the parts that inspect shows
            _warn_of_leaks(faces, display)
        from fer_edge_train.quiet import quiet

        with quiet():
            from fer_edge_train.planning import describe_plan, dry_run
            from fer_edge_train.provenance import versions
            from fer_edge_train.report import write_report
            from fer_edge_train.trainer import Listener, train

        for line in describe_plan(config, versions()):
            display.say(line)
        if options.dry_run:
            found = dry_run(config, faces, display.say)
            if options.json:
                sys.stdout.write(json.dumps(found) + "\n")
            return
        out = options.out
        assert out is not None  # noqa: S101 - checked by train_command
        listener = Listener(display.say, display.start, display.step)
        metrics = train(config, faces, out, listener=listener, resume=options.resume)
        report = write_report(out, faces)
        for line in _results(metrics, config):
            display.say(line)
        display.say(f"Report: {report}\nNext: fer-edge export --int8 {out} --out bundle")
        if options.json:
            sys.stdout.write(json.dumps(metrics) + "\n")


def _warn_of_leaks(faces: FaceDataset, display: Display) -> None:
    """Say how many training faces the other parts hold nearly the same of."""
    from fer_edge_train.duplicates import crossing

    found = len(crossing(faces, progress=lambda done, total: display.progress("comparing parts", done, total)))
    if found:
        display.say(
            f"{found:,} training faces are near-duplicates of PublicTest or PrivateTest faces; fer-edge data inspect shows them."
        )


def _results(metrics: dict[str, Any], config: TrainConfig) -> list[str]:
    lines = []
    for usage in ("PublicTest", "PrivateTest"):
        result = metrics[usage]
        low, high = result["interval95"]
        others = ", ".join(
            f"{name} {one['accuracy']:.2%}"
            for name, one in result.get("protocols", {}).items()
            if name != "single crop"
        )
        lines.append(
            f"{usage}: accuracy {result['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%}, n = {result['n']}), "
            f"macro-F1 {result['macro_f1']:.3f}; training graph, float32, single crop{'; ' if others else ''}{others}"
        )
    before = metrics.get("without_finetuning")
    if before:
        points = 100 * (metrics["PrivateTest"]["accuracy"] - before["PrivateTest"]["accuracy"])
        lines.append(
            f"The same {config.architecture} without fine-tuning: PrivateTest {before['PrivateTest']['accuracy']:.2%}; fine-tuning "
            f"gave {points:+.1f} points."
        )
    return lines


def _balance(counts: dict[str, dict[str, int]]) -> str:
    """A line per class: how many faces each part holds."""
    names = list(next(iter(counts.values())))
    width = max(len(name) for name in ["class", "all", *names])
    rows = [("class", *counts)]
    rows += [(name, *(f"{part[name]:,}" for part in counts.values())) for name in names]
    rows += [("all", *(f"{sum(part.values()):,}" for part in counts.values()))]
    return "\n".join(f"  {name:<{width}}" + "".join(f"{cell:>13}" for cell in cells) for name, *cells in rows)
