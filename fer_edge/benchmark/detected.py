"""The whole way of a device for a picture with a label: find the largest face, cut it out, classify it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.subject import ENGINE_FORMATS
from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines.select import default_threads
from fer_edge_runtime.errors import MissingPackageError
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.sources.picture import read_picture

ENGINES = {"tflite": "litert", "onnx": "onnx"}


def open_recognizers(bundle: str, engine: str, say: Callable[[str], None]) -> Iterator[Recognizer]:
    """A recognizer for every format of a bundle that ``engine`` covers and that has its library.

    Args:
        bundle: ``default``, a folder or a zip.
        engine: ``auto`` (each format once), ``litert`` or ``onnx``.
        say: told what was left out.

    Raises:
        MissingPackageError: no library for any of them is installed.
    """
    formats = {artefact.format for artefact in load_bundle(bundle).manifest.artefacts}
    wanted = [format for format in ENGINE_FORMATS[engine] if format in formats or engine != "auto"]
    opened, missing = 0, None
    for format in wanted:
        try:
            recognizer = Recognizer.load(
                bundle, engine=ENGINES[format], device="cpu", threads=default_threads(spare_cores=0), largest=True
            )
        except MissingPackageError as error:
            missing = error
            say(f"The {format} model is left out: {error}")
            continue
        opened += 1
        yield recognizer
    if missing and not opened:
        raise missing


def recognize_pictures(
    recognizer: Recognizer, pictures: Sequence[Path], *, progress: Callable[[int, int], None]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The answer for the largest face of every picture.

    Args:
        recognizer: with ``largest``.
        pictures: files, of any size.
        progress: receives pictures done and pictures in all.

    Returns:
        (N, classes) probabilities, zeros where no face was found; (N,) where one was.

    Raises:
        SourceError: a picture cannot be read.
    """
    answers = np.zeros((len(pictures), len(recognizer.labels)), np.float32)
    found = np.zeros(len(pictures), np.bool_)
    for row, path in enumerate(pictures):
        image = read_picture(path)
        faces = recognizer.detect(image)
        if faces:
            answers[row], found[row] = recognizer.classify(image, faces).probabilities[0], True
        progress(row + 1, len(pictures))
    return answers, found
