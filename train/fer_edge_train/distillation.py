"""What teachers think of every training face: the mean of run folders or of saved probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.config import Distill
from fer_edge_train.data import FaceDataset
from fer_edge_train.evaluation import keras_predictor, predict_protocols, read_npz
from fer_edge_train.run_folder import load_run

_SMALLEST = 1e-7


def teacher_targets(distill: Distill, data: FaceDataset) -> NDArray[np.float32]:
    """(N, classes) distributions for the training rows: the teachers' mean, softened by the temperature.

    Raises:
        DataError: a teacher is missing, has other classes, or was not run on these rows.
    """
    mean = np.mean([_probabilities(Path(teacher), data) for teacher in distill.teachers], axis=0)
    softened = np.maximum(mean, _SMALLEST) ** (1 / distill.temperature)
    return np.asarray(softened / softened.sum(axis=1, keepdims=True), np.float32)


def _probabilities(teacher: Path, data: FaceDataset) -> NDArray[np.float32]:
    return _of_run(teacher, data) if teacher.is_dir() else _saved(teacher, data)


def _of_run(path: Path, data: FaceDataset) -> NDArray[np.float32]:
    """Mean of every training face and its mirror, by a finished run."""
    run, _, record = load_run(path)
    _check_names(path, tuple(record["labels"]), data)
    if record["dataset_digest"] != data.digest():
        raise DataError(
            f"The teacher {path} was trained on other rows or another split: faces that this run is tested on may be among those it "
            f"learned. If you know that they are not, give its saved probabilities: fer-edge evaluate {path} --recipe THIS_RECIPE --data … "
            "--split Training --save-probabilities FILE.npz"
        )
    predict, (faces, _) = keras_predictor(run.best_model), data.part("Training")
    return predict_protocols(predict, faces, protocols=("flip",), progress=lambda *_: None)["flip"]


def _saved(path: Path, data: FaceDataset) -> NDArray[np.float32]:
    if not path.exists():
        raise DataError(
            f"There is no teacher at {path}. Give a finished run folder, or a file of fer-edge evaluate --save-probabilities."
        )
    try:
        saved = read_npz(path)
        probabilities, names, digest = saved["probabilities"], saved["names"].tolist(), str(saved["digest"])
    except (DataError, KeyError) as error:
        raise DataError(
            f"{path} holds no teacher probabilities ({error}). Write them with: fer-edge evaluate RUN --data … --split "
            f"Training --save-probabilities {path}"
        ) from error
    _check_names(path, tuple(names), data)
    rows = int(np.sum(data.usage == "Training"))
    if probabilities.shape != (rows, len(data.names)) or digest != data.digest():
        raise DataError(f"{path} was made from other rows than these {rows} training faces. Write it again.")
    return np.asarray(probabilities, np.float32)


def _check_names(path: Path, names: tuple[str, ...], data: FaceDataset) -> None:
    if names != data.names:
        raise DataError(
            f"The teacher {path} knows the classes {', '.join(names)}; this recipe asks for {', '.join(data.names)}."
        )
