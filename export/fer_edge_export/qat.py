"""Quantization-aware training: the rounded model learns to answer as the float model does, and the best epoch is kept.

The float model is the teacher (arXiv 1503.02531): labels add nothing that it has not learned, and what a device should
reproduce is its answers. Batch norm is folded before the first step, so its statistics are frozen throughout.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge_export.aware import aware_model, trained_graph
from fer_edge_export.config import QatConfig
from fer_edge_export.errors import ExportError
from fer_edge_export.graph import Graph
from fer_edge_export.ranges import Ranges
from fer_edge_export.rebuild import predict
from fer_edge_train.evaluation import save_npz
from fer_edge_train.network import restart_randomness

STATE = "qat.npz"
_SMALLEST = 1e-7
_BATCH = 64
_LAST_BEFORE_THE_CLASSIFIER = "grey_to_three"


@dataclass(frozen=True, slots=True)
class Task:
    """What quantization-aware training works on.

    Attributes:
        graph: the simplified classifier with the grid of its input.
        ranges: of its activations.
        teacher: the float `tf_keras` model.
        run_model: the run's ``model.keras``, whose augmentation is used.
        faces: (N, 48, 48) uint8 training faces.
        checked: (M, 48, 48) uint8 PublicTest faces.
        labels: (M,) their classes.
        prepare: faces to the network's inputs, as the device does it.
    """

    graph: Graph
    ranges: Ranges
    teacher: Any
    run_model: Path
    faces: NDArray[np.uint8]
    checked: NDArray[np.uint8]
    labels: NDArray[np.int64]
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(slots=True)
class _State:
    """Where the training stands; what ``qat.npz`` holds."""

    weights: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]
    best: list[NDArray[Any]]
    history: list[dict[str, Any]]


def train_aware(
    task: Task, config: QatConfig, folder: Path, *, say: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> tuple[Graph, dict[str, Any]]:  # fmt: skip
    """Train the rounded model and give its best weights back.

    Every epoch is saved to ``folder/qat.npz``; the same call continues after the last one that is there.

    Args:
        task: model and data.
        config: epochs, rate, batch and seed.
        folder: the run's.
        say: receives a sentence an epoch.
        progress: receives a title, batches done and batches in all.

    Returns:
        The graph with the weights of the best epoch by PublicTest (epoch 0 is the model before any step), and a report:
        the float accuracy and the history.

    Raises:
        ExportError: the loss is no number.
        OutputError: the state cannot be saved.
    """
    model = aware_model(task.graph, task.ranges)
    steps = len(task.faces) // min(config.batch_size, len(task.faces))
    optimizer = _optimizer(config, steps, model)
    step = _training_step(model, task.teacher, optimizer)
    views = _Views(task.run_model)
    reference = _accuracy(task.teacher, task)
    file, key = folder / STATE, _key(task, config)
    state = _continue(file, key, model, optimizer, say)
    if state is None:
        first = {"epoch": 0, "loss": None, "public_accuracy": _accuracy(model, task)}
        state = _State(*_weights(model, optimizer), model.get_weights(), [first])
        say(f"Rounded to int8, before any step: {first['public_accuracy']:.2%} of PublicTest; float {reference:.2%}.")
    for epoch in range(len(state.history), config.epochs + 1):
        loss = _run_epoch(step, views, task.faces, config, epoch, steps, progress)
        best = max(row["public_accuracy"] for row in state.history)
        row = {"epoch": epoch, "loss": loss, "public_accuracy": _accuracy(model, task)}
        state.history.append(row)
        state.weights, state.optimizer = _weights(model, optimizer)
        if row["public_accuracy"] > best:
            state.best = state.weights
        _write(file, key, state)
        say(
            f"Quantization-aware epoch {epoch}/{config.epochs}: loss {loss:.4f}, PublicTest {row['public_accuracy']:.2%}."
        )
    model.set_weights(state.best)
    report = {**asdict(config), "float_public_accuracy": reference, "history": state.history}
    return trained_graph(task.graph, model), report


def _continue(file: Path, key: str, model: Any, optimizer: Any, say: Callable[[str], None]) -> _State | None:
    """Put the saved state of the same training into model and optimizer; None where there is none."""
    state = _read(file, key)
    if state is None:
        if file.exists():
            say(f"{file} is of another quantization-aware training, or damaged; it begins anew.")
        return None
    model.set_weights(state.weights)
    for variable, value in zip(optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    say(f"Quantization-aware training: {len(state.history) - 1} epoch(s) found in {file}.")
    return state


def _weights(model: Any, optimizer: Any) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    return model.get_weights(), [variable.numpy() for variable in optimizer.variables]


def _run_epoch(
    step: Any, views: _Views, faces: NDArray[np.uint8], config: QatConfig, epoch: int, steps: int,
    progress: Callable[[str, int, int], None],
) -> float:  # fmt: skip
    title = f"quantization-aware epoch {epoch}/{config.epochs}"
    seed = config.seed + 1000 * epoch
    order = np.random.default_rng(seed).permutation(len(faces))
    views.restart(seed)
    batch = min(config.batch_size, len(faces))
    total = 0.0
    for number in range(steps):
        progress(title, number, steps)
        rows = order[number * batch : (number + 1) * batch]
        loss = float(step(tf.constant(views(faces[rows]))))
        if not np.isfinite(loss):
            raise ExportError(
                f"{title}: the loss of step {number + 1} is no number. Lower --qat-learning-rate (now "
                f"{config.learning_rate:g}); finished epochs are kept."
            )
        total += loss
    progress(title, steps, steps)
    return round(total / steps, 6)


def _optimizer(config: QatConfig, steps: int, model: Any) -> Any:
    rate = tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, max(1, steps * config.epochs))
    optimizer = tf_keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    return optimizer


def _training_step(model: Any, teacher: Any, optimizer: Any) -> Any:
    """One step on a batch of inputs; gives the mean cross-entropy between the teacher's answers and the model's."""

    def step(inputs: Any) -> Any:
        target = teacher(inputs, training=False)
        with tf.GradientTape() as tape:
            probabilities = tf.clip_by_value(model(inputs, training=True), _SMALLEST, 1.0)
            loss = -tf.reduce_mean(tf.reduce_sum(target * tf.math.log(probabilities), axis=-1))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return tf.function(step)


class _Views:
    """Training faces as the run's own graph augments, normalises and enlarges them."""

    def __init__(self, run_model: Path) -> None:
        graph = keras.models.load_model(run_model, compile=False)
        self._views = keras.Model(graph.input, graph.get_layer(_LAST_BEFORE_THE_CLASSIFIER).output)

    def restart(self, seed: int) -> None:
        """Make what follows depend on the seed alone."""
        restart_randomness(self._views, self._views, seed)

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        views = np.asarray(keras.ops.convert_to_numpy(self._views(faces[..., None], training=True)), np.float32)
        return views[..., :1]  # the three channels are equal


