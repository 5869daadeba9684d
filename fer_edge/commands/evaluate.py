"""``fer-edge evaluate``: the same figures for a training run and for a bundle, on a data set with labels."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge import __version__
from fer_edge.commands.display import Display, interruptible, need, need_backend
from fer_edge.table import aligned
from fer_edge_runtime.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge_export.subject import Classifier, Subject
    from fer_edge_train.config import TrainConfig
    from fer_edge_train.data import FaceDataset

_PROTOCOLS = {"single": ("single crop",), "flip": ("flip",), "tencrop": ("TenCrop",), "all": ("single crop", "flip", "TenCrop")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """The command's options, as given."""

    model: str
    data: Path
    split: str
    protocol: str
    engine: str
    recipe: str | None
    ferplus: Path | None
    skip_bad: bool
    save_probabilities: Path | None
    out: Path | None
    json: bool


def evaluate_command(options: EvaluateOptions) -> None:
    """Read the data, ask every classifier, print a table and write what was asked for."""
    _check_outputs(options)
    if options.data.suffix == ".parquet":
        need(("pyarrow",), "train")
    with interruptible("nothing was written."), Display() as display:
        record = _evaluate(options, display)
    if options.json:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")


def _check_outputs(options: EvaluateOptions) -> None:
    """Refuse before minutes of work what could not be written after them."""
    for path, suffix in ((options.save_probabilities, ".npz"), (options.out, ".html")):
        if path is None:
            continue
        if path.suffix != suffix:
            raise ConfigError(f"{path} must end in {suffix}.")
        if not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    if options.out:
        need(("matplotlib",), "train")


def _evaluate(options: EvaluateOptions, display: Display) -> dict[str, Any]:
    from fer_edge_export.subject import open_subject
    from fer_edge_train.config import load_recipe

    recipe = load_recipe(options.recipe) if options.recipe else None
    subject = open_subject(options.model, engine=options.engine, recipe=recipe, say=display.say)
    data, digest = read_faces(options, subject, display)
    faces, labels = (data.images, data.labels) if options.split == "all" else data.part(options.split)
    classifiers = _open(subject)
    if options.save_probabilities and len(classifiers) > 1:
        raise ConfigError(
            f"--save-probabilities holds one model's answers, {options.model} has {len(classifiers)} models: choose one with --engine."
        )
    display.say(f"{subject.kind} {subject.name} on {len(faces):,} faces: {options.split} of {options.data}.")
    answers = {classifier.artefact: ask_classifier(classifier, faces, options, display) for classifier in classifiers}
    record = _record(options, subject, digest)
    record["results"] = [
        score(classifier, labels, answers[classifier.artefact], data.names) for classifier in classifiers
    ]
    for line in figure_lines(record["results"]):
        display.say(line)
    first = next(iter(next(iter(answers.values())).values()))
    if options.save_probabilities:
        _save(options.save_probabilities, first, labels, record)
        display.say(f"Probabilities: {options.save_probabilities}")
    if options.out:
        from fer_edge_train.report import worst_mistakes, write_evaluation

        write_evaluation(options.out, record, worst_mistakes(faces, labels, first, data.names))
        display.say(f"Report: {options.out}")
    return record


def read_faces(options: EvaluateOptions, subject: Subject, display: Display) -> tuple[FaceDataset, str]:
    """The data set as the model's recipe reads it, its labels in the model's order, and its own digest."""
    from fer_edge_train.data import load_dataset
    from fer_edge_train.evaluation import match_labels

    display.say(f"Reading {options.data} …")
    data = (
        load_dataset(options.data, parts=_parts(options), skip_bad=options.skip_bad, say=display.say)
        if subject.recipe is None
        else _load(options, subject.recipe, display)
    )
    digest = data.digest()
    if subject.digest and digest != subject.digest:
        display.say(
            f"This is not the data that {subject.name} was trained on (its digest differs): a cross-data-set figure."
        )
    return match_labels(data, subject.labels, model=f"the {subject.kind} {subject.name}"), digest


def _parts(options: EvaluateOptions) -> tuple[str, ...]:
    """The parts that the data set must have; one of tests alone is welcome."""
    return () if options.split == "all" else (options.split,)


