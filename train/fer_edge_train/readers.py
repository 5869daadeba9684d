"""Read faces from the forms they are kept in: parquet, the Kaggle CSV, one folder per class.

A row that cannot be used stops nobody here: it is remembered with its place and the reason, and the caller decides.
"""

from __future__ import annotations

import csv
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError
from fer_edge_runtime.sources.base import quiet_opencv
from fer_edge_runtime.sources.picture import PICTURE_SUFFIXES
from fer_edge_train.faces import FACE_SIZE, FER2013_LABELS, USAGES, FaceDataset, Rows
from fer_edge_train.ferplus import VOTES

Picture = tuple[NDArray[np.uint8], tuple[int, int]]
PARTS = {
    "Training": ("train", "training"),
    "PublicTest": ("validation", "val", "valid", "publictest"),
    "PrivateTest": ("test", "privatetest"),
}
_CODES = {str(code): code for code in range(len(FER2013_LABELS))}
_BYTES = {str(value) for value in range(256)}
_CHUNK = 256  # pictures a thread decodes at a time
_SYSTEM = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")  # what computers leave in folders
# What people put beside pictures on purpose.
_NOTES = (".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf")


def read_rows(path: Path) -> Rows:
    """Read whatever ``path`` is: a ``.parquet`` or ``.csv`` file or a folder.

    Raises:
        DataError: it is missing, of no known form, lacks a column, or holds no two classes.
    """
    if not path.exists():
        raise DataError(
            f"There is no data set at {path}. Give a .parquet or .csv file, or a folder with one folder per class."
        )
    if path.is_dir():
        rows = _read_folders(path)
    elif path.suffix.lower() == ".parquet":
        rows = _read_parquet(path)
    elif path.suffix.lower() == ".csv":
        rows = _read_csv(path)
    else:
        raise DataError(
            f"{path} is neither a .parquet nor a .csv file nor a folder, so it cannot be read as a data set."
        )
    found = np.unique(rows.faces.labels)
    if len(found) == 1 and not rows.broken:
        raise DataError(f"{path} holds one class only, {rows.faces.names[found[0]]}; at least two are needed.")
    if not len(found) and not rows.broken:
        raise DataError(f"{path} holds no rows.")
    return rows


class _Collector:
    """Puts good rows together and remembers the broken ones."""

    def __init__(self) -> None:
        self.pixels = bytearray()
        self.labels: list[int] = []
        self.usage: list[str] = []
        self.places: list[str] = []
        self.positions: list[int] = []
        self.broken: list[tuple[str, str]] = []
        self.sizes: Counter[tuple[int, int]] = Counter()
        self._count = 0

    def add(self, picture: Picture | str, label: int | str, usage: str, place: str) -> None:
        """One row; a picture or label that is a string is the reason why it cannot be used."""
        reason = next((part for part in (picture, label) if isinstance(part, str)), None)
        if reason is None and usage not in USAGES:
            reason = f"unknown usage {usage!r}; known: {', '.join(USAGES)}"
        if reason is not None:
            self.broken.append((place, reason))
        elif not isinstance(picture, str) and not isinstance(label, str):
            image, size = picture
            self.pixels += image.data
            self.sizes[size] += 1
            self.labels.append(label)
            self.usage.append(usage)
            self.places.append(place)
            self.positions.append(self._count)
        self._count += 1

    def rows(self, names: tuple[str, ...], source: Path, votes: NDArray[np.uint8] | None = None) -> Rows:
        """All of them; ``votes`` are of all rows, the broken ones too."""
        images = np.frombuffer(self.pixels, np.uint8).reshape(-1, FACE_SIZE, FACE_SIZE)
        positions = np.array(self.positions, np.int64)
        faces = FaceDataset(
            images, np.array(self.labels, np.int64), np.array(self.usage, np.str_), names, str(source)
        )  # fmt: skip
        return Rows(
            faces, self.places, positions, self.broken, dict(self.sizes), None if votes is None else votes[positions]
        )


