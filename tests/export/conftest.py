"""One tiny real run, trained on drawn faces and exported once; every test of this folder looks at what came out."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from looks import build_fast_settling, write_faces


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
    """``(run folder, data folder)``: a small cnn4 at 32 pixels on drawn faces, through the real trainer."""
    import fer_edge_train.trainer as trainer
    from fer_edge_train.config import Augment, FineTuneStage, HeadStage, TrainConfig
    from fer_edge_train.data import load_for

    root = tmp_path_factory.mktemp("tiny")
    write_faces(root / "faces")
    config = TrainConfig(
        "cnn4", input_size=32, width=0.2, batch_size=16, dropout=0.0, label_smoothing=0.1,
        augment=Augment(flip=True, rotation_degrees=0, shift=0.05, zoom=0, brightness=0, contrast=0),
        head=HeadStage(epochs=0), finetune=FineTuneStage(epochs=12, learning_rate=4e-3, unfreeze=1.0, patience=99),
    )  # fmt: skip
    data = load_for(config, root / "faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_training_model", build_fast_settling)
        trainer.train(config, data, root / "run", listener=trainer.Listener())
    return root / "run", root / "faces"


@pytest.fixture(scope="session")
def exported(tiny_run, tmp_path_factory):
    """The tiny run, exported for real."""
    import fer_edge_export.models as models_module
    from fer_edge_export import ExportConfig, export_bundle
    from fer_edge_export.config import QatConfig

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
            run=run, out=out, calibration_faces=90, framing_faces=40, max_drop_points=50, min_agreement=0.9,
            also=("float32", "float16"),
            qat=QatConfig(epochs=2, learning_rate=1e-4, batch_size=16),
        )  # fmt: skip
        result = export_bundle(config, say=sentences.append)
    return Export(run, data, out, result, made[0], sentences)
