"""Search learning rates, epochs and dropout of a recipe: Optuna proposes, ordinary runs answer, PublicTest decides.

PrivateTest is never looked at. A trial that was interrupted, however, is continued by the next search in the folder, from its
last whole epoch.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_runtime.shipped import shipped_folder
from fer_edge_train.config import TrainConfig, override
from fer_edge_train.data import FaceDataset
from fer_edge_train.run_folder import RunFolder
from fer_edge_train.summary import read_history
from fer_edge_train.trainer import Listener, train

DATABASE = "search.db"
_IDENTITY = "search"  # the study's attribute that says what is searched
_CONTINUES = "continues"  # the trial's attribute that names the interrupted trial
_RANDOM_TRIALS = 5  # before the sampler learns from them, and before any trial is stopped early
_ENDED = {TrialState.COMPLETE: "whole", TrialState.PRUNED: "stopped early"}


def _nothing(*_: Any) -> None:
    """Say and show nothing."""


class Range(NamedTuple):
    """Bounds of an option, both included; equal ones fix it."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched.

    Attributes:
        name: of the recipe, for people.
        config: the recipe; its own values are the first trial if they are within the ranges.
        space: dotted key of the recipe -> range, from `search_space`.
        trials: stop when so many have ended, earlier searches in the folder counted.
        seconds: stop at the first epoch that ends later; 0 is no limit.
        rows: learn from so many training rows of all (for people; the data set is cut by `some_rows`), 0 is all.
    """

    name: str
    config: TrainConfig
    space: Mapping[str, Range]
    trials: int
    seconds: float = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class SearchListener:
    """What the command line shows.

    Attributes:
        say: a sentence.
        trial: trials that ended, and the best accuracy so far or None.
        start, step: as of `fer_edge_train.trainer.Listener`.
    """

    say: Callable[[str], None] = _nothing
    trial: Callable[[int, float | None], None] = _nothing
    start: Callable[[str, int], None] = _nothing
    step: Callable[[float, float], None] = _nothing


class _TimeIsUpError(Exception):
    """The search has used its time; the trial it was in waits to be continued."""


# What is searched


def search_space(
    config: TrainConfig, *, head_lr: str | None = None, lr: str | None = None, epochs: str | None = None, dropout: str | None = None
) -> dict[str, Range]:  # fmt: skip
    """The ranges to search: those given as ``LOW:HIGH`` (or one value, which fixes it), the others around the recipe's values.

    Learning rates go from a tenth to ten times the recipe's, epochs from half to twice, dropout 0.3 either way. ``epochs``
    are the fine-tune stage's, or the head's where the recipe has no fine-tune stage.

    Raises:
        ConfigError: a range is none, or of a stage that the recipe leaves out.
    """
    space = {}
    for option, given, name in (("--head-lr", head_lr, "head"), ("--lr", lr, "finetune")):
        stage = getattr(config, name)
        if stage.epochs:
            around = Range(stage.learning_rate / 10, min(10.0, stage.learning_rate * 10))
            space[f"{name}.learning_rate"] = _range(option, given) or around
        elif given is not None:
            raise ConfigError(f"{option} {given} has nothing to search: this recipe has no {name} stage (0 epochs).")
    name, length = ("finetune", config.finetune.epochs) if config.finetune.epochs else ("head", config.head.epochs)
    space[f"{name}.epochs"] = _range("--epochs", epochs, whole=True) or Range(max(1, length // 2), 2 * length)
    around = Range(round(max(0.0, config.dropout - 0.3), 4), round(min(0.9, config.dropout + 0.3), 4))
    space["dropout"] = _range("--dropout", dropout) or around
    for bound in ("low", "high"):  # the recipe's own checks refuse what no run could use
        _applied(config, {key: getattr(limits, bound) for key, limits in space.items()})
    return space


def _range(option: str, text: str | None, *, whole: bool = False) -> Range | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        bounds = Range(float(low), float(high if colon else low))
    except ValueError:
        bounds = Range(math.nan, math.nan)
    if not (math.isfinite(bounds.low) and math.isfinite(bounds.high) and bounds.low <= bounds.high):
        raise ConfigError(f"{option} needs LOW:HIGH, such as {'4:12' if whole else '1e-4:1e-2'}; received '{text}'.")
    if whole and not (bounds.low >= 1 and bounds.low.is_integer() and bounds.high.is_integer()):
        raise ConfigError(f"{option} needs whole numbers of 1 or more; received '{text}'.")
    return bounds


def _applied(config: TrainConfig, values: Mapping[str, float]) -> TrainConfig:
    changes = {key.replace(".", "_"): int(value) if _whole(key) else value for key, value in values.items()}
    return override(config, **changes)


def _whole(key: str) -> bool:
    return key.endswith("epochs")


def _logarithmic(key: str) -> bool:
    return key.endswith("learning_rate")


def recipe_value(config: TrainConfig, key: str) -> float:
    """The recipe's own value of a dotted key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return float(value) if not _whole(key) else int(value)


