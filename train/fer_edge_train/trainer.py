"""Two-stage fine-tuning with resume: one epoch, one validation, one save, again."""

from __future__ import annotations

import platform
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FaceDataset
from fer_edge_train.metrics import evaluate
from fer_edge_train.network import build_training_model, restart_randomness, unfreeze_top
from fer_edge_train.run_folder import Progress, RunFolder, read_json, write_json

EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class Listener:
    """What the command line shows while a run goes on; each callable may be a no-op.

    Attributes:
        say: a sentence.
        start: an epoch begins: title and number of steps.
        step: a batch is done: loss and accuracy so far.
    """

    say: Callable[[str], None]
    start: Callable[[str, int], None]
    step: Callable[[float, float], None]


class _Steps(keras.callbacks.Callback):
    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self._listener.step(float(logs.get("loss", 0)), float(logs.get("accuracy", 0)))


def train(
    config: TrainConfig, data: FaceDataset, out: Path, *, weights: Path | None, listener: Listener, resume: bool = False
) -> dict[str, Any]:
    """Train and evaluate; returns what ``metrics.json`` holds.

    The best epoch by PublicTest accuracy is kept. PrivateTest is looked at once, after everything is chosen.

    Raises:
        ConfigError, DataError, OutputError: see `RunFolder.start` and `build_training_model`.
    """
    run = RunFolder(out)
    digest = data.digest()
    progress = run.start(config, digest, resume=resume)
    if progress.stage == "done":
        listener.say(f"The run in {out} is already complete.")
        return read_json(run.metrics_file) if run.metrics_file.exists() else _report(run, data, progress)
    keras.utils.set_random_seed(config.seed)
    if progress.history:
        graph = _load(run.path / progress.last_model)
        classifier = graph.get_layer(config.architecture)
        listener.say(f"Continuing {out}: {progress.stage}, {progress.epoch} epoch(s) of this stage done.")
    else:
        graph, classifier = build_training_model(config, len(data.names), weights)
        # Only now: a wrong weights file leaves no run behind that a second try would trip over.
        write_json(run.config_file, {
            "config": config.to_dict(), "dataset_digest": digest, "dataset": str(Path(data.source).resolve()),
            "labels": list(data.names), "counts": data.counts(), "weights": str(weights.resolve()) if weights else None,
            "versions": versions(),
        })  # fmt: skip
    if progress.stage == "head":
        unfreeze_top(classifier, 0.0)
        if progress.epoch == 0:
            _compile(graph, config, keras.optimizers.Adam(config.head.learning_rate))
        if progress.epoch < config.head.epochs:
            listener.say(f"Stage 1, head: {_learning(classifier)}.")
        _run_stage(graph, classifier, config, data, run, progress, listener, epochs=config.head.epochs, patience=None)
        progress.stage, progress.epoch, progress.stale_epochs = "finetune", 0, 0
    if progress.stage == "finetune":
        unfreeze_top(classifier, config.finetune.unfreeze)
        if progress.epoch == 0:
            steps = -(-int(np.sum(data.usage == "Training")) // config.batch_size)
            rate = keras.optimizers.schedules.CosineDecay(
                config.finetune.learning_rate, max(1, steps * config.finetune.epochs)
            )
            _compile(graph, config, keras.optimizers.AdamW(rate, weight_decay=config.finetune.weight_decay))
        if progress.epoch < config.finetune.epochs:
            listener.say(f"Stage 2, fine-tune: {_learning(classifier)}.")
        _run_stage(
            graph,
            classifier,
            config,
            data,
            run,
            progress,
            listener,
            epochs=config.finetune.epochs,
            patience=config.finetune.patience,
        )
        progress.stage = "done"
        run.save_progress(progress)
    return _report(run, data, progress)


def _compile(graph: keras.Model, config: TrainConfig, optimizer: Any) -> None:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    graph.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])