def _accuracy(model: Any, task: Task) -> float:
    parts = [task.checked[start : start + _BATCH] for start in range(0, len(task.checked), _BATCH)]
    found = np.concatenate([predict(model, task.prepare(part)) for part in parts]).argmax(axis=1)
    return round(float(np.mean(found == task.labels)), 5)


def _key(task: Task, config: QatConfig) -> str:
    """What a saved state must have been made from to be continued."""
    parts = [json.dumps([asdict(config), task.ranges, list(task.graph.steps)]).encode(), task.run_model.read_bytes()]
    weights = [array for step in task.graph.steps.values() for array in step.weights]
    parts += [np.ascontiguousarray(array).tobytes() for array in (task.faces, task.labels, *weights)]
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()


def _write(file: Path, key: str, state: _State) -> None:
    arrays = {
        f"{group}_{index:04d}": array
        for group in ("weights", "optimizer", "best")
        for index, array in enumerate(getattr(state, group))
    }
    save_npz(file, {**arrays, "key": np.array(key), "history": np.array(json.dumps(state.history))})


def _read(file: Path, key: str) -> _State | None:
    """The state of the same training, or None where there is none or it is of another one."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            if str(saved["key"]) != key:
                return None
            groups = {
                group: [saved[name] for name in sorted(saved.files) if name.startswith(f"{group}_")]
                for group in ("weights", "optimizer", "best")
            }
            return _State(**groups, history=json.loads(str(saved["history"])))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
