"""Manifest schema v1: what a bundle says about itself, parsed strictly.

Nothing here touches the file system; `bundle` checks the files against what the manifest promises. These are named tuples,
because a dozen dataclasses would take as long to define as a face to classify.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from fer_edge_runtime.errors import BundleError

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"
FORMATS = ("tflite", "onnx")
PRECISIONS = ("int8", "float16", "float32")
DTYPES = ("int8", "uint8", "float32")
INTERPOLATIONS = ("linear", "cubic", "area", "nearest")
MAX_MANIFEST_BYTES = 1_000_000
MAX_FILE_BYTES = 512_000_000
SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "golden": ".npz"}


class TensorSpec(NamedTuple):
    """A tensor of an artefact.

    Attributes:
        name: in the graph.
        shape: without the batch: (H, W, C) of an input, (classes,) of an output.
        dtype: ``int8``, ``uint8`` or ``float32``.
        scale: real value of one step; 0 for float tensors.
        zero_point: stored value of real 0.
        layout: ``HWC`` for inputs, ``C`` for outputs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    scale: float = 0.0
    zero_point: int = 0


class Artefact(NamedTuple):
    """One model file of a bundle."""

    path: str
    format: str
    precision: str
    size_bytes: int
    sha256: str
    input: TensorSpec
    output: TensorSpec


class FileEntry(NamedTuple):
    """Any other file that the bundle vouches for."""

    path: str
    size_bytes: int
    sha256: str


class Golden(NamedTuple):
    """Golden vectors: ``crops`` and, per artefact, the probabilities that the exporter saw.

    Attributes:
        tolerance: largest difference of a probability that an engine may show.
    """

    path: str
    size_bytes: int
    sha256: str
    tolerance: float


class Framing(NamedTuple):
    """Turns a detector's box into the training set's framing.

    The crop is a square of side ``scale`` × the box's side (geometric mean of width and height); its centre is the
    box's centre moved by ``offset_x`` and ``offset_y`` box sides along the axes of the (eye-aligned) face.
    """

    scale: float
    offset_x: float
    offset_y: float


class Preprocess(NamedTuple):
    """From a face in a frame to the model's input; `fer_edge_runtime.preprocess` executes it.

    Attributes:
        color: ``grey`` or ``rgb``: what the model was trained on.
        face_size: side in pixels of the training faces; every face is brought to this resolution first.
        input_size: side in pixels of the model's input.
        channels: of the input; grey faces are repeated.
        enlarge: interpolation from ``face_size`` to ``input_size``. Shrinking a camera face averages areas.
        align: ``eyes`` rotates the face until the eyes are level, ``none`` leaves it.
        mean: subtracted from pixel values in [0, 255].
        std: pixel values are divided by it after that.
        framing: per detector.
    """

    color: str
    face_size: int
    input_size: int
    channels: int
    enlarge: str
    align: str
    mean: float
    std: float
    framing: Mapping[str, Framing]


