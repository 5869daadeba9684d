"""Read a data set of faces: the FER2013 parquet, the Kaggle CSV, or one folder per class.

Every reader returns the same `FaceDataset`: grey 48×48 `uint8` faces with labels and the split each row belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import DataError

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_SIZE = 48
USAGES = ("Training", "PublicTest", "PrivateTest")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class FaceDataset:
    """Faces in memory.

    Attributes:
        images: (N, 48, 48) uint8, grey.
        labels: (N,) int64, index into ``names``.
        usage: (N,) of ``Training``, ``PublicTest`` (selection) or ``PrivateTest`` (reported once).
        names: class names in label order.
        source: the path it was read from.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    usage: NDArray[np.str_]
    names: tuple[str, ...]
    source: str

    def part(self, usage: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images and labels of one usage."""
        rows = self.usage == usage
        return self.images[rows], self.labels[rows]

    def digest(self) -> str:
        """SHA-256 over pixels, labels, usages and names: equal data sets have equal digests, whatever their file form."""
        total = hashlib.sha256()
        for array in (self.images, self.labels.astype("<i8")):
            total.update(np.ascontiguousarray(array).tobytes())
        total.update("\n".join([*self.usage, *self.names]).encode())
        return total.hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """usage -> class name -> number of faces."""
        return {
            usage: {name: int(np.sum((self.usage == usage) & (self.labels == k))) for k, name in enumerate(self.names)}
            for usage in USAGES
        }


def load_dataset(path: Path, *, split: str = "usage", seed: int = 7) -> FaceDataset:
    """Read whatever ``path`` is.

    Args:
        path: ``.parquet`` (image, emotion, usage), ``.csv`` (emotion, pixels, Usage) or a folder
            (``train/<class>/*``, ``test/<class>/*``, or just ``<class>/*``).
        split: ``usage`` takes the file's own splits; ``80-20`` puts a seeded, stratified fifth of the training rows
            aside for selection and everything else in the test part.
        seed: of the 80-20 split.

    Raises:
        DataError: the path is missing, of no known form, or holds a broken row (named).
    """
    if not path.exists():
        raise DataError(
            f"There is no data set at {path}. Give a .parquet or .csv file, or a folder with one folder per class."
        )
    if path.is_dir():
        data = _read_folders(path, seed)
    elif path.suffix == ".parquet":
        data = _read_parquet(path)
    elif path.suffix == ".csv":
        data = _read_csv(path)
    else:
        raise DataError(
            f"{path} is neither a .parquet nor a .csv file nor a folder, so it cannot be read as a data set."
        )
    if split == "80-20" and not path.is_dir():  # folders are always split so
        data = _split_80_20(data, seed)
    for usage in USAGES:
        if not np.any(data.usage == usage):
            found = ", ".join(sorted(set(data.usage.tolist()))) or "no rows at all"
            hint = (
                "Try split = '80-20'." if split == "usage" and not path.is_dir() else "Give more faces of each class."
            )
            raise DataError(f"{path} has no rows for {usage}; found: {found}. {hint}")
    return data


def _read_parquet(path: Path) -> FaceDataset:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "emotion", "usage"])
    except (pyarrow.ArrowInvalid, OSError, KeyError) as error:
        raise DataError(f"{path} is not a parquet file with the columns image, emotion and usage: {error}") from error
    images = np.empty((table.num_rows, FACE_SIZE, FACE_SIZE), np.uint8)
    for row, encoded in enumerate(_encoded(table["image"], path)):
        images[row] = _decode(encoded, f"{path}, row {row}")
    return _checked(images, table["emotion"].to_pylist(), table["usage"].to_pylist(), path)


def _encoded(column: Any, path: Path) -> Iterator[Any]:
    """The bytes of every picture of a parquet column."""
    import pyarrow.types as kinds

    if not (kinds.is_binary(column.type) or kinds.is_large_binary(column.type)):
        raise DataError(f"{path}: the column 'image' holds {column.type}, expected binary: the bytes of a picture.")
    for value in column:
        yield value.as_buffer() or b""


def _read_csv(path: Path) -> FaceDataset:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False, skip_blank_lines=False, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    table.columns = table.columns.str.strip()
    missing = {"emotion", "pixels", "Usage"} - set(table.columns)
    if missing:
        raise DataError(f"{path} lacks the column(s) {', '.join(sorted(missing))}; found: {', '.join(table.columns)}.")
    table = table.fillna("")  # a line that ends early
    table = table[(table != "").any(axis=1)]
    lines = (table.index + 2).tolist()
    images = np.empty((len(table), FACE_SIZE, FACE_SIZE), np.uint8)
    for row, text in enumerate(table["pixels"]):
        images[row] = _pixels(text, f"{path}, line {lines[row]}")
    usage = [text.strip() for text in table["Usage"]]
    return _checked(images, table["emotion"].tolist(), usage, path, lines=lines)


def _pixels(text: str, where: str) -> NDArray[np.uint8]:
    """A face from 2,304 numbers with spaces between."""
    try:
        values = np.array(text.split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: the column 'pixels' holds something that is not a whole number: {error}.") from error
    if values.size != FACE_SIZE**2:
        raise DataError(f"{where}: expected {FACE_SIZE**2} values in the column 'pixels', found {values.size}.")
    bad = values[(values < 0) | (values > 255)]
    if bad.size:
        raise DataError(f"{where}: the column 'pixels' holds {bad[0]}; pixel values are 0 to 255.")
    return values.reshape(FACE_SIZE, FACE_SIZE).astype(np.uint8)


def _checked(
    images: NDArray[np.uint8], emotion: list[Any], usage: list[Any], path: Path, *, lines: list[int] | None = None
) -> FaceDataset:
    """The data set, once every emotion and usage is known; ``lines`` are the rows' places in a text file."""
    codes = {str(code): code for code in range(len(FER2013_LABELS))}
    labels = np.empty(len(emotion), np.int64)
    for row, (value, part) in enumerate(zip(emotion, usage, strict=True)):
        where = f"{path}, row {row}" if lines is None else f"{path}, line {lines[row]}"
        code = codes.get(str(value).strip().removesuffix(".0"))
        if code is None:
            raise DataError(f"{where}: emotion {value!r} is not one of 0 to {len(FER2013_LABELS) - 1}.")
        if part not in USAGES:
            raise DataError(f"{where}: unknown usage {part!r}; known: {', '.join(USAGES)}.")
        labels[row] = code
    return FaceDataset(images, labels, np.array(usage, np.str_), FER2013_LABELS, str(path))


def _read_folders(path: Path, seed: int) -> FaceDataset:
    """``train``/``test`` folders keep their test part; plain class folders are split by `_split_80_20` conventions."""
    roots = {"Training": path / "train", "PrivateTest": path / "test"}
    if not (path / "train").is_dir():
        roots = {"Training": path}
    names = _class_folders(roots["Training"])
    if len(names) < 2:
        raise DataError(
            f"{path} holds {len(names)} class folder(s); at least two are needed, such as {path}/train/happy/*.jpg."
        )
    if set(names) == set(FER2013_LABELS):
        names = FER2013_LABELS
    for root in roots.values():
        unknown = sorted(set(_class_folders(root)) - set(names))
        if unknown:
            raise DataError(f"{root / unknown[0]}: no such class among the training folders: {', '.join(names)}.")
    rows = [
        (picture, names.index(name), usage)
        for usage, root in roots.items()
        for name in names
        for picture in _pictures(root / name)
    ]
    if not rows:
        raise DataError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    filled = {label for _, label, usage in rows if usage == "Training"}
    for label, name in enumerate(names):
        if label not in filled:
            raise DataError(f"The class folder {roots['Training'] / name} holds no pictures.")
    images = np.stack([_decode(_read(picture), str(picture)) for picture, _, _ in rows])
    data = FaceDataset(
        images,
        np.array([label for _, label, _ in rows], np.int64),
        np.array([usage for _, _, usage in rows], np.str_),
        names,
        str(path),
    )
    return _split_80_20(data, seed)


def _class_folders(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))


def _read(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise DataError(f"{picture} cannot be read: {error.strerror}.") from error


def _pictures(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in PICTURE_SUFFIXES)


def _decode(encoded: object, where: str) -> NDArray[np.uint8]:
    raw = np.frombuffer(encoded, np.uint8)  # type: ignore[call-overload]
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE) if raw.size else None
    except cv2.error:  # a header that promises more pixels than OpenCV accepts
        image = None
    if image is None:
        raise DataError(f"{where}: not a picture that OpenCV can decode ({raw.size} bytes).")
    if image.shape != (FACE_SIZE, FACE_SIZE):
        image = cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def _split_80_20(data: FaceDataset, seed: int) -> FaceDataset:
    """Seeded, stratified: a fifth of the training rows becomes PublicTest (selection); the test rows become PrivateTest.

    Without any test rows, another fifth of the training rows becomes the test part first.
    """
    generator = np.random.default_rng(seed)
    usage = np.where(data.usage == "Training", "Training", "PrivateTest").astype("<U11")
    parts = ["PublicTest"] if np.any(usage == "PrivateTest") else ["PrivateTest", "PublicTest"]
    for part in parts:
        for label in range(len(data.names)):
            rows = np.flatnonzero((usage == "Training") & (data.labels == label))
            usage[generator.permutation(rows)[: len(rows) // 5]] = part
    return FaceDataset(data.images, data.labels, usage, data.names, data.source)
