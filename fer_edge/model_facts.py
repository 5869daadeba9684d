"""What a bundle's manifest says, in words for people. Metrics and provenance are free JSON there, so nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fer_edge_runtime.manifest import Artefact, Manifest, TensorSpec

TEST, SELECTION, SINGLE = "PrivateTest", "PublicTest", "single crop"
INDENT = 2
ABSURD = 1e9


class Figure(NamedTuple):
    """One measurement of a bundle's metrics.

    Attributes:
        interval: 95 %, of the accuracy.
    """

    artefact: str
    precision: str
    split: str
    protocol: str
    n: int | None
    accuracy: float
    interval: tuple[float, float] | None
    macro_f1: float | None


def figures(manifest: Manifest) -> list[Figure]:
    """The measurements that can be read, in the manifest's order."""
    return [figure for entry in manifest.metrics if (figure := _figure(entry))]


def headline(manifest: Manifest) -> Figure | None:
    """The figure to compare bundles by: int8, single crop, PrivateTest; that of the TFLite model where there is one."""
    formats = {artefact.path: artefact.format for artefact in manifest.artefacts}
    found = [f for f in figures(manifest) if (f.precision, f.split, f.protocol) == ("int8", TEST, SINGLE)]
    return min(found, key=lambda figure: formats.get(figure.artefact) != "tflite", default=None)


def own_split(manifest: Manifest) -> str | None:
    """How the data was split, when not by FER2013's own usages: such figures do not compare with the others."""
    recipe = manifest.provenance.get("recipe")
    split = recipe.get("split") if isinstance(recipe, Mapping) else None
    return split if isinstance(split, str) and split != "usage" else None


def int8_tflite(manifest: Manifest) -> Artefact | None:
    """The model that a device runs unless told otherwise."""
    return next((a for a in manifest.artefacts if (a.format, a.precision) == ("tflite", "int8")), None)


def accuracy_words(accuracy: float, interval: tuple[float, float] | None) -> str:
    """With its 95 % interval where there is one."""
    return f"{accuracy:.2%}{f' ({interval[0]:.1%} to {interval[1]:.1%})' if interval else ''}"


def megabytes(size_bytes: int) -> str:
    """As people say it."""
    return f"{size_bytes / 1e6:.2f} MB"


