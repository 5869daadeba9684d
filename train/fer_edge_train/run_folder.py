"""The folder a training run leaves: written piece by piece, each piece whole, so that any interruption can be resumed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_train.config import TrainConfig

_LEFTOVER = re.compile(r"\..+\.tmp\d+\.[a-z]+")  # how `write_whole` names what it has not finished
_BEFORE_THE_FIRST_COMMIT = {"config.json", "best-1.keras", "last-1.keras"}
WORDS = ("name", "reproduces", "expects")  # of a recipe: they say what it is and change nothing


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved after every epoch.

    Attributes:
        stage: ``head``, ``finetune`` or ``done``.
        epoch: epochs of that stage that are finished.
        best_score: best of what the recipe monitors so far, over both stages; larger is better.
        best_epoch: the epoch that reached it, such as ``finetune 3``.
        stale_epochs: epochs of this stage since the best one.
        history: one record an epoch.
        last_model: file of the model as it was after the last of them; naming it here makes the two one commit.
        candidate: file of the best model until it is renamed to ``model.keras``, right after that commit.
    """

    stage: str = "head"
    epoch: int = 0
    best_score: float | None = None
    best_epoch: str = ""
    stale_epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    last_model: str = "last.keras"
    candidate: str = ""


class RunFolder:
    """Paths and whole-file writes of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best_model = path / "model.keras"
        self.head_model = path / "head.keras"
        self.config_file = path / "config.json"
        self.progress_file = path / "progress.json"
        self.metrics_file = path / "metrics.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it against a second process; the system lets go when this one ends, however it ends.

        Raises:
            ConfigError: another process trains there.
            OutputError: the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise OutputError(f"The run folder {self.path} cannot be made: {error.strerror}.") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(folder)
            raise ConfigError(
                f"Another process is training in {self.path}. Wait for it, or name another --out."
            ) from error
        try:
            yield
        finally:
            os.close(folder)

    def start(self, config: TrainConfig, digest: str, *, resume: bool) -> Progress:
        """Say where the run in the folder stands.

        Args:
            config: the recipe.
            digest: of the data set.
            resume: continue a run that is there.

        A run without a finished epoch, stopped by a full disk or a rate too high, is started anew by any recipe.

        Raises:
            ConfigError: the folder holds a run and ``resume`` is off, or it was made by another recipe or data set.
            DataError: the run's own files are damaged.
        """
        leftovers = [entry for entry in self.path.iterdir() if _LEFTOVER.fullmatch(entry.name)]
        present = {entry.name for entry in self.path.iterdir()} - {entry.name for entry in leftovers}
        if present and self.config_file.name not in present:
            raise ConfigError(f"{self.path} is not empty and holds no training run. Name another --out.")
        for leftover in leftovers:  # of a process that was killed while it wrote
            leftover.unlink(missing_ok=True)
        if present <= _BEFORE_THE_FIRST_COMMIT:
            for unfinished in present:
                (self.path / unfinished).unlink()
            return Progress()
        if not resume:
            raise ConfigError(
                f"{self.path} already holds a training run. Continue it with --resume, or name another --out."
            )
        self._check_same(config, digest)
        return self._read_progress()

    def _check_same(self, config: TrainConfig, digest: str) -> None:
        before = read_json(self.config_file)
        recipe = TrainConfig.from_dict(before.get("config", {}), where=str(self.config_file))
        old, new = _flat(recipe.to_dict()), _flat(config.to_dict())
        keys = [key for key in {**old, **new} if key not in WORDS and old.get(key) != new.get(key)]
        changed = [f"{key} = {old.get(key)!r}, now {new.get(key)!r}" for key in keys]
        if changed:
            raise ConfigError(
                f"{self.path} was started with another recipe ({'; '.join(changed)}); --resume needs the same one. "
                "Name another --out."
            )
        if before.get("dataset_digest") != digest:
            raise ConfigError(
                f"{self.path} was started with other data ({before.get('dataset')}); --resume needs the same rows. "
                "Name another --out."
            )

    def _read_progress(self) -> Progress:
        if not self.progress_file.exists():
            return Progress()
        try:
            progress = Progress(**read_json(self.progress_file))
        except TypeError as error:
            raise DataError(f"{self.progress_file} is not what fer-edge train wrote: {error}.") from error
        self._keep_best(progress)  # in case the process ended right after its last commit
        for model in [*self.path.glob("last-*.keras"), *self.path.glob("best-*.keras")]:
            if model.name != progress.last_model:  # of an epoch that was not finished
                model.unlink()
        return progress

    def save_model(self, model: Any, path: Path) -> None:
        """Write a Keras model, whole or not at all."""
        write_whole(path, lambda temporary: model.save(temporary))

    def save_candidate(self, model: Any, progress: Progress) -> None:
        """Save the best model so far; it becomes ``model.keras`` when the epoch is committed."""
        progress.candidate = f"best-{len(progress.history)}.keras"
        self.save_model(model, self.path / progress.candidate)

    def commit(self, model: Any, progress: Progress) -> None:
        """Save an epoch's model and then where the run stands; a crash at any point leaves the epoch done or not done."""
        previous = self.path / progress.last_model
        progress.last_model = f"last-{len(progress.history)}.keras"
        self.save_model(model, self.path / progress.last_model)
        self.save_progress(progress)
        self._keep_best(progress)
        previous.unlink(missing_ok=True)

    def _keep_best(self, progress: Progress) -> None:
        candidate = self.path / progress.candidate
        if progress.candidate and candidate.exists():
            candidate.replace(self.best_model)

    def keep_head(self) -> None:
        """Keep the best model of stage 1: the network without fine-tuning."""
        write_whole(self.head_model, lambda temporary: shutil.copyfile(self.best_model, temporary))

    def save_progress(self, progress: Progress) -> None:
        """Write where the run stands."""
        write_json(self.progress_file, asdict(progress))


def load_run(path: Path) -> tuple[RunFolder, TrainConfig, dict[str, Any]]:
    """A finished run: its folder, recipe and the whole of ``config.json``.

    Raises:
        DataError: the path is no run folder, or its training has not finished.
    """
    run = RunFolder(path)
    if not run.config_file.is_file():
        raise DataError(
            f"{path} is not a run folder: config.json is missing. Make one with: fer-edge train … --out {path}"
        )
    record = read_json(run.config_file)
    if not run.metrics_file.is_file() or not run.best_model.is_file():
        raise DataError(f"The run in {path} has not finished. Continue it with: fer-edge train … --out {path} --resume")
    return run, TrainConfig.from_dict(record["config"], where=str(run.config_file)), record


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds {type(value).__name__}, expected a JSON object.")
    return value


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(json.dumps(value, indent=1) + "\n"))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it into place."""
    temporary = path.with_name(f".{path.stem}.tmp{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free // 2**20 if path.parent.exists() else 0
        raise OutputError(f"{path} cannot be written: {error.strerror or error} ({free} MiB free).") from error
    finally:
        temporary.unlink(missing_ok=True)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
