"""Two-stage fine-tuning with resume: one epoch, one validation, one save, again."""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_train.batches import Batches, steps_per_epoch
from fer_edge_train.bundle_weights import is_bundle, start_from_bundle
from fer_edge_train.config import Stage, TrainConfig
from fer_edge_train.data import FaceDataset
from fer_edge_train.devices import compiled_whole, use_all_devices, use_one_device
from fer_edge_train.distillation import teacher_targets
from fer_edge_train.evaluation import finish_run
from fer_edge_train.losses import FaceLoss, label_accuracy
from fer_edge_train.metrics import evaluate
from fer_edge_train.network import build_training_model, restart_randomness, unfreeze_top
from fer_edge_train.provenance import git_commit, split_hash, versions
from fer_edge_train.run_folder import Progress, RunFolder, read_json, write_json
from fer_edge_train.run_logs import RunLogs
from fer_edge_train.summary import duration

EVALUATION_BATCH = 256
PLATEAU_FACTOR = 0.2


def _nothing(*_: Any) -> None:
    """Say and show nothing."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What the command line shows while a run goes on.

    Attributes:
        say: a sentence.
        start: an epoch begins: title and number of steps.
        step: a batch is done: loss and accuracy so far.
        epoch: an epoch is done and saved: its record of the history.
    """

    say: Callable[[str], None] = _nothing
    start: Callable[[str, int], None] = _nothing
    step: Callable[[float, float], None] = _nothing
    epoch: Callable[[dict[str, Any]], None] = _nothing


@dataclass(frozen=True, slots=True)
class _Task:
    """What every epoch of a run learns from and is measured on."""

    config: TrainConfig
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    checked: NDArray[np.uint8]
    expected: NDArray[np.int64]
    names: tuple[str, ...]


def _no_number(what: str, title: str) -> str:
    return (
        f"{title}: {what} gave NaN or infinity, nothing is learned from here on. Lower the learning rate of this stage, or use "
        "precision = 'float32'; finished epochs are kept, so name another --out if there are any."
    )