def _read_parquet(path: Path) -> Rows:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    quiet_opencv()
    needed = ["image", "emotion", "usage"]
    found = _Collector()
    try:
        with ParquetFile(path) as file:
            columns = file.schema_arrow.names
            missing = [name for name in needed if columns.count(name) != 1]
            if missing:
                raise DataError(
                    f"{path} needs the column(s) {', '.join(missing)} once each; found: {', '.join(columns)}."
                )
            _check_binary(file.schema_arrow.field("image").type, path)
            votes = [f"ferplus_{name.lower()}" for name in VOTES]
            votes = votes if set(votes) <= set(columns) else []
            table = file.read(columns=["emotion", "usage", *votes])
            counted = np.stack([_counts(table[name], name, path) for name in votes], axis=1) if votes else None
            emotions, usages = table["emotion"].to_pylist(), table["usage"].to_pylist()
            batches = file.iter_batches(_CHUNK, columns=["image"], use_threads=False)
            encoded = (value.as_buffer() or b"" for batch in batches for value in batch.column(0))
            for row, picture in enumerate(_in_threads(decode_face, encoded)):
                found.add(picture, _code(emotions[row]), str(usages[row]), f"row {row}")
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a parquet file with the columns {', '.join(needed)}: {error}") from error
    return found.rows(FER2013_LABELS, path, counted)


def _counts(column: Any, name: str, path: Path) -> NDArray[np.uint8]:
    import pyarrow.types as kinds

    whole = kinds.is_integer(column.type) and not column.null_count
    values = column.to_numpy() if whole else np.array([-1])
    if len(values) and not 0 <= values.min() <= values.max() <= 255:
        raise DataError(f"{path}: the column '{name}' must hold numbers of votes, 0 to 255, in every row.")
    return values.astype(np.uint8)


def _check_binary(kind: Any, path: Path) -> None:
    import pyarrow.types as kinds

    if not (kinds.is_binary(kind) or kinds.is_large_binary(kind)):
        raise DataError(f"{path}: the column 'image' holds {kind}, expected binary: the bytes of a picture.")


def _in_threads(decode: Callable[[Any], Picture | str], encoded: Iterable[Any]) -> Iterator[Picture | str]:
    """Decode in order, a batch at a time, so that memory stays bounded."""
    threads = len(os.sched_getaffinity(0))

    def decode_all(items: list[Any]) -> list[Picture | str]:
        return [decode(item) for item in items]

    with ThreadPoolExecutor(threads) as pool:
        items = iter(encoded)
        while together := [chunk for _ in range(2 * threads) if (chunk := list(islice(items, _CHUNK)))]:
            for pictures in pool.map(decode_all, together):
                yield from pictures


def decode_face(encoded: Any) -> Picture | str:
    """A picture in memory as a 48×48 grey face and its own (width, height), or why it is none."""
    raw = np.frombuffer(encoded, np.uint8)
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE) if raw.size else None
    except (cv2.error, MemoryError):  # a header that promises more pixels than OpenCV accepts
        image = None
    if image is None:
        return f"not a picture that OpenCV can decode ({raw.size} bytes)"
    size = (image.shape[1], image.shape[0])
    if size != (FACE_SIZE, FACE_SIZE):
        image = cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image, np.uint8), size


def _code(value: Any) -> int | str:
    code = _CODES.get(str(value).strip().removesuffix(".0"))
    return f"emotion {value!r} is not one of 0 to {len(FER2013_LABELS) - 1}" if code is None else code


