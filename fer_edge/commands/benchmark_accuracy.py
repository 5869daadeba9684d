"""``fer-edge benchmark accuracy``: a bundle on labelled faces of any origin; figures and tables are those of `fer-edge evaluate`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge import __version__
from fer_edge.commands.benchmark import check_page
from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.benchmark.labelled import Labelled
    from fer_edge_export.subject import Subject


@dataclass(frozen=True, slots=True)
class AccuracyOptions:
    """The options of ``benchmark accuracy``, as given."""

    bundle: str
    data: Path
    split: str | None
    labels: str
    ferplus: Path | None
    map: list[str]
    detect: bool
    engine: str
    skip_bad: bool
    html: Path | None
    json: bool


def accuracy_command(options: AccuracyOptions) -> None:
    """Read the data for the bundle, ask every model of it, print, write what was asked for."""
    check_page(options.html)
    if options.data.suffix == ".parquet":
        need(("pyarrow",), "benchmark")
    if options.detect and not options.data.is_dir():
        raise ConfigError(
            f"--detect looks for faces in whole pictures, in class folders; the faces of {options.data} are cut out already."
        )
    if options.detect and options.labels == "ferplus":
        raise ConfigError(
            "--labels ferplus is for the rows of FER2013, whose faces are cut out already; leave --detect out."
        )
    with interruptible("nothing was written."), Display() as display:
        record = _accuracy(options, display)
    if options.json:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")


def _accuracy(options: AccuracyOptions, display: Display) -> dict[str, Any]:
    from fer_edge.benchmark.accuracy import remarks_on
    from fer_edge.benchmark.label_map import read_map
    from fer_edge.benchmark.machine import describe_machine
    from fer_edge.commands.evaluate import figure_lines
    from fer_edge_export.subject import open_subject

    mapping = read_map(options.map)
    subject = open_subject(options.bundle, engine=options.engine, recipe=None, say=display.say)
    if subject.kind != "bundle":
        raise ConfigError(f"{options.bundle} is a training run; this command measures bundles. Use fer-edge evaluate.")
    split = options.split or ("all" if options.data.is_dir() else "PublicTest")
    labelled = _labelled(options, subject, split, mapping, display)
    if labelled.trained_on_this_data and split in ("all", "Training"):
        display.say(f"{subject.name} was trained on faces of this data: --split {split} flatters it.")
    display.say(f"bundle {subject.name} on {len(labelled.labels):,} faces: {split} of {options.data}.")
    results, first = _ask_models(options, subject, labelled, display)
    record = {
        "schema": 1, "command": "benchmark accuracy", "fer_edge": __version__, "machine": asdict(describe_machine()),
        "bundle": options.bundle, "name": subject.name, "data": str(options.data), "dataset_digest": labelled.digest,
        "trained_on_this_data": labelled.trained_on_this_data, "split": split, "label_source": options.labels, "map": mapping,
        "detect": options.detect, "protocol": "single crop", "labels": list(subject.labels), "results": results,
    }  # fmt: skip
    for line in [*figure_lines(results), *(line for result in results for line in remarks_on(result))]:
        display.say(line)
    if options.html:
        from fer_edge.benchmark.accuracy_page import write_accuracy_page
        from fer_edge_train.report import worst_mistakes

        answers, answered = first
        mistakes = worst_mistakes(
            labelled.images[answered], labelled.labels[answered], answers[answered], subject.labels
        )
        write_accuracy_page(options.html, record, mistakes)
        display.say(f"Page: {options.html}")
    return record


def _labelled(
    options: AccuracyOptions, subject: Subject, split: str, mapping: dict[str, str], display: Display
) -> Labelled:
    """The faces: as the bundle's recipe reads FER2013 where nothing else is asked for, else by names and map."""
    from fer_edge.benchmark.labelled import Labelled, read_labelled

    if subject.recipe and options.data.is_file() and options.labels == "own" and not mapping:
        from fer_edge.commands.evaluate import EvaluateOptions, read_faces

        asked = EvaluateOptions(
            model=options.bundle, data=options.data, split=split, protocol="single", engine=options.engine, recipe=None,
            ferplus=options.ferplus, skip_bad=options.skip_bad, save_probabilities=None, out=None, json=options.json,
        )  # fmt: skip
        data, digest = read_faces(asked, subject, display)
        faces, labels = (data.images, data.labels) if split == "all" else data.part(split)
        return Labelled(faces, labels, [], 0, digest, None if subject.digest is None else digest == subject.digest)
    display.say(f"Reading {options.data} …")
    labelled = read_labelled(
        options.data, subject, split=split, mapping=mapping, votes=options.labels, ferplus=options.ferplus,
        skip_bad=options.skip_bad, say=display.say,
    )  # fmt: skip
    if labelled.trained_on_this_data is False:
        display.say(
            f"This is not the data that {subject.name} was trained on (its digest differs): a cross-data-set figure."
        )
    if labelled.large and not options.detect:
        display.say(
            f"{labelled.large:,} pictures are larger than a cut-out face; each is shrunk whole to 48 pixels as if it were one. "
            "--detect finds the face first, as a device does."
        )
    return labelled


def _ask_models(
    options: AccuracyOptions, subject: Subject, labelled: Labelled, display: Display
) -> tuple[list[dict[str, Any]], tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """The figures of every model, and the first one's answers with where it has some."""
    from fer_edge.benchmark.accuracy import score_answers

    results: list[dict[str, Any]] = []
    first = None
    for head, answers, found in _answers(options, subject, labelled, display):
        results.append(head | score_answers(labelled.labels, answers, found, subject.labels))
        first = first or (answers, found & (labelled.labels >= 0))
    assert first is not None  # noqa: S101 a bundle without a model that runs was refused
    return results, first


def _answers(
    options: AccuracyOptions, subject: Subject, labelled: Labelled, display: Display
) -> Iterator[tuple[dict[str, Any], NDArray[np.float32], NDArray[np.bool_]]]:
    """What each model is, its probabilities, and where a face was found."""
    import numpy as np

    from fer_edge_train.evaluation import SINGLE, predict_protocols

    if options.detect:
        from fer_edge.benchmark.detected import open_recognizers, recognize_pictures

        for recognizer in open_recognizers(options.bundle, options.engine, display.say):
            artefact = recognizer.artefact

            def show_pictures(done: int, total: int, title: str = artefact.path) -> None:
                display.progress(title, done, total)

            head = {
                "artefact": artefact.path,
                "precision": artefact.precision,
                "engine": f"{recognizer.engine.describe().line()}, detector full",
            }
            yield head, *recognize_pictures(recognizer, labelled.pictures, progress=show_pictures)
        return
    for classifier in subject.open():

        def show_faces(_: str, found: NDArray[np.float32], total: int, title: str = classifier.artefact) -> None:
            display.progress(title, len(found), total)

        found = predict_protocols(classifier.predict, labelled.images, protocols=(SINGLE,), progress=show_faces)
        head = {"artefact": classifier.artefact, "precision": classifier.precision, "engine": classifier.engine}
        yield head, found[SINGLE], np.ones(len(labelled.labels), np.bool_)