class Manifest(NamedTuple):
    """The whole of ``manifest.json``.

    Attributes:
        uncertain_below: a face whose highest calibrated probability is under this is ``uncertain``.
        temperature: `fer_edge_runtime.calibrate` divides the scores by it; 1, as in bundles without it, changes nothing.
    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    artefacts: tuple[Artefact, ...]
    golden: Golden
    preprocess: Preprocess
    uncertain_below: float
    files: tuple[FileEntry, ...] = ()
    metrics: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = {}
    tools: Mapping[str, str] = {}
    created: str = ""
    temperature: float = 1.0

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps({"schema": SCHEMA, **_plain(self)}, indent=1) + "\n"


def _plain(value: Any) -> Any:
    """Named tuples as objects with their field names, at any depth."""
    if hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def parse_manifest(text: str | bytes) -> Manifest:
    """Parse and check ``manifest.json``.

    Raises:
        BundleError: names the key, what was received and what is allowed.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST_NAME} has {len(text)} bytes; at most {MAX_MANIFEST_BYTES} are read.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_NAME} is not valid JSON: {error}") from error
    top = _Reader(value, "")
    schema = top.integer("schema", 0, 10**6)
    if schema != SCHEMA:
        raise BundleError(
            f"{MANIFEST_NAME}: schema {schema} is not known; this fer-edge reads schema {SCHEMA}. Update fer-edge."
        )
    labels = tuple(top.strings("labels"))
    if len(labels) < 2 or len(set(labels)) != len(labels) or not all(labels):
        raise BundleError(f"{MANIFEST_NAME}: 'labels' needs at least two different names, received {list(labels)!r}.")
    preprocess = _preprocess(top.table("preprocess"))
    artefacts = tuple(_artefact(item) for item in top.tables("artefacts"))
    if not artefacts:
        raise BundleError(f"{MANIFEST_NAME}: 'artefacts' is empty; a bundle holds at least one model.")
    for artefact in artefacts:
        _check_fit(artefact, preprocess, len(labels))
    golden = top.table("golden")
    manifest = Manifest(
        name=top.text("name"),
        version=top.text("version"),
        task=top.text("task"),
        labels=labels,
        artefacts=artefacts,
        golden=Golden(
            _file_name(golden, SUFFIXES["golden"]),
            golden.integer("size_bytes", 1, MAX_FILE_BYTES),
            _sha256(golden),
            golden.number("tolerance", 0.0, 0.5),
        ),  # fmt: skip
        preprocess=preprocess,
        uncertain_below=top.number("uncertain_below", 0.0, 1.0),
        files=tuple(
            FileEntry(_file_name(item, ""), item.integer("size_bytes", 0, MAX_FILE_BYTES), _sha256(item))
            for item in top.tables("files")
        ),
        metrics=tuple(item.value for item in top.tables("metrics")),
        provenance=top.table("provenance").value,
        tools=top.table("tools").value,
        created=top.text("created"),
        temperature=top.number("temperature", 0.1, 10.0) if "temperature" in top.value else 1.0,
    )
    entries: tuple[Artefact | FileEntry | Golden, ...] = (*manifest.artefacts, *manifest.files, manifest.golden)
    paths = [entry.path.casefold() for entry in entries]
    if len(set(paths)) != len(paths):
        raise BundleError(f"{MANIFEST_NAME}: two entries name the same file.")
    _check_plain(value)
    return manifest