def some_rows(data: FaceDataset, rows: int, seed: int) -> FaceDataset:
    """The data set with about so many of its training rows, seeded, every class by its share; the other parts stay whole.

    Args:
        data: the whole.
        rows: training rows to keep; 0 or more than there are keeps all.
        seed: of the choice.

    Raises:
        ConfigError: fewer rows than classes.
    """
    training = np.flatnonzero(data.usage == "Training")
    if rows == 0 or rows >= len(training):
        return data
    if rows < len(data.names):
        raise ConfigError(
            f"--rows {rows} is too few for {len(data.names)} classes; give a multiple of that, or 0 for all rows."
        )
    generator = np.random.default_rng(seed)
    kept = data.usage != "Training"
    for label in range(len(data.names)):
        of_class = training[data.labels[training] == label]
        share = max(1, round(rows * len(of_class) / len(training)))
        kept[generator.permutation(of_class)[:share]] = True
    targets = None if data.targets is None else data.targets[kept]
    return replace(data, images=data.images[kept], labels=data.labels[kept], usage=data.usage[kept], targets=targets)


# Searching


def search(
    plan: Search, data: FaceDataset, out: Path, *, listener: SearchListener, resume: bool = False,
    ended: Callable[[dict[str, Any]], None] = _nothing,
) -> dict[str, Any]:  # fmt: skip
    """Search until so many trials have ended or the time is up.

    Args:
        plan: what is searched.
        data: the data set; PrivateTest is not looked at.
        out: folder of the search: its database and a folder a trial.
        listener: shows how far it is.
        resume: continue the search that is in the folder.
        ended: receives what this function returns, after every trial.

    Returns:
        ``recipe``, ``space``, ``rows``, ``best`` (None until a trial is whole) and ``trials``, oldest first: ``number``,
        ``state`` (``whole``, ``stopped early`` or ``diverged``), ``accuracy`` (best on PublicTest), ``best_epoch``,
        ``values``, ``seconds`` and ``curve`` (PublicTest accuracy of its epochs).

    Raises:
        ConfigError: the folder holds something else, or a search that ``resume`` does not name or that was another one.
        DataError, OutputError: as of `train`.
    """
    with RunFolder(out).locked(), _study(plan, data, out, resume=resume) as study:
        _clean_up(study, out)
        deadline = time.monotonic() + plan.seconds if plan.seconds else math.inf
        runner = _Runner(plan, data, out, study, listener, deadline)
        found = results(plan, study)
        listener.trial(len(found["trials"]), _accuracy(found))
        try:
            while len(found["trials"]) < plan.trials:
                runner.run(study.ask())
                found = results(plan, study)
                listener.trial(len(found["trials"]), _accuracy(found))
                ended(found)
                if time.monotonic() > deadline:
                    break
        except _TimeIsUpError:
            listener.say("The time is up; the trial that was not finished is continued with --resume.")
        return found


def best_config(plan: Search, found: Mapping[str, Any]) -> TrainConfig:
    """The recipe with the best values; ``found`` is what `search` returned, its ``best`` not None."""
    best = found["best"]
    config = _applied(plan.config, best["values"])
    part = f", {plan.rows:,} training rows" if plan.rows else ""
    words = f"{best['accuracy']:.2%} on PublicTest, which chose it (trial {best['number']}; {len(found['trials'])} trials{part})"
    by_name = config.weights in ("none", "imagenet") or shipped_folder(config.weights) is not None
    weights = config.weights if by_name else str(Path(config.weights).resolve())
    teachers = tuple(str(Path(teacher).resolve()) for teacher in config.distill.teachers)
    return replace(config, expects=words, weights=weights, distill=replace(config.distill, teachers=teachers))


