"""Faces drawn with numpy, and the files they are written to; nothing here comes from FER2013."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_edge_train.architectures import BACKBONES, Backbone
from fer_edge_train.config import FineTuneStage, HeadStage, TrainConfig
from fer_edge_train.data import FER2013_LABELS, USAGES, FaceDataset
from fer_edge_train.trainer import Listener

SILENT = Listener()


def tiny_backbone(keras: Any, pixels: Any, width: float, weights: str | None) -> Any:
    """Two convolutions with batch statistics: TensorFlow compiles it in a second, and it learns the drawn faces."""
    layers, x = keras.layers, pixels
    for number, filters in enumerate((8, 16)):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"bn{number}", momentum=0.5)(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(pixels, x, name="tiny_backbone")


BACKBONES["tiny"] = Backbone(tiny_backbone, widths=True)  # beside the ones that ship, for the tests alone
TINY = TrainConfig(
    architecture="tiny",
    input_size=32,
    batch_size=32,
    dropout=0.1,
    head=HeadStage(epochs=1, learning_rate=1e-2),
    finetune=FineTuneStage(epochs=3, learning_rate=1e-2, unfreeze=0.5, patience=3),
)


# The shipped architecture at its smallest.
MOBILENET = TrainConfig(architecture="mobilenetv2", input_size=32, width=0.35, batch_size=32)
MOBILENET_TOML = """
architecture = "mobilenetv2"
input_size = 32
width = 0.35
batch_size = 32
head = {epochs = 1, learning_rate = 1e-2}
finetune = {epochs = 1, learning_rate = 1e-3, unfreeze = 0.1}
"""


def draw_face(label: int, generator: np.random.Generator) -> np.ndarray:
    """(48, 48) uint8: an oval, two eyes and a mouth whose curve and gape depend on the label, under noise."""
    y, x = np.mgrid[:48, :48].astype(np.float32)
    picture = np.full((48, 48), 60, np.float32)
    picture[((x - 23.5) / 17) ** 2 + ((y - 23.5) / 22) ** 2 < 1] = 180
    for eye in (16, 31):
        picture[((x - eye) / 3) ** 2 + ((y - 18) / (1 + label % 3)) ** 2 < 1] = 20
    curve = (label - 3) * 1.5 * (((x - 23.5) / 9) ** 2 - 0.5)
    picture[(abs(x - 23.5) < 9) & (abs(y - 34 + curve) < 1 + label % 2)] = 30
    return np.clip(picture + generator.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def drawn_dataset(*, training: int = 12, selection: int = 3, test: int = 3, seed: int = 0) -> FaceDataset:
    """So many faces of every class in each part, interleaved as in FER2013."""
    generator = np.random.default_rng(seed)
    rows = [
        (label, usage)
        for usage, count in zip(USAGES, (training, selection, test), strict=True)
        for _ in range(count)
        for label in range(len(FER2013_LABELS))
    ]
    images = np.stack([draw_face(label, generator) for label, _ in rows])
    labels = np.array([label for label, _ in rows], np.int64)
    return FaceDataset(images, labels, np.array([usage for _, usage in rows], np.str_), FER2013_LABELS, "drawn")


def webp(face: np.ndarray) -> bytes:
    return cv2.imencode(".webp", face, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()  # above 100 is lossless


def write_parquet(path: Path, data: FaceDataset, **columns: object) -> Path:
    """The columns of fer2013.parquet; ``columns`` replaces some, None leaves one out."""
    table: dict[str, object] = {
        "image": [webp(face) for face in data.images],
        "emotion": data.labels.tolist(),
        "usage": data.usage.tolist(),
    }
    table = {name: values for name, values in (table | columns).items() if values is not None}
    pq.write_table(pa.table(table), path)
    return path


def csv_line(face: np.ndarray, label: object, usage: str) -> str:
    return f"{label},{' '.join(map(str, face.ravel()))},{usage}"


def write_csv(path: Path, data: FaceDataset, *extra: str, header: str = "emotion,pixels,Usage") -> Path:
    """The form of Kaggle's fer2013.csv, then ``extra`` lines."""
    rows = zip(data.images, data.labels, data.usage, strict=True)
    path.write_text("\n".join([header, *(csv_line(*row) for row in rows), *extra]) + "\n")
    return path


def write_folders(root: Path, data: FaceDataset, *, form: str = "train/test") -> Path:
    """``train/<class>`` and ``test/<class>``, or with ``form="plain"`` only ``<class>``; one PNG a face."""
    for number, (face, label, usage) in enumerate(zip(data.images, data.labels, data.usage, strict=True)):
        part = "" if form == "plain" else "train" if usage == "Training" else "test"
        folder = root / part / data.names[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04}.png").write_bytes(cv2.imencode(".png", face)[1].tobytes())
    return root