class _Reader:
    """Reads typed values out of one JSON object, with messages that name the key."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(
                f"{MANIFEST_NAME}: {where or 'the file'} must be a JSON object, received {_short(value)}."
            )
        self.value: dict[str, Any] = value
        self._where = where

    def get(self, key: str) -> Any:
        if key not in self.value:
            raise BundleError(f"{MANIFEST_NAME}: '{self.path(key)}' is missing.")
        return self.value[key]

    def path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def refuse(self, key: str, wanted: str) -> BundleError:
        return BundleError(
            f"{MANIFEST_NAME}: '{self.path(key)}' must be {wanted}, received {_short(self.value.get(key))}."
        )

    def text(self, key: str, allowed: tuple[str, ...] = ()) -> str:
        value = self.get(key)
        if not _is_line(value):
            raise self.refuse(key, "a string, printable and of at most 1000 characters")
        if allowed and value not in allowed:
            raise self.refuse(key, " or ".join(allowed))
        return str(value)

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(key, f"an integer from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(key, f"a number from {low} to {high}")
        return float(value)

    def strings(self, key: str) -> list[str]:
        value = self.get(key)
        if not isinstance(value, list) or not all(map(_is_line, value)):
            raise self.refuse(key, "a list of strings, printable and of at most 1000 characters")
        return cast("list[str]", value)

    def table(self, key: str) -> _Reader:
        return _Reader(self.get(key), self.path(key))

    def tables(self, key: str) -> list[_Reader]:
        value = self.get(key)
        if not isinstance(value, list) or len(value) > 100:
            raise self.refuse(key, "a list of at most 100 objects")
        return [_Reader(item, f"{self.path(key)}[{index}]") for index, item in enumerate(value)]


def _artefact(item: _Reader) -> Artefact:
    kind = item.text("format", FORMATS)
    return Artefact(
        path=_file_name(item, SUFFIXES[kind]),
        format=kind,
        precision=item.text("precision", PRECISIONS),
        size_bytes=item.integer("size_bytes", 1, MAX_FILE_BYTES),
        sha256=_sha256(item),
        input=_tensor(item.table("input"), "HWC"),
        output=_tensor(item.table("output"), "C"),
    )


def _tensor(item: _Reader, layout: Literal["HWC", "C"]) -> TensorSpec:
    shape = item.value.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) != len(layout)
        or not all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= 4096 for side in shape)
    ):
        raise item.refuse("shape", f"{len(layout)} integers from 1 to 4096")
    dtype = item.text("dtype", DTYPES)
    quantized = dtype != "float32"
    bounds = {"int8": (-128, 127), "uint8": (0, 255), "float32": (0, 0)}[dtype]
    return TensorSpec(
        name=item.text("name"),
        shape=tuple(shape),
        dtype=dtype,
        layout=item.text("layout", (layout,)),
        scale=item.number("scale", 1e-9 if quantized else 0.0, 1e3 if quantized else 0.0),
        zero_point=item.integer("zero_point", *bounds),
    )


def _preprocess(item: _Reader) -> Preprocess:
    framing = item.table("framing")
    return Preprocess(
        color=item.text("color", ("grey", "rgb")),
        face_size=item.integer("face_size", 8, 1024),
        input_size=item.integer("input_size", 8, 1024),
        channels=item.integer("channels", 1, 3),
        enlarge=item.text("enlarge", INTERPOLATIONS),
        align=item.text("align", ("eyes", "none")),
        mean=item.number("mean", -1e3, 1e3),
        std=item.number("std", 1e-3, 1e3),
        framing={name: _framing(framing.table(name)) for name in framing.value},
    )


def _framing(item: _Reader) -> Framing:
    return Framing(
        item.number("scale", 0.1, 10.0), item.number("offset_x", -2.0, 2.0), item.number("offset_y", -2.0, 2.0)
    )


def _check_fit(artefact: Artefact, preprocess: Preprocess, classes: int) -> None:
    expected = (preprocess.input_size, preprocess.input_size, preprocess.channels)
    if artefact.input.shape != expected:
        raise BundleError(f"{artefact.path}: the input is {artefact.input.shape}, but 'preprocess' makes {expected}.")
    if artefact.output.shape != (classes,):
        raise BundleError(f"{artefact.path}: the output is {artefact.output.shape}, but there are {classes} labels.")


def _file_name(item: _Reader, suffix: str) -> str:
    """A plain file name inside the bundle: no folders, no way out, the right suffix."""
    name: Any = item.get("path")
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", name)
    if not plain or name in (MANIFEST_NAME, SIGNATURE_NAME) or not name.endswith(suffix):
        raise item.refuse(
            "path", f"a plain file name{f' ending in {suffix}' if suffix else ''} (letters, digits, '.', '_', '-')"
        )
    return str(name)


def _sha256(item: _Reader) -> str:
    digest = item.text("sha256")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise item.refuse("sha256", "64 lower-case hexadecimal digits")
    return digest


def _is_line(value: Any) -> bool:
    """Control characters would reach terminals, and what reads our JSON Lines."""
    return isinstance(value, str) and len(value) <= 1000 and value.isprintable()


def _check_plain(value: Any) -> None:
    """What is only passed on, such as metrics, can be written again as JSON and shown: no NaN, no half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_NAME} is not valid JSON: {error}") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