def printable(text: str) -> str:
    """Without what could move the cursor of a terminal: a bundle's words are its writer's."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equally many cells as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe(manifest: Manifest, *, where: str, card: str) -> list[str]:
    """Everything a user asks of a bundle, line by line.

    Args:
        manifest: the bundle's.
        where: the bundle lies.
        card: where its model card lies; empty when it has none.
    """
    parts: dict[str, Iterator[Sequence[str]]] = {
        f"{manifest.name} {manifest.version}": _about(manifest, where, card),
        "Models": _models(manifest),
        "Preprocessing": _preprocessing(manifest),
        f"Metrics{_of_own_split(manifest)}": _metrics(manifest),
        "Provenance": _provenance(manifest),
        "Made with": ((name, str(version)) for name, version in manifest.tools.items()),
    }
    lines: list[str] = []
    for title, found in parts.items():
        rows = [[printable(cell) for cell in row] for row in found]
        body = [f"{'':{INDENT}}{line}" for line in table(rows)] if rows else [f"{'':{INDENT}}nothing recorded"]
        lines += ["", printable(title), *body]
    return lines[1:]


def _about(manifest: Manifest, where: str, card: str) -> Iterator[Sequence[str]]:
    yield "task", manifest.task
    yield "labels", f"{len(manifest.labels)}: {', '.join(manifest.labels)}"
    yield "created", manifest.created or "not recorded"
    yield "where", where
    yield "model card", card or "none"
    yield "uncertain", f"under a score of {manifest.uncertain_below:g}"
    told = (
        "scores are as the network gives them" if manifest.temperature == 1 else "divides the scores to calibrate them"
    )
    yield "temperature", f"{manifest.temperature:g}: {told}"


def _models(manifest: Manifest) -> Iterator[Sequence[str]]:
    for artefact in manifest.artefacts:
        yield artefact.path, f"{artefact.format}, {artefact.precision}, {megabytes(artefact.size_bytes)}"
        yield "  sha256", artefact.sha256
        yield "  input", _tensor(artefact.input)
        yield "  output", _tensor(artefact.output)


def _tensor(tensor: TensorSpec) -> str:
    scaled = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype} {'×'.join(map(str, tensor.shape))} {tensor.layout}{scaled}"


def _preprocessing(manifest: Manifest) -> Iterator[Sequence[str]]:
    spec = manifest.preprocess
    channels = f"{spec.channels} channel{'s' if spec.channels > 1 else ''}"
    upright = "eyes level" if spec.align == "eyes" else "as it stands"
    yield "face", f"{spec.color}, {spec.face_size}×{spec.face_size} pixels, {upright}"
    yield "input", f"{spec.input_size}×{spec.input_size} pixels, {channels}, enlarged by {spec.enlarge} interpolation"
    yield "values", f"(pixel - {spec.mean:g}) / {spec.std:g}"
    for name, framing in spec.framing.items():
        moved = f"{framing.offset_x:g} and {framing.offset_y:g}"
        yield f"framing {name}", f"box × {framing.scale:g}, moved by {moved} boxes"


def _metrics(manifest: Manifest) -> Iterator[Sequence[str]]:
    found = sorted(figures(manifest), key=lambda figure: _order(figure.split))
    if found:
        yield "split", "model", "precision", "protocol", "faces", "accuracy (95 % interval)", "macro-F1"
    for figure in found:
        faces = f"{figure.n:,}" if figure.n is not None else ""
        macro_f1 = f"{figure.macro_f1:.3f}" if figure.macro_f1 is not None else ""
        accuracy = accuracy_words(figure.accuracy, figure.interval)
        yield figure.split, figure.artefact, figure.precision, figure.protocol, faces, accuracy, macro_f1


def _order(split: str) -> tuple[int, str]:
    """First what chose the epoch, then what was looked at once."""
    known = (SELECTION, TEST)
    return (known.index(split) if split in known else len(known), split)


def _of_own_split(manifest: Manifest) -> str:
    split = own_split(manifest)
    return f" (data split {split}: PublicTest and PrivateTest are its validation and test parts)" if split else ""


def _provenance(manifest: Manifest) -> Iterator[Sequence[str]]:
    record = manifest.provenance
    recipe, trained, quantization, gate = (
        _mapping(record.get(key)) for key in ("recipe", "trained_with", "quantization", "gate")
    )
    seconds, lost = _number(record.get("seconds")), _number(gate.get("drop_points"))
    facts = {
        "run": record.get("run"),
        "recipe": recipe.get("name"),
        "network": recipe.get("architecture"),
        "seed": recipe.get("seed"),
        "data": record.get("dataset"),
        "data digest": record.get("dataset_digest"),
        "weights": record.get("weights"),
        "best epoch": record.get("best_epoch"),
        "device": trained.get("device"),
        "backend": trained.get("backend"),
        "time": None if seconds is None else f"{seconds / 60:.0f} min",
        "quantization": quantization.get("method"),
        "int8 lost": None if lost is None else f"{lost:+.2f} points of {gate.get('split')}",
    }  # fmt: skip
    yield from ((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _figure(entry: Mapping[str, Any]) -> Figure | None:
    accuracy, n = _number(entry.get("accuracy")), entry.get("n")
    if accuracy is None:
        return None
    artefact, precision, split, protocol = (
        str(entry.get(key, "")) for key in ("artefact", "precision", "split", "protocol")
    )
    return Figure(
        artefact, precision, split, protocol, n if isinstance(n, int) and _number(n) is not None else None, accuracy, _pair(entry.get("interval95")),
        _number(entry.get("macro_f1")),
    )  # fmt: skip


def _pair(value: Any) -> tuple[float, float] | None:
    low, high = map(_number, value) if isinstance(value, list) and len(value) == 2 else (None, None)
    return None if low is None or high is None else (low, high)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    """A number that can be shown; neither infinite nor absurd."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < ABSURD else None