def _read_csv(path: Path) -> Rows:
    found = _Collector()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how numpy says that a text is not all numbers
            lines = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(lines, [])]
            if not any(header):
                raise DataError(f"{path} is empty; expected the columns emotion, pixels and Usage.")
            missing = [name for name in ("emotion", "pixels", "Usage") if name not in header]
            if missing and set(VOTES) <= set(header):
                raise DataError(
                    f"{path} holds the votes of FER+, no faces. Give fer2013.csv with this file beside it, or named by --ferplus."
                )
            if missing:
                raise DataError(
                    f"{path} lacks the column(s) {', '.join(missing)} of fer2013.csv; found: {', '.join(header)}."
                )
            emotion, pixels, usage = (header.index(name) for name in ("emotion", "pixels", "Usage"))
            for line in lines:
                if not any(line):
                    continue
                line += [""] * (len(header) - len(line))
                found.add(
                    parse_pixels(line[pixels]), _code(line[emotion]), line[usage].strip(), f"line {lines.line_num}"
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    return found.rows(FER2013_LABELS, path)


def parse_pixels(text: str) -> Picture | str:
    """A face from 2,304 numbers with spaces between, or why it is none."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        values = np.zeros(0, np.int64)
    if values.size == FACE_SIZE**2 and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE), (FACE_SIZE, FACE_SIZE)
    words = text.split()
    wrong = next((word for word in words if word not in _BYTES), None)
    if wrong is not None:
        shown = wrong if len(wrong) <= 20 else f"{wrong[:20]}…"
        return f"the column 'pixels' holds {shown}; pixel values are whole numbers, 0 to 255"
    return f"expected {FACE_SIZE**2} values ({FACE_SIZE}×{FACE_SIZE}) in the column 'pixels', found {len(words)}"


def _read_folders(path: Path) -> Rows:
    """``train``, ``validation`` and ``test`` folders of class folders, or class folders alone, which are all Training."""
    quiet_opencv()
    roots = _part_folders(path)
    names = class_folders(roots["Training"])
    if len(names) < 2:
        raise DataError(
            f"{path} holds {len(names)} class folder(s); at least two are needed, such as {path}/train/happy/*.jpg."
        )
    if set(names) == set(FER2013_LABELS):
        names = FER2013_LABELS
    for root in roots.values():
        unknown = sorted(set(class_folders(root)) - set(names))
        if unknown:
            raise DataError(f"{root / unknown[0]}: no such class among the training folders: {', '.join(names)}.")
    pictures = [
        (picture, names.index(name), usage)
        for usage, root in roots.items()
        for name in names
        for picture in _entries(root / name)
    ]
    filled = {label for picture, label, usage in pictures if usage == "Training" and picture.is_file()}
    if not filled:
        raise DataError(f"{path} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}) in its class folders.")
    for label, name in enumerate(names):
        if label not in filled:
            raise DataError(f"The class folder {roots['Training'] / name} holds no pictures.")
    found = _Collector()
    decoded = _in_threads(_read_face, (picture for picture, _, _ in pictures))
    for (picture, label, usage), face in zip(pictures, decoded, strict=True):
        found.add(face, label, usage, str(picture.relative_to(path)))
    return found.rows(names, path)


def _part_folders(path: Path) -> dict[str, Path]:
    """usage -> its folder, whatever the case of its name; class folders alone are the training part."""
    folders = {name.lower(): path / name for name in class_folders(path)}
    found = {
        usage: next(folders[name] for name in names if name in folders)
        for usage, names in PARTS.items()
        if set(names) & set(folders)
    }
    return found if "Training" in found else {"Training": path}


def class_folders(root: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, the hidden ones left out."""
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not _hidden(entry)))


def _hidden(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name in _SYSTEM


def _entries(folder: Path) -> list[Path]:
    """Everything in a class folder that is a picture or ought to be one: its bytes decide, not its name."""
    if not folder.is_dir():
        return []
    return sorted(e for e in folder.iterdir() if not _hidden(e) and e.suffix.lower() not in _NOTES)


def _read_face(picture: Path) -> Picture | str:
    if picture.is_dir():
        return "a folder inside a class folder; pictures must lie directly in the folder of their class"
    try:
        return decode_face(picture.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
