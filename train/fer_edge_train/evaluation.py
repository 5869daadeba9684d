"""Evaluate a classifier on labelled faces under three protocols, and a finished run on its selection and test parts.

Every view of a face is made on its `uint8` pixels, so that a Keras run and a bundle on a device see the same ones.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FACE_SIZE, FaceDataset
from fer_edge_train.metrics import accuracy_figures, evaluate, log_loss
from fer_edge_train.run_folder import Progress, RunFolder, write_json, write_whole

if TYPE_CHECKING:
    from fer_edge_train.trainer import Listener

Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, classes) float32 probabilities."""

Shown = Callable[[str, NDArray[np.float32], int], None]
"""Called with the protocol, the probabilities found so far (an empty array first) and the number of faces in all."""

SINGLE = "single crop"
FINAL = {"PublicTest": (SINGLE, "flip"), "PrivateTest": (SINGLE, "flip", "TenCrop")}  # ten crops cost a CPU minutes
CROP = 44
BATCH = 256
PREDICTIONS = "predictions.npz"


def single_view(faces: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The faces as they are."""
    return [faces]


def flip_views(faces: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The faces and their mirror images."""
    return [faces, np.ascontiguousarray(faces[:, :, ::-1])]


def ten_crops(faces: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Corners and centre, 44×44, enlarged to 48×48 again, and the mirror images of all five (Tang 2013, arXiv 1306.0239).

    Args:
        faces: (N, 48, 48) uint8.

    Returns:
        Ten arrays like ``faces``.
    """
    last = FACE_SIZE - CROP
    corners = ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2))
    views = [_enlarged(faces[:, top : top + CROP, left : left + CROP]) for top, left in corners]
    return [mirrored for view in views for mirrored in flip_views(view)]


def _enlarged(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (FACE_SIZE, FACE_SIZE)
    enlarged = np.empty((len(crops), *size), np.uint8)
    for index, crop in enumerate(crops):
        enlarged[index] = cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR)
    return enlarged


PROTOCOLS: dict[str, Callable[[NDArray[np.uint8]], list[NDArray[np.uint8]]]] = {
    SINGLE: single_view,
    "flip": flip_views,
    "TenCrop": ten_crops,
}


def predict_protocols(
    predict: Predictor, faces: NDArray[np.uint8], *, protocols: tuple[str, ...] = tuple(PROTOCOLS), progress: Shown
) -> dict[str, NDArray[np.float32]]:
    """(N, classes) probabilities of every protocol: the mean over its views.

    Args:
        predict: the classifier.
        faces: (N, 48, 48) uint8, N at least 1.
        protocols: keys of `PROTOCOLS`.
        progress: told before the first batch and after each.

    Raises:
        DataError: the classifier gives something that is no number.
    """
    batch = -(-len(faces) // batches(len(faces)))
    results = {}
    for protocol in protocols:
        found: NDArray[np.float32] = np.empty((0, 0), np.float32)
        progress(protocol, found, len(faces))
        for start in range(0, len(faces), batch):
            # Filled up, so that a backend that compiles a program for every shape compiles one.
            filled = np.resize(faces[start : start + batch], (batch, *faces.shape[1:]))
            mean: NDArray[np.float32] = np.mean([predict(view) for view in PROTOCOLS[protocol](filled)], 0, np.float32)
            found = np.concatenate([found, mean]) if start else mean
            progress(protocol, found[: len(faces)], len(faces))
        results[protocol] = found[: len(faces)]
        if not np.isfinite(results[protocol]).all():
            raise DataError("The model answers some faces with NaN or infinity: its weights are damaged.")
    return results


def batches(n: int) -> int:
    """How many batches so many faces make."""
    return -(-n // BATCH)


def score_protocols(
    labels: NDArray[np.int64], probabilities: Mapping[str, NDArray[np.float32]], names: tuple[str, ...]
) -> dict[str, Any]:
    """What `fer_edge_train.metrics.evaluate` says of the first protocol, and under ``protocols`` the accuracy of each."""
    first = next(iter(probabilities.values()))
    protocols = {protocol: accuracy_figures(labels, found) for protocol, found in probabilities.items()}
    return {**evaluate(labels, first, names), "protocols": protocols}


def evaluate_protocols(
    predict: Predictor, faces: NDArray[np.uint8], labels: NDArray[np.int64], names: tuple[str, ...], *, progress: Shown,
) -> dict[str, Any]:  # fmt: skip
    """Single crop in full, flip and TenCrop as accuracy with interval under ``protocols``.

    Args:
        predict: the classifier.
        faces: (N, 48, 48) uint8.
        labels: (N,) true classes.
        names: class names in order.
        progress: told before the first batch and after each.
    """
    return score_protocols(labels, predict_protocols(predict, faces, progress=progress), names)


def finish_run(
    run: RunFolder, config: TrainConfig, data: FaceDataset, progress: Progress, *, listener: Listener
) -> dict[str, Any]:
    """Evaluate a run whose training is over; writes ``predictions.npz``, then ``metrics.json``, and returns the latter.

    PrivateTest is looked at here alone, once every choice is made. ``head.keras``, where it exists, is the model without
    fine-tuning.

    Args:
        run: its folder, ``model.keras`` in it.
        config: the recipe.
        data: the data set it was trained on.
        progress: where the run stands: all epochs done.
        listener: shows how far it is.

    Raises:
        DataError: a model of the run cannot be read.
        OutputError: a file cannot be written.
    """
    metrics: dict[str, Any] = {
        "artefact": "training graph, float32", "protocol": SINGLE, "best_epoch": progress.best_epoch, "history": progress.history,
    }  # fmt: skip
    predictions = {}
    predict = keras_predictor(run.best_model)
    for usage in ("PublicTest", "PrivateTest"):
        faces, labels = data.part(usage)
        found = predict_protocols(predict, faces, protocols=FINAL[usage], progress=_bar(listener, usage, labels))
        metrics[usage] = score_protocols(labels, found, data.names)
        predictions[usage] = found[SINGLE]
    if run.head_model.is_file():
        metrics["without_finetuning"] = {
            "best_epoch": _best_epoch(progress.history, "head", config.monitor),
            **_single_crop(run.head_model, data, listener),
        }
    save_npz(run.path / PREDICTIONS, predictions)
    write_json(run.metrics_file, metrics)
    return metrics


def _single_crop(model: Path, data: FaceDataset, listener: Listener) -> dict[str, Any]:
    predict = keras_predictor(model)
    results = {}
    for usage in ("PublicTest", "PrivateTest"):
        faces, labels = data.part(usage)
        shown = _bar(listener, f"{usage} without fine-tuning", labels)
        found = predict_protocols(predict, faces, protocols=(SINGLE,), progress=shown)
        results[usage] = score_protocols(labels, found, data.names)
    return results


def _bar(listener: Listener, part: str, labels: NDArray[np.int64]) -> Shown:
    """Shows an evaluation as an epoch is shown: a step a batch, with loss and accuracy so far."""

    def show(protocol: str, found: NDArray[np.float32], total: int) -> None:
        if not len(found):
            listener.start(f"{part}, {protocol}", batches(total))
            return
        seen = labels[: len(found)]
        listener.step(log_loss(seen, found), accuracy_figures(seen, found)["accuracy"])

    return show


def _best_epoch(history: list[dict[str, Any]], stage: str, monitor: str) -> str:
    """The epoch of a stage that validation liked best; the first of equals."""
    rows = [row for row in history if row["stage"] == stage]
    key = (lambda row: row["public_loss"]) if monitor == "loss" else (lambda row: -row["public_accuracy"])
    return f"{stage} {min(rows, key=key)['epoch']}" if rows else ""


def keras_predictor(path: Path) -> Predictor:
    """A saved training graph, (N, 48, 48, 1) uint8 in, on whatever backend Keras has.

    Raises:
        DataError: the file is no Keras model.
    """
    import keras

    from fer_edge_train.devices import compiled_whole

    try:
        graph = compiled_whole(keras.models.load_model(path, compile=False))
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a Keras model: {error}") from error

    def predict(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(graph.predict(faces[..., None], batch_size=len(faces), verbose=0), np.float32)

    return predict


def match_labels(data: FaceDataset, names: tuple[str, ...], *, model: str) -> FaceDataset:
    """The data set with its labels in a model's order.

    Args:
        data: the data set.
        names: the model's classes.
        model: what it is called, for the message.

    Raises:
        DataError: the two do not have the same class names.
    """
    if data.names == names:
        return data
    if set(data.names) != set(names):
        raise DataError(
            f"{data.source} has the classes {', '.join(data.names)}, but {model} knows {', '.join(names)}. Both need the same "
            "names; a recipe with data.classes regroups them (--recipe)."
        )
    places = np.array([names.index(name) for name in data.names], np.int64)
    return FaceDataset(data.images, places[data.labels], data.usage, names, data.source)


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as ``.npz``, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(path, lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **dict[str, Any](arrays)))


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz``, without pickles.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        # Opened here: numpy leaves the file open when the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from error
