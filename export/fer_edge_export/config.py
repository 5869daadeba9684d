"""What an export is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from fer_edge_runtime.errors import ConfigError

UNCERTAIN_BELOW, UNCERTAIN_BELOW_OF_TWO = 0.4, 0.6  # of two probabilities one is always 0.5 or more
ALSO = ("float32", "float16")
TARGETS = ("x86-vnni", "x86", "arm64")


@dataclass(frozen=True, slots=True)
class QatConfig:
    """Quantization-aware training.

    Attributes:
        epochs: over the training faces; 0 is post-training quantization alone.
        learning_rate: of Adam at the start; it falls to zero along a cosine.
        batch_size: faces a step.
        seed: of order and augmentation.
    """

    epochs: int = 2
    learning_rate: float = 3e-5
    batch_size: int = 64
    seed: int = 7

    def __post_init__(self) -> None:
        """Refuse values that no training could use."""
        checks = (
            ("qat_epochs", self.epochs, 0 <= self.epochs <= 1000, "0 to 1000"),
            ("qat_learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "above 0, up to 1"),
            ("qat batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
        )
        for name, value, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} = {value!r} cannot be used; allowed: {allowed}.")


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """One export.

    Attributes:
        run: folder of a finished training run.
        out: bundle folder to make.
        data: the data set the run was trained on; None takes the path that the run recorded. Its digest must match.
        ferplus: the votes of FER+, for a run that learned from them, when they are not beside the data.
        name: of the bundle; empty takes the run folder's name.
        version: of the bundle.
        calibration_faces: training faces, balanced over the classes, that set the ranges of the integer tensors.
        framing_faces: training faces shown to each detector to learn the data set's framing.
        yunet: a YuNet file whose framing is measured too; None takes the one measured on FER2013.
        qat: quantization-aware training; the better of it and post-training quantization ships.
        seed: of every draw.
        max_drop_points: the gate: percentage points of PublicTest accuracy that int8 may lose against float.
        min_agreement: the gate: share of PublicTest to which int8 TFLite and int8 ONNX must give the same label.
        onnx: also make the ONNX artefact.
        target: processor whose integer kernels the ONNX artefact suits: ``x86-vnni``, ``x86`` or ``arm64``.
        mixed: convolutions and dense layers of the simplified network that stay in float32.
        also: further precisions that go into the bundle: ``float32`` (both formats), ``float16`` (TFLite).
        uncertain_below: calibrated probability under which the device says ``uncertain``; None is 0.4, or 0.6 of two classes.
        threads: of the engines that evaluate.
        overwrite: replace the bundle that ``out`` holds.
    """

    run: Path
    out: Path
    data: Path | None = None
    ferplus: Path | None = None
    name: str = ""
    version: str = "1.0.0"
    calibration_faces: int = 500
    framing_faces: int = 2000
    yunet: Path | None = None
    qat: QatConfig = field(default_factory=QatConfig)
    seed: int = 7
    max_drop_points: float = 1.0
    min_agreement: float = 0.98
    onnx: bool = True
    target: str = "x86-vnni"
    mixed: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    uncertain_below: float | None = None
    threads: int = 2
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no export could use."""
        checks = (
            ("calibration_faces", self.calibration_faces, 1 <= self.calibration_faces <= 20_000, "1 to 20000"),
            ("framing_faces", self.framing_faces, self.framing_faces >= 1, "1 or more"),
            (
                "max_drop_points",
                self.max_drop_points,
                math.isfinite(self.max_drop_points),
                "a finite number of percentage points",
            ),
            ("min_agreement", self.min_agreement, 0 <= self.min_agreement <= 1, "0 to 1"),
            ("target", self.target, self.target in TARGETS, ", ".join(TARGETS)),
            ("also", self.also, set(self.also) <= set(ALSO), " and ".join(ALSO)),
            ("uncertain_below", self.uncertain_below, 0 <= (self.uncertain_below or 0) <= 1, "0 to 1"),
            ("threads", self.threads, self.threads >= 1, "1 or more"),
            ("seed", self.seed, self.seed >= 0, "0 or more"),
            ("name", self.name, len(self.name) <= 100 and self.name.isprintable(), "at most 100 printable characters"),
        )
        for name, value, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} = {value!r} cannot be used; allowed: {allowed}.")

    @property
    def bundle_name(self) -> str:
        """The name that the manifest carries."""
        return self.name or self.run.resolve().name

    def uncertain_threshold(self, names: tuple[str, ...]) -> float:
        """The threshold that the manifest carries, of a model with these classes."""
        if self.uncertain_below is not None:
            return self.uncertain_below
        return UNCERTAIN_BELOW_OF_TWO if len(names) == 2 else UNCERTAIN_BELOW