def _run_stage(
    graph: keras.Model, classifier: keras.Model, config: TrainConfig, data: FaceDataset, run: RunFolder,
    progress: Progress, listener: Listener, *, epochs: int, patience: int | None,
) -> None:  # fmt: skip
    images, labels = data.part("Training")
    targets = np.eye(len(data.names), dtype=np.float32)[labels]
    weights = class_weights(labels, len(data.names), config.class_weights)
    checked, expected = data.part("PublicTest")
    while progress.epoch < epochs and (patience is None or progress.stale_epochs < patience):
        began = time.perf_counter()
        seed = config.seed + 1000 * (progress.stage == "finetune") + progress.epoch
        order = np.random.default_rng(seed).permutation(len(images))
        restart_randomness(graph, classifier, seed)
        listener.start(f"{progress.stage} {progress.epoch + 1}/{epochs}", -(-len(images) // config.batch_size))
        log = graph.fit(
            images[order, :, :, None], targets[order], batch_size=config.batch_size, shuffle=False, verbose=0,
            class_weight=weights, callbacks=[_Steps(listener)],
        ).history  # fmt: skip
        result = evaluate(expected, predict(graph, checked), data.names)
        progress.epoch += 1
        better = result["accuracy"] > progress.best_accuracy
        progress.stale_epochs = 0 if better else progress.stale_epochs + 1
        progress.history.append({
            "stage": progress.stage, "epoch": progress.epoch, "loss": round(log["loss"][-1], 5),
            "accuracy": round(log["accuracy"][-1], 5), "public_accuracy": result["accuracy"],
            "public_macro_f1": result["macro_f1"], "seconds": round(time.perf_counter() - began, 1),
        })  # fmt: skip
        if better:
            progress.best_accuracy, progress.best_epoch = result["accuracy"], f"{progress.stage} {progress.epoch}"
        run.commit(graph, progress)
        listener.say(
            f"{progress.stage} {progress.epoch}/{epochs}: loss {log['loss'][-1]:.3f}, train {log['accuracy'][-1]:.1%}, "
            f"PublicTest {result['accuracy']:.2%}{' (best so far)' if better else ''}, {time.perf_counter() - began:.0f} s"
        )


def class_weights(labels: NDArray[np.int64], classes: int, mode: str) -> dict[int, float] | None:
    """Loss weight per class, of mean 1 over the rows: ``sqrt`` or ``balanced`` inverse frequency; ``none`` gives None."""
    if mode == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    weight = (1 / np.maximum(counts, 1)) ** (0.5 if mode == "sqrt" else 1.0)
    weight *= counts.sum() / (weight * counts).sum()
    return {label: float(value) for label, value in enumerate(weight)}


def predict(graph: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, classes) probabilities of (N, 48, 48) uint8 faces."""
    return np.asarray(graph.predict(images[..., None], batch_size=EVALUATION_BATCH, verbose=0), np.float32)


def _load(path: Path) -> keras.Model:
    try:
        return keras.models.load_model(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a Keras model: {error} Start again with another --out.") from error


def _report(run: RunFolder, data: FaceDataset, progress: Progress) -> dict[str, Any]:
    graph = _load(run.best_model)
    metrics: dict[str, Any] = {
        "artefact": "training graph, float32", "protocol": "single crop", "best_epoch": progress.best_epoch, "history": progress.history,
    }  # fmt: skip
    for usage in ("PublicTest", "PrivateTest"):
        images, labels = data.part(usage)
        metrics[usage] = evaluate(labels, predict(graph, images), data.names)
    write_json(run.metrics_file, metrics)
    return metrics


def _learning(classifier: keras.Model) -> str:
    learning = sum(bool(layer.trainable) for layer in classifier.layers)
    weights = sum(int(np.prod(w.shape)) for w in classifier.trainable_weights)
    return f"{learning} layers learn, {len(classifier.layers) - learning} are frozen ({weights:,} trainable weights)"


def versions() -> dict[str, str]:
    """What a run depends on: Python, machine, Keras, its backend and that backend's version, numpy."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(), "machine": platform.machine(), "keras": keras.__version__,
        "backend": backend, backend: metadata.version(backend), "numpy": np.__version__,
    }  # fmt: skip