class _Watch(keras.callbacks.Callback):
    """Shows every step, stops at a loss that is no number, and holds the weights before Keras averages them."""

    # Keras then reads a step's loss in a thread of its own: an accelerator need not wait for that before the next step.
    async_safe = True

    def __init__(self, listener: Listener, title: str) -> None:
        super().__init__()
        self._listener, self._title = listener, title
        self.raw: list[NDArray[Any]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        loss = float(logs.get("loss", 0))
        if not math.isfinite(loss):
            raise ConfigError(_no_number(f"the loss of step {batch + 1}", self._title))
        self._listener.step(loss, float(logs.get("label_accuracy", 0)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.raw = [np.array(keras.ops.convert_to_numpy(v)) for v in self.model.trainable_variables]


def train(
    config: TrainConfig, data: FaceDataset, out: Path, *, listener: Listener, resume: bool = False, finish: bool = True
) -> dict[str, Any]:
    """Train and evaluate; returns what ``metrics.json`` holds, or nothing with ``finish=False`` (a search looks at no test).

    The best epoch by PublicTest (accuracy or loss, as ``config.monitor`` says) is kept. PrivateTest is looked at once,
    after everything is chosen.

    Raises:
        ConfigError: the run folder is another run's, or the loss became NaN.
        DataError, OutputError: see `RunFolder.start`, `build_training_model` and `teacher_targets`.
    """
    run = RunFolder(out)
    with run.locked():
        digest = data.digest()
        progress = run.start(config, digest, resume=resume)
        if progress.stage == "done" and run.metrics_file.exists():
            listener.say(f"The run in {out} is already complete.")
            return read_json(run.metrics_file)
        keras.config.set_dtype_policy(config.precision)
        try:
            if progress.stage != "done":
                _train_stages(config, data, run, progress, digest, listener)
        finally:
            keras.config.set_dtype_policy("float32")
            use_one_device()
        if not finish:
            return {}
        for kept in (run.best_model, run.head_model):
            _keep_float32(config, len(data.names), kept)
        return finish_run(run, config, data, progress, listener=listener)


def _train_stages(
    config: TrainConfig, data: FaceDataset, run: RunFolder, progress: Progress, digest: str, listener: Listener
) -> None:
    task = _task(config, data)
    use_all_devices(config.batch_size, listener.say)
    keras.utils.set_random_seed(config.seed)  # after the teachers, whose loading draws random numbers too
    if progress.history:
        graph = _load(run.path / progress.last_model)
        classifier = graph.get_layer(config.architecture)
        listener.say(f"Continuing {run.path}: {progress.stage}, {progress.epoch} epoch(s) of this stage done.")
    else:
        graph, classifier = build_training_model(config, len(data.names))
        if is_bundle(config.weights):
            listener.say(start_from_bundle(graph, classifier, config, data.names, task.images))
        # Only now: a wrong weights file leaves no run behind that a second try would trip over.
        write_json(run.config_file, {
            "config": config.to_dict(), "dataset_digest": digest, "split_hash": split_hash(data),
            "dataset": str(Path(data.source).resolve()), "labels": list(data.names), "counts": data.counts(),
            "versions": versions(), "git_commit": git_commit(), "parameters": int(classifier.count_params()),
        })  # fmt: skip
    for number, (name, stage, share) in enumerate(config.stages(), 1):
        if progress.stage != name:
            continue
        unfreeze_top(classifier, share)
        if progress.epoch == 0:
            compile_stage(graph, config, stage, rows=len(task.images))
        if progress.epoch < stage.epochs:
            listener.say(f"Stage {number}, {stage_title(name)}: {learning(classifier)}.")
        _run_stage(graph, classifier, task, stage, run, progress, listener)
        if name == "head" and stage.epochs and config.finetune.epochs:
            run.keep_head()
        progress.stage = "finetune" if name == "head" else "done"
        if name == "head":
            progress.epoch = progress.stale_epochs = 0
    run.save_progress(progress)


def stage_title(name: str) -> str:
    """The stage's name as people read it."""
    return {"head": "head", "finetune": "fine-tune"}[name]


def compile_stage(graph: keras.Model, config: TrainConfig, stage: Stage, *, rows: int) -> None:
    """Give the graph the stage's optimizer, schedule and loss; ``rows`` training faces make an epoch."""
    rate: Any = stage.learning_rate
    if stage.schedule == "cosine":
        steps = steps_per_epoch(rows, config.batch_size) * stage.epochs
        rate = keras.optimizers.schedules.CosineDecay(stage.learning_rate, max(1, steps))
    averaging = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    if stage.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, **averaging)
    elif stage.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay, **averaging)
    else:
        decay = stage.weight_decay or None
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay, **averaging)
    teachers = config.distill
    loss = FaceLoss(
        config.label_smoothing, config.focal, teachers.weight if teachers.teachers else 0.0, teachers.temperature
    )
    graph.compile(optimizer=optimizer, loss=loss, metrics=[label_accuracy])
    compiled_whole(graph)


def _run_stage(
    graph: keras.Model, classifier: keras.Model, task: _Task, stage: Stage, run: RunFolder,
    progress: Progress, listener: Listener,
) -> None:  # fmt: skip
    config, name = task.config, progress.stage
    logs = RunLogs(run.path, progress.history)
    while progress.epoch < stage.epochs and not (stage.patience and progress.stale_epochs >= stage.patience):
        began = time.perf_counter()
        title = f"{stage_title(name)} {progress.epoch + 1}/{stage.epochs}"
        seed = config.seed + 1000 * (name == "finetune") + progress.epoch
        batches = Batches(task.images, task.targets, task.weights, task.labels, config, seed)
        restart_randomness(graph, classifier, seed)
        listener.start(title, len(batches))
        watch = _Watch(listener, title)
        log = graph.fit(batches, shuffle=False, verbose=0, callbacks=[watch]).history
        rate = float(keras.ops.convert_to_numpy(graph.optimizer.learning_rate))
        # Keras has put the averaged weights in, where the recipe asks for them: on JAX the very arrays that the optimizer holds,
        # which the next compiled call would give away.
        if config.ema:
            for variable in graph.trainable_variables:
                variable.assign(keras.ops.copy(variable))
        probabilities = predict(graph, task.checked, config.batch_size)
        if not np.isfinite(probabilities).all():
            raise ConfigError(_no_number("validation", title))
        result = evaluate(task.expected, probabilities, task.names)
        progress.epoch += 1
        row = {
            "stage": name, "epoch": progress.epoch, "loss": round(log["loss"][-1], 5),
            "accuracy": round(log["label_accuracy"][-1], 5), "public_loss": round(result["log_loss"], 5),
            "public_accuracy": result["accuracy"], "public_macro_f1": result["macro_f1"], "learning_rate": rate,
            "seconds": 0.0,
        }  # fmt: skip
        score = row["public_accuracy"] if config.monitor == "accuracy" else -row["public_loss"]
        better = progress.best_score is None or score > progress.best_score
        progress.stale_epochs = 0 if better else progress.stale_epochs + 1
        if stage.schedule == "plateau" and _time_to_slow(progress.stale_epochs, stage.patience):
            graph.optimizer.learning_rate = rate * PLATEAU_FACTOR
        row["seconds"] = round(time.perf_counter() - began, 1)
        progress.history.append(row)
        if better:
            progress.best_score, progress.best_epoch = score, f"{name} {progress.epoch}"
            run.save_candidate(graph, progress)
        if config.ema:
            for variable, value in zip(graph.trainable_variables, watch.raw, strict=True):
                variable.assign(value)
        run.commit(graph, progress)
        logs.write(progress.history)
        listener.epoch(row)
        listener.say(
            f"{title}: loss {row['loss']:.3f}, train {row['accuracy']:.1%}, PublicTest {row['public_accuracy']:.2%}"
            f"{' (best so far)' if better else ''}, {row['seconds']:.0f} s{_time_left(stage, progress)}"
        )