def _load(options: EvaluateOptions, recipe: TrainConfig, display: Display) -> FaceDataset:
    """The data set, with the votes of FER+ where the labels depend on them, without where they are only training targets."""
    from fer_edge_train.data import load_for

    def load(config: TrainConfig) -> FaceDataset:
        return load_for(
            config, options.data, skip_bad=options.skip_bad, ferplus=options.ferplus, say=display.say, progress=display.progress,
            parts=_parts(options),
        )  # fmt: skip

    try:
        return load(recipe)
    except DataError as error:
        if recipe.data.ferplus != "soft7" or options.ferplus:
            raise
        data = load(replace(recipe, data=replace(recipe.data, ferplus="none")))
        display.say(f"Without the votes of FER+, which change no label: {error}")
        return data


def _open(subject: Subject) -> list[Classifier]:
    if subject.kind == "bundle":
        return subject.open()
    need(("keras",), "train")
    need_backend()
    from fer_edge_train.quiet import quiet

    with quiet():
        return subject.open()


def ask_classifier(
    classifier: Classifier, faces: NDArray[np.uint8], options: EvaluateOptions, display: Display
) -> dict[str, NDArray[np.float32]]:
    """(N, classes) probabilities of every protocol asked for, with a bar."""
    from fer_edge_train.evaluation import predict_protocols

    def show(protocol: str, found: NDArray[np.float32], total: int) -> None:
        display.progress(f"{classifier.artefact}, {protocol}", len(found), total)

    return predict_protocols(classifier.predict, faces, protocols=_PROTOCOLS[options.protocol], progress=show)


def _record(options: EvaluateOptions, subject: Subject, digest: str) -> dict[str, Any]:
    return {
        "schema": 1, "fer_edge": __version__, "kind": subject.kind, "name": subject.name, "model": options.model,
        "data": str(options.data), "dataset_digest": digest,
        "trained_on_this_data": None if subject.digest is None else digest == subject.digest,
        "split": options.split, "protocol": _PROTOCOLS[options.protocol][0], "labels": list(subject.labels),
    }  # fmt: skip


def score(
    classifier: Classifier, labels: NDArray[np.int64], answers: dict[str, NDArray[np.float32]], names: tuple[str, ...]
) -> dict[str, Any]:
    """A classifier's part of the record."""
    from fer_edge_train.evaluation import score_protocols

    head = {"artefact": classifier.artefact, "precision": classifier.precision, "engine": classifier.engine}
    return head | score_protocols(labels, answers, names)


def figure_lines(results: list[dict[str, Any]]) -> list[str]:
    """Accuracies of every model and protocol, then precision, recall and F1 of every class."""
    rows = [("model", "protocol", "accuracy", "95 % interval", "macro-F1", "ECE")]
    for result in results:
        for number, (protocol, found) in enumerate(result["protocols"].items()):
            low, high = found["interval95"]
            of_first = (f"{result['macro_f1']:.3f}", f"{result['calibration']['ece']:.3f}") if number == 0 else ("", "")
            rows.append(
                (result["artefact"], protocol, f"{found['accuracy']:.2%}", f"{low:.1%} to {high:.1%}", *of_first)
            )
    lines = [f"{result['artefact']}: {result['precision']}, {result['engine']}" for result in results]
    for result in results:
        classes = [(f"class ({result['artefact']})", "precision", "recall", "F1", "faces")]
        classes += [
            (name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", f"{row['n']:,}")
            for name, row in result["per_class"].items()
        ]
        lines += ["", *aligned(classes)]
        if result.get("auc") is not None:
            lines.append(f"  area under the ROC curve {result['auc']:.4f}, positive class {result['positive']['name']}")
    return [*lines, "", *aligned(rows)]


def _save(path: Path, found: NDArray[np.float32], labels: NDArray[np.int64], record: dict[str, Any]) -> None:
    """Teacher probabilities, as `fer_edge_train.distillation` reads them: rows in data order."""
    import numpy as np

    from fer_edge_train.evaluation import save_npz

    save_npz(path, {
        "probabilities": found, "labels": labels, "names": np.array(record["labels"]), "split": np.array(record["split"]),
        "digest": np.array(record["dataset_digest"]),
    })  # fmt: skip
