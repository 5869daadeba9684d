"""What ``fer-edge evaluate`` looks at: a run behind Keras, or every artefact of a bundle behind the runtime's engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_edge_export.evaluate import engine_predictor
from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.engines.select import default_threads
from fer_edge_runtime.errors import ConfigError, DataError, MissingPackageError
from fer_edge_runtime.manifest import MANIFEST_NAME
from fer_edge_runtime.shipped import shipped_folder, shipped_names
from fer_edge_train.config import TrainConfig
from fer_edge_train.data import FACE_SIZE
from fer_edge_train.evaluation import Predictor, keras_predictor
from fer_edge_train.run_folder import RunFolder, load_run

ENGINE_FORMATS = {"litert": ("tflite",), "onnx": ("onnx",), "auto": ("tflite", "onnx")}


@dataclass(frozen=True, slots=True)
class Classifier:
    """One model file, ready to answer.

    Attributes:
        artefact: file name.
        precision: ``int8``, ``float16`` or ``float32``.
        engine: what runs it, in words.
        predict: (N, 48, 48) uint8 to (N, classes) float32.
    """

    artefact: str
    precision: str
    engine: str
    predict: Predictor


@dataclass(frozen=True, slots=True)
class Subject:
    """A run or a bundle.

    Attributes:
        kind: ``run`` or ``bundle``.
        name: of the folder, or the bundle's own.
        labels: class names in the model's order.
        recipe: how a data set is read for it, where that is known.
        digest: of the data set it was trained on, where it is known.
        open: starts the classifiers; slow.
    """

    kind: str
    name: str
    labels: tuple[str, ...]
    recipe: TrainConfig | None
    digest: str | None
    open: Callable[[], list[Classifier]]


def open_subject(path: str, *, engine: str, recipe: TrainConfig | None, say: Callable[[str], None]) -> Subject:
    """Whatever ``path`` is.

    Args:
        path: a run folder, a bundle folder, a zip of one, or the name of a shipped bundle.
        engine: of a bundle: a key of `ENGINE_FORMATS`; ``auto`` takes every artefact.
        recipe: instead of the one that the run or the bundle holds.
        say: told what was left out, and why.

    Raises:
        DataError: neither is there, or the run has not finished.
        BundleError: the bundle is refused.
        ConfigError: the engine does not fit.
    """
    place = Path(path)
    run = RunFolder(place).config_file.is_file()
    if run:
        return _run_subject(place, engine, recipe)
    if shipped_folder(path) is None and not place.is_file() and not (place / MANIFEST_NAME).is_file():
        raise DataError(
            f"There is neither a training run nor a bundle at {path}. Give the --out folder of fer-edge train or export, a zip of a "
            f"bundle, or one of: {', '.join(shipped_names())}."
        )
    return _bundle_subject(load_bundle(path), engine, recipe, say)


def _run_subject(path: Path, engine: str, recipe: TrainConfig | None) -> Subject:
    if engine != "auto":
        raise ConfigError(
            f"--engine {engine} is for bundles; {path} is a training run, which Keras evaluates (KERAS_BACKEND chooses on what)."
        )
    run, trained_by, record = load_run(path)

    def opened() -> list[Classifier]:
        from fer_edge_train.provenance import versions

        found = versions()
        backend = found["backend"]
        line = f"keras {found['keras']} on {backend} {found[backend]}"
        return [Classifier(run.best_model.name, "float32", line, keras_predictor(run.best_model))]

    return Subject(
        "run", path.resolve().name, tuple(record["labels"]), recipe or trained_by, record.get("dataset_digest"), opened
    )


def _bundle_subject(bundle: Bundle, engine: str, recipe: TrainConfig | None, say: Callable[[str], None]) -> Subject:
    manifest = bundle.manifest
    spec, provenance = manifest.preprocess, manifest.provenance
    if (spec.color, spec.face_size) != ("grey", FACE_SIZE):
        raise ConfigError(
            f"The bundle '{manifest.name}' was trained on {spec.color} faces of {spec.face_size} pixels; data sets are read as grey "
            f"faces of {FACE_SIZE}."
        )
    recorded = provenance.get("recipe")
    if recipe is None and isinstance(recorded, dict):
        recipe = TrainConfig.from_dict(recorded, where=f"{bundle.origin}, the recipe in its manifest")
    digest = provenance.get("dataset_digest")
    return Subject(
        "bundle", manifest.name, manifest.labels, recipe, digest if isinstance(digest, str) else None,
        lambda: _open_artefacts(bundle, engine, say),
    )  # fmt: skip


def _open_artefacts(bundle: Bundle, engine: str, say: Callable[[str], None]) -> list[Classifier]:
    formats = ENGINE_FORMATS[engine]
    artefacts = [artefact for artefact in bundle.manifest.artefacts if artefact.format in formats]
    if not artefacts:
        bundle.artefact(formats[0])  # raises, naming what the bundle has
    classifiers = []
    missing: MissingPackageError | None = None
    for artefact in artefacts:
        try:
            runner = bundle.open(artefact, threads=default_threads(spare_cores=0))
        except MissingPackageError as error:
            missing = error
            say(f"{artefact.path} is left out: {error}")
            continue
        predict = engine_predictor(runner, artefact, bundle.manifest.preprocess, bundle.manifest.temperature)
        classifiers.append(Classifier(artefact.path, artefact.precision, runner.describe().line(), predict))
    if missing and not classifiers:
        raise missing
    return classifiers