@dataclass(slots=True)
class _Runner:
    """Runs one trial after the other."""

    plan: Search
    data: FaceDataset
    out: Path
    study: optuna.Study
    listener: SearchListener
    deadline: float
    started: bool = field(default=False, init=False)

    def run(self, trial: optuna.Trial) -> None:
        """Train one trial and tell the study how it went; an interruption leaves it to be continued."""
        config = _applied(self.plan.config, _suggested(trial, self.plan.space))
        folder = _folder(self.out, trial.number)
        self._take_over(trial, folder)
        for step, row in enumerate(read_history(folder), 1):
            trial.report(row["public_accuracy"], step)
        self.started = False
        listener = Listener(start=self._starter(trial), step=self.listener.step, epoch=self._watcher(trial, folder))
        state, reason = TrialState.COMPLETE, ""
        try:
            train(config, self.data, folder, listener=listener, resume=True, finish=False)
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except ConfigError as error:
            if not self.started:  # not this trial's fault: every other would fail as well
                raise
            state, reason = TrialState.PRUNED, str(error)
        history = read_history(folder)
        self._keep(trial, history, reason)
        accuracies = [row["public_accuracy"] for row in history]
        self.study.tell(trial, max(accuracies) if state == TrialState.COMPLETE else None, state=state)
        _tidy(folder)
        keras.utils.clear_session()
        gc.collect()
        self._report(trial.number)

    def _take_over(self, trial: optuna.Trial, folder: Path) -> None:
        if _CONTINUES not in trial.user_attrs:
            return
        earlier = _folder(self.out, trial.user_attrs[_CONTINUES])
        if (earlier / "progress.json").is_file():
            earlier.rename(folder)
            self.listener.say(f"Continuing trial {trial.user_attrs[_CONTINUES]} as trial {trial.number}.")

    def _starter(self, trial: optuna.Trial) -> Callable[[str, int], None]:
        def start(title: str, steps: int) -> None:
            self.started = True
            self.listener.start(f"trial {trial.number}, {title}", steps)

        return start

    def _watcher(self, trial: optuna.Trial, folder: Path) -> Callable[[dict[str, Any]], None]:
        def epoch(row: dict[str, Any]) -> None:
            trial.report(row["public_accuracy"], len(read_history(folder)))
            if trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > self.deadline:
                raise _TimeIsUpError

        return epoch

    def _keep(self, trial: optuna.Trial, history: list[dict[str, Any]], reason: str) -> None:
        trial.set_user_attr("curve", [row["public_accuracy"] for row in history])
        trial.set_user_attr("seconds", round(sum(row["seconds"] for row in history), 1))
        best = max(history, key=lambda row: row["public_accuracy"], default=None)
        trial.set_user_attr("best_epoch", f"{best['stage']} {best['epoch']}" if best else "")
        if reason:
            trial.set_user_attr("diverged", reason)

    def _report(self, number: int) -> None:
        record = _record(self.study.trials[number])
        values = ", ".join(f"{key} {value:.3g}" for key, value in record["values"].items())
        accuracy = "" if record["accuracy"] is None else f"{record['accuracy']:.2%}, "
        state = "" if record["state"] == "whole" else f"{record['state']}, "
        self.listener.say(f"trial {number}: {accuracy}{state}{record['seconds']:.0f} s; {values}")


def _suggested(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, float]:
    return {
        key: trial.suggest_int(key, int(low), int(high)) if _whole(key) else trial.suggest_float(key, low, high, log=_logarithmic(key))
        for key, (low, high) in space.items()
    }  # fmt: skip


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:04}"


# The study