def _time_left(stage: Stage, progress: Progress) -> str:
    left = (stage.epochs - progress.epoch) * progress.history[-1]["seconds"]
    return f", {duration(left)} left of this stage at most" if left else ""


def _time_to_slow(stale_epochs: int, patience: int) -> bool:
    wait = max(1, (patience or 6) // 2)
    return stale_epochs > 0 and stale_epochs % wait == 0


def _task(config: TrainConfig, data: FaceDataset) -> _Task:
    """Training and selection rows with targets and loss weights."""
    images, labels = data.part("Training")
    classes = len(data.names)
    if data.targets is None:
        targets = np.eye(classes, dtype=np.float32)[labels]
    else:
        targets = data.targets[data.usage == "Training"].astype(np.float32)
    mode = "none" if config.sampling == "balanced" else config.class_weights  # one correction is enough
    by_class = class_weights(labels, classes, mode)
    weights = (targets @ by_class).astype(np.float32)
    if config.distill.teachers:
        targets = np.concatenate([targets, teacher_targets(config.distill, data)], axis=1)
    checked, expected = data.part("PublicTest")
    return _Task(config, images, labels, targets, weights, checked, expected, data.names)


def class_weights(labels: NDArray[np.int64], classes: int, mode: str) -> NDArray[np.float32]:
    """(classes,) loss weights of mean 1 over the rows: ``sqrt`` or ``balanced`` inverse frequency; ``none`` gives ones."""
    counts = np.bincount(labels, minlength=classes)
    weight = (1 / np.maximum(counts, 1)) ** {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[mode]
    return np.asarray(weight * counts.sum() / (weight * counts).sum(), np.float32)


def predict(graph: keras.Model, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32]:
    """(N, classes) probabilities of (N, 48, 48) uint8 faces.

    Batches are multiples of ``batch_size``, which all devices can share, and the last one is filled up, so that a backend
    that compiles a program for every shape compiles one.
    """
    batch = batch_size * max(1, EVALUATION_BATCH // batch_size)
    filled = np.resize(images, (-(-len(images) // batch) * batch, *images.shape[1:]))
    probabilities = graph.predict(filled[..., None], batch_size=batch, verbose=0)
    return np.asarray(probabilities, np.float32)[: len(images)]


def learning(classifier: keras.Model) -> str:
    """How many layers and weights learn, and how many are frozen."""
    layers = sum(bool(layer.trainable) for layer in classifier.layers)
    weights = sum(int(np.prod(w.shape)) for w in classifier.trainable_weights)
    frozen = classifier.count_params() - weights
    return (
        f"{layers} layers learn ({weights:,} trainable parameters), {len(classifier.layers) - layers} are frozen "
        f"({frozen:,} parameters stay)"
    )


def _load(path: Path) -> keras.Model:
    try:
        return compiled_whole(keras.models.load_model(path))
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a Keras model: {error} Start again with another --out.") from error


def _keep_float32(config: TrainConfig, classes: int, path: Path) -> None:
    """Rewrite a model that was trained with mixed precision as a float32 one: the same weights, other arithmetic."""
    if config.precision == "float32" or not path.exists():
        return
    mixed = _load(path)
    exact, _ = build_training_model(replace(config, weights="none"), classes)
    exact.set_weights(mixed.get_weights())
    RunFolder(path.parent).save_model(exact, path)
