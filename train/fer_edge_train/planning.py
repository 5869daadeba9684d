"""What a run is going to do, in words and, with a dry run, in seconds and mebibytes; nothing is written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge_train.architectures import PRETRAINED
from fer_edge_train.batches import steps_per_epoch
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FACE_SIZE, FaceDataset
from fer_edge_train.devices import use_all_devices, use_one_device
from fer_edge_train.evaluation import FINAL
from fer_edge_train.network import build_training_model, unfreeze_top
from fer_edge_train.summary import duration
from fer_edge_train.trainer import EVALUATION_BATCH, compile_stage, learning, predict, stage_title

_TIMED_STEPS = 3
_VIEWS = {"single crop": 1, "flip": 2, "TenCrop": 10}


def describe_plan(config: TrainConfig, versions: dict[str, str]) -> list[str]:
    """What is going to run, and on what."""
    lines = [config.reproduces] if config.reproduces else []
    lines.append(
        f"{config.architecture}, width {config.width:g}, {config.input_size} pixels, {config.precision}, weights {config.weights}, "
        f"batch {config.batch_size}, split {config.split}, seed {config.seed}; best epoch by validation {config.monitor}."
    )
    for number, (name, stage, unfrozen) in enumerate(config.stages(), 1):
        share = f", the upper {unfrozen:.0%} of the backbone" if unfrozen else ""
        patience = f", patience {stage.patience}" if stage.patience else ""
        lines.append(
            f"Stage {number}, {stage_title(name)}: "
            + (
                f"up to {stage.epochs} epoch(s), {stage.optimizer} at {stage.learning_rate:g}, {stage.schedule}{patience}{share}."
                if stage.epochs
                else "left out."
            )
        )
    if config.weights == "none" and config.head.epochs and config.architecture in PRETRAINED:
        lines.append(
            "Nothing is pretrained, so stage 1 trains a head on random features; --head-epochs 0 leaves it out."
        )
    return [*lines, ", ".join(f"{name} {value}" for name, value in versions.items())]


def dry_run(config: TrainConfig, data: FaceDataset, say: Callable[[str], None]) -> dict[str, float]:
    """Train a few batches of each stage and say what the whole would take.

    Returns:
        ``<stage>_seconds`` (a whole epoch with its validation) of each stage that runs, ``evaluation_seconds``,
        ``total_minutes``, and ``peak_mib`` of the process; an accelerator's own memory is not in it.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        use_all_devices(config.batch_size, say)
        return _measure(config, data, say)
    finally:
        keras.config.set_dtype_policy("float32")
        use_one_device()


def _measure(config: TrainConfig, data: FaceDataset, say: Callable[[str], None]) -> dict[str, float]:
    graph, classifier = build_training_model(config, len(data.names))
    images, labels = data.part("Training")
    rows = np.resize(np.arange(len(images)), min(config.batch_size, len(images)))
    targets = np.eye(len(data.names) * (2 if config.distill.teachers else 1), dtype=np.float32)[labels[rows]]
    faces = images[rows].reshape(-1, FACE_SIZE, FACE_SIZE, 1)
    looked_at = _seconds_a_face(graph, images, config)
    selection = int(np.sum(data.usage == "PublicTest"))
    found: dict[str, float] = {}
    total = 0.0
    for name, stage, share in config.stages():
        if not stage.epochs:
            continue
        unfreeze_top(classifier, share)
        compile_stage(graph, config, stage, rows=len(images))
        began = time.perf_counter()
        loss = float(graph.train_on_batch(faces, targets)[0])
        compiling = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(_TIMED_STEPS):
            graph.train_on_batch(faces, targets)
        step = (time.perf_counter() - began) / _TIMED_STEPS
        epoch = step * steps_per_epoch(len(images), config.batch_size) + looked_at * selection
        found[f"{name}_seconds"] = round(epoch, 1)
        total += compiling + epoch * stage.epochs
        say(
            f"{stage_title(name)}: {learning(classifier)}; loss of one batch {loss:.3f}; {len(rows) / step:.0f} faces/s, "
            f"about {epoch:.0f} s an epoch, {stage.epochs} epoch(s) at most."
        )
    baseline = 1 if len(found) == 2 else 0  # once more without fine-tuning
    looks = sum(
        int(np.sum(data.usage == part)) * (sum(_VIEWS[protocol] for protocol in protocols) + baseline)
        for part, protocols in FINAL.items()
    )
    found["evaluation_seconds"] = round(looked_at * looks, 1)
    total += found["evaluation_seconds"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    say(
        f"About {duration(total)} in all on this machine as it is now, {duration(found['evaluation_seconds'])} of them for the last "
        f"evaluation; {peak:.0f} MiB of memory at the peak so far."
    )
    return {**found, "total_minutes": round(total / 60, 1), "peak_mib": round(peak)}


def _seconds_a_face(graph: keras.Model, images: NDArray[np.uint8], config: TrainConfig) -> float:
    """Of a prediction, measured on one batch after one that compiles."""
    some = np.resize(images, (EVALUATION_BATCH, *images.shape[1:]))
    predict(graph, some, config.batch_size)
    began = time.perf_counter()
    predict(graph, some, config.batch_size)
    return (time.perf_counter() - began) / len(some)
