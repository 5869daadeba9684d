"""The folder a training run leaves: written piece by piece, each piece whole, so that any interruption can be resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_train.config import TrainConfig


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved after every epoch.

    Attributes:
        stage: ``head``, ``finetune`` or ``done``.
        epoch: epochs of that stage that are finished.
        best_accuracy: best validation accuracy so far, over both stages.
        stale_epochs: fine-tuning epochs since the best one.
        history: one record an epoch.
    """

    stage: str = "head"
    epoch: int = 0
    best_accuracy: float = -1.0
    best_epoch: str = ""
    stale_epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class RunFolder:
    """Paths and whole-file writes of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_model = path / "last.keras"
        self.best_model = path / "model.keras"
        self.config_file = path / "config.json"
        self.progress_file = path / "progress.json"
        self.metrics_file = path / "metrics.json"

    def start(self, config: TrainConfig, facts: dict[str, Any], *, resume: bool) -> Progress:
        """Make the folder, or continue the run in it.

        Raises:
            ConfigError: the folder holds a run and ``resume`` is off, or it was made by another recipe or data set.
        """
        record = {"config": config.to_dict(), **facts}
        if self.config_file.exists():
            if not resume:
                raise ConfigError(
                    f"{self.path} already holds a training run. Continue it with --resume, or name another --out."
                )
            before = read_json(self.config_file)
            for key in ("config", "dataset_digest"):
                if before.get(key) != record[key]:
                    raise ConfigError(
                        f"{self.path} was started with another {key}; --resume needs the same one. Name another --out."
                    )
            return self._read_progress()
        if self.path.exists() and any(self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty and holds no training run. Name another --out.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The run folder {self.path} cannot be made: {error.strerror}.") from error
        write_json(self.config_file, record)
        return Progress()

    def _read_progress(self) -> Progress:
        if not self.progress_file.exists():
            return Progress()
        return Progress(**read_json(self.progress_file))

    def save_progress(self, progress: Progress) -> None:
        """Write where the run stands."""
        write_json(self.progress_file, asdict(progress))

    def save_model(self, model: Any, target: Path) -> None:
        """Save a Keras model under a temporary name, then rename: a reader never sees half a file."""
        write_whole(target, lambda temporary: model.save(temporary))


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
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free // 2**20 if path.parent.exists() else 0
        raise OutputError(f"{path} cannot be written: {error.strerror or error} ({free} MiB free).") from error
    finally:
        temporary.unlink(missing_ok=True)
