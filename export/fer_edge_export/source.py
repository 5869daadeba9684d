"""What is exported: a finished run, the data it was trained on, and the preprocessing its training graph holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge_export.config import ExportConfig
from fer_edge_export.errors import ExportError
from fer_edge_runtime.errors import DataError
from fer_edge_runtime.manifest import Preprocess
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FACE_SIZE, FaceDataset, load_for
from fer_edge_train.run_folder import load_run, read_json

_MAX_GAP = 0.01  # two preprocessings that differ by less are the same one with other rounding


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported.

    Attributes:
        model_file: the run's best training graph.
        recipe: it was trained with.
        record: the whole of the run's ``config.json``.
        metrics: the whole of its ``metrics.json``.
        data: the data set, its digest proven to be the run's.
    """

    model_file: Path
    recipe: TrainConfig
    record: dict[str, Any]
    metrics: dict[str, Any]
    data: FaceDataset


def open_source(config: ExportConfig, say: Callable[[str], None], progress: Callable[[str, int, int], None]) -> Source:
    """The run and its data set as its recipe asks for it, both checked.

    Raises:
        DataError: the run is not finished, or the data set is missing or not the one it was trained on.
    """
    run, recipe, record = load_run(config.run)
    path = config.data or Path(record["dataset"])
    if not path.exists():
        raise DataError(
            f"The data set of this run is not at {path}. Say where it is with --data; calibration and evaluation need it."
        )
    say(f"Reading {path}.")
    # Broken rows are no reason to refuse: the digest says whether the others are what the run learned from.
    data = load_for(recipe, path, skip_bad=True, ferplus=config.ferplus, say=say, progress=progress)
    digest = data.digest()
    if digest != record["dataset_digest"]:
        raise DataError(
            f"{path} is not the data set that {config.run} was trained on: its digest is {digest[:12]}…, the run's is "
            f"{str(record['dataset_digest'])[:12]}…. Give the right one with --data."
        )
    return Source(run.best_model, recipe, record, read_json(run.metrics_file), data)


def base_spec(input_size: int) -> Preprocess:
    """The preprocessing that the training graph holds, as the device executes it; framing is added once it is measured.

    One channel: `take_grey` does what the training graph's repetition to three did.
    """
    return Preprocess("grey", FACE_SIZE, input_size, 1, "linear", "eyes", 127.5, 127.5, {})


def check_preprocessing(source: Source, split: str, result: dict[str, Any]) -> dict[str, Any]:
    """The float artefact behind the device's preprocessing must score what the training graph scored.

    Args:
        source: the run.
        split: the usage that was measured.
        result: of `fer_edge_train.metrics.evaluate` for the float artefact.

    Returns:
        Both accuracies, for the report.

    Raises:
        ExportError: they differ by more than a point.
    """
    trained, found = source.metrics[split]["accuracy"], result["accuracy"]
    if not abs(trained - found) <= _MAX_GAP + 2 / result["n"]:
        raise ExportError(
            f"The float32 model scores {found:.2%} on {split} when the runtime prepares the faces, the training graph {trained:.2%}: the "
            "two do not prepare faces alike. The run was probably trained with another version of fer-edge."
        )
    return {"split": split, "accuracy": trained, "runtime_float_accuracy": found}
