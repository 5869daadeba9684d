"""``fer-edge tune``: search a recipe's learning rates, epochs and dropout, with a bar over the trials."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.commands.display import Display, interruptible, need, need_backend
from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge_train.config import TrainConfig

_PACKAGES = ("keras", "pyarrow", "pandas", "matplotlib", "tensorboard", "optuna")


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """The command's options, as given; ``timeout`` in minutes, 0 is none; ranges as ``LOW:HIGH`` or None."""

    recipe: str
    data: Path
    out: Path
    trials: int
    timeout: float
    rows: int
    weights: str | None
    head_lr: str | None
    lr: str | None
    epochs: str | None
    dropout: str | None
    ferplus: Path | None
    skip_bad: bool
    resume: bool
    json: bool


class _TrialsDisplay(Display):
    """A second bar: the trials, with the best accuracy so far."""

    def __init__(self, trials: int) -> None:
        super().__init__()
        self._trials = self._progress.add_task("trials", total=trials, note="")

    def trial(self, done: int, best: float | None) -> None:
        """Show how many trials have ended."""
        note = "" if best is None else f"best so far {best:.2%}"
        self._progress.update(self._trials, completed=done, note=note)


def tune_command(options: TuneOptions) -> None:
    """Search, and say what to train with what was found."""
    if options.trials < 1 or options.timeout < 0 or options.rows < 0:
        raise ConfigError("--trials must be 1 or more, --timeout and --rows 0 or more.")
    need(_PACKAGES, "train")
    need_backend()
    from fer_edge_train.config import load_recipe, override

    config = override(load_recipe(options.recipe), weights=options.weights)
    again = [argument for argument in sys.argv[1:] if argument != "--resume"]
    advice = f"ended trials are kept. Continue with: {shlex.join(['fer-edge', *again])} --resume"
    display = _TrialsDisplay(options.trials)
    with interruptible(advice), display:
        found = _tune(options, config, display)
        _say_best(options, found, display, advice)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")


def _tune(options: TuneOptions, config: TrainConfig, display: _TrialsDisplay) -> dict[str, Any]:
    from fer_edge_train.data import load_for
    from fer_edge_train.quiet import quiet

    display.say(f"Reading {options.data} …")
    data = load_for(
        config,
        options.data,
        skip_bad=options.skip_bad,
        ferplus=options.ferplus,
        say=display.say,
        progress=display.progress,
    )
    with quiet():
        from fer_edge_train.tuning import Search, SearchListener, search, search_space, some_rows
        from fer_edge_train.tuning_page import write_search
    space = search_space(config, head_lr=options.head_lr, lr=options.lr, epochs=options.epochs, dropout=options.dropout)
    data = some_rows(data, options.rows, config.seed)
    ranges = ", ".join(f"{key} {low:g} to {high:g}" for key, (low, high) in space.items())
    display.say(f"{sum(data.usage == 'Training'):,} training rows; searched: {ranges}.")
    plan = Search(
        Path(options.recipe).stem, config, space, trials=options.trials, seconds=60 * options.timeout, rows=options.rows
    )
    listener = SearchListener(display.say, display.trial, display.start, display.step)
    return search(
        plan, data, options.out, listener=listener, resume=options.resume,
        ended=lambda found: write_search(plan, found, options.out),
    )  # fmt: skip


def _say_best(options: TuneOptions, found: dict[str, Any], display: Display, advice: str) -> None:
    best = found["best"]
    if best is None:
        display.say(f"No trial became whole, so there is no best recipe yet; {advice}")
        return
    values = ", ".join(f"{key} {value:.4g}" for key, value in best["values"].items())
    display.say(
        f"Best of {len(found['trials'])} trials: {best['accuracy']:.2%} on PublicTest with {values}.\n"
        f"Page: {options.out / 'tuning.html'}\n"
        f"Next: fer-edge train {options.out / 'best.toml'} --data {options.data} --out RUN"
    )
