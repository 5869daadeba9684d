"""One tiny real run, trained on drawn faces and exported once; every test of this folder looks at what came out."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

NAMES = ("happy", "neutral", "sad")


def draw_face(name, generator):
    """(48, 48) uint8: eyes and a mouth, the mouth's bend is the class."""
    face = np.full((48, 48), generator.integers(40, 90), np.uint8)
    x, y = (int(v) for v in generator.integers(-3, 4, 2))
    cv2.ellipse(face, (24 + x, 24 + y), (17, 21), 0, 0, 360, int(generator.integers(170, 220)), -1)
    for eye in (17, 31):
        cv2.circle(face, (eye + x, 19 + y), 2, 20, -1)
    bend = {"happy": (0, 180, 30), "neutral": (0, 360, 34), "sad": (180, 360, 38)}[name]
    cv2.ellipse(face, (24 + x, bend[2] + y), (8, 1 if name == "neutral" else 5), 0, bend[0], bend[1], 20, 2)
    noise = generator.normal(0, 8, face.shape)
    return np.clip(face + noise, 0, 255).astype(np.uint8)


def write_faces(root, *, train=90, test=30):
    """Class folders ``train/<name>`` and ``test/<name>`` of PNG files."""
    generator = np.random.default_rng(3)
    for part, count in (("train", train), ("test", test)):
        for name in NAMES:
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                cv2.imwrite(str(folder / f"{index:03}.png"), draw_face(name, generator))


@dataclass
class Export:
    """The tiny run's paths and everything its export produced."""

    run: Path
    data: Path
    out: Path
    result: dict
    models: object
    sentences: list


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """``(run folder, data folder)``: MobileNetV2 0.35 at 32 pixels on drawn faces, through the real trainer."""
    import fer_edge_train.trainer as trainer
    from fer_edge_train.config import Augment, FineTuneStage, HeadStage, TrainConfig
    from fer_edge_train.data import load_dataset

    root = tmp_path_factory.mktemp("tiny")
    write_faces(root / "faces")
    config = TrainConfig(
        "mobilenetv2", input_size=32, width=0.35, batch_size=16, dropout=0.0, label_smoothing=0.1,
        augment=Augment(flip=False, rotation_degrees=0, shift=0, zoom=0, brightness=0, contrast=0),
        head=HeadStage(epochs=0), finetune=FineTuneStage(epochs=10, learning_rate=2e-3, unfreeze=1.0, patience=99),
    )  # fmt: skip
    data = load_dataset(root / "faces", split=config.split, seed=config.seed)
    quiet = trainer.Listener(say=lambda text: None, start=lambda title, steps: None, step=lambda loss, accuracy: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_training_model", build_fast_settling)
        trainer.train(config, data, root / "run", weights=None, listener=quiet)
    return root / "run", root / "faces"


def build_fast_settling(*args):
    """The real network, its batch norm's averages moving fast enough for the few steps that a test has."""
    import keras

    from fer_edge_train.network import build_training_model

    graph, classifier = build_training_model(*args)
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.6
    return graph, classifier


@pytest.fixture(scope="session")
def exported(tiny_run, tmp_path_factory):
    """The tiny run, exported for real."""
    import fer_edge_export.models as models_module
    from fer_edge_export import ExportConfig, export_bundle

    run, data = tiny_run
    out = tmp_path_factory.mktemp("export") / "bundle"
    made, sentences = [], []
    original = models_module.make_models

    def spy(*args, **kwargs):
        made.append(original(*args, **kwargs))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_module, "make_models", spy)
        config = ExportConfig(
            run=run, out=out, calibration_faces=90, framing_faces=40, max_drop_points=50, keep_float=True
        )
        result = export_bundle(config, say=sentences.append)
    return Export(run, data, out, result, made[0], sentences)