@contextmanager
def _study(plan: Search, data: FaceDataset, out: Path, *, resume: bool) -> Iterator[optuna.Study]:
    """The search of a folder, new or continued."""
    database = out / DATABASE
    present = sorted(entry.name for entry in out.iterdir())
    if present and database.name not in present:
        raise ConfigError(f"{out} is not empty and holds no search. Name another --out.")
    if present and not resume:
        raise ConfigError(f"{out} already holds a search. Continue it with --resume, or name another --out.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    url = URL.create("sqlite", database=str(database.resolve())).render_as_string()
    try:
        storage = optuna.storages.RDBStorage(url)
    except SQLAlchemyError as error:
        raise DataError(f"{database} cannot be opened as the search's database: {error.__cause__ or error}") from error
    try:
        study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
        _check_same(study, plan, data, out)
        # Seeded anew by every continuation: the same seed again would propose the first trials again.
        seed = plan.config.seed + len(study.trials)
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS, multivariate=True)
        # Two epochs of the fine-tune stage are seen before a trial is stopped.
        study.pruner = optuna.pruners.MedianPruner(_RANDOM_TRIALS, n_warmup_steps=plan.config.head.epochs + 2)
        yield study
    except optuna.exceptions.StorageInternalError as error:
        raise OutputError(f"The search's database {database} cannot be written: {error.__cause__ or error}") from error
    finally:
        storage.remove_session()
        storage.engine.dispose()
        if not any(
            out.glob("trial-*/progress.json")
        ):  # nothing that a second try, with better options, should trip over
            database.unlink(missing_ok=True)
            for folder in out.glob("trial-*"):
                shutil.rmtree(folder, ignore_errors=True)


def _check_same(study: optuna.Study, plan: Search, data: FaceDataset, out: Path) -> None:
    """Refuse to continue another search; a new one begins with the recipe's own values."""
    space = {key: list(limits) for key, limits in plan.space.items()}
    identity = {"recipe": plan.config.to_dict(), "ranges": space, "data (or --rows)": data.digest()}
    identity = json.loads(json.dumps(identity))
    before = study.user_attrs.get(_IDENTITY)
    if before is None:
        study.set_user_attr(_IDENTITY, identity)
        own = {key: recipe_value(plan.config, key) for key in plan.space}
        if all(low <= own[key] <= high for key, (low, high) in plan.space.items()):
            study.enqueue_trial(own)
    elif changed := [key for key in identity if identity[key] != before.get(key)]:
        raise ConfigError(
            f"{out} holds another search: other {', '.join(changed)}. Name another --out, or give what it was begun with."
        )


def _clean_up(study: optuna.Study, out: Path) -> None:
    """After a kill: remove what ended trials left, and line up the trial that was running."""
    waiting = {trial.user_attrs.get(_CONTINUES) for trial in study.get_trials(states=(TrialState.WAITING,))}
    for trial in study.trials:
        if trial.state.is_finished() and trial.number not in waiting:
            _tidy(_folder(out, trial.number))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={_CONTINUES: trial.number})


def _tidy(folder: Path) -> None:
    """Keep what a trial was and how it went; its weights are large and of no further use."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name not in ("config.json", "history.csv", "progress.json"):
            entry.unlink(missing_ok=True)


# Results


def results(plan: Search, study: optuna.Study) -> dict[str, Any]:
    """The study in plain numbers; see `search`."""
    trials = [_record(trial) for trial in study.trials if trial.state in _ENDED]
    whole = [trial for trial in trials if trial["state"] == "whole"]
    return {
        "schema": 1, "recipe": plan.name, "space": {key: list(limits) for key, limits in plan.space.items()}, "rows": plan.rows,
        "best": max(whole, key=lambda trial: trial["accuracy"], default=None), "trials": trials,
    }  # fmt: skip


def _record(trial: FrozenTrial) -> dict[str, Any]:
    kept = trial.user_attrs
    return {
        "number": trial.number,
        "state": "diverged" if "diverged" in kept else _ENDED[trial.state],
        "accuracy": max(kept["curve"], default=None),
        "best_epoch": kept["best_epoch"],
        "values": trial.params,
        "seconds": kept["seconds"],
        "curve": kept["curve"],
    }


def _accuracy(found: Mapping[str, Any]) -> float | None:
    return found["best"]["accuracy"] if found["best"] else None
