"""``fer-edge export``: from a run folder to a verified bundle."""

from __future__ import annotations

from pathlib import Path

from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import ConfigError


def export_command(
    run_folder: Path, *, unexpected: list[Path], out: Path | None, int8: bool, data: Path | None, ferplus: Path | None, name: str | None, max_drop: float,
    calibration_faces: int, ptq: bool, qat_epochs: int, qat_learning_rate: float, onnx: bool, target: str, mixed: tuple[str, ...], also: tuple[str, ...], uncertain_below: float | None, overwrite: bool,
) -> None:  # fmt: skip
    """Quantize, convert, measure, write the bundle."""
    if unexpected:
        raise ConfigError(
            f"export takes one run; received {unexpected[0]} as well. Export it with a command of its own."
        )
    if out is None:
        raise ConfigError("Say where the bundle goes with --out.")
    if not int8:
        raise ConfigError("Say --int8: full-integer quantization is the only export of this release.")
    need(("tensorflow", "tf_keras", "tensorflow_model_optimization", "tf2onnx", "onnx", "onnxruntime"), "export")
    from fer_edge_export.config import ExportConfig, QatConfig
    from fer_edge_export.pipeline import export_bundle

    config = ExportConfig(
        run=run_folder, out=out, data=data, ferplus=ferplus, name=name or out.name, max_drop_points=max_drop,
        calibration_faces=calibration_faces, qat=QatConfig(0 if ptq else qat_epochs, qat_learning_rate), onnx=onnx,
        target=target, mixed=mixed, also=also, uncertain_below=uncertain_below, overwrite=overwrite,
    )  # fmt: skip
    advice = f"nothing was written to {out}. Finished epochs of quantization-aware training are kept in {run_folder}; the same command goes on."
    with interruptible(advice), Display() as display:
        export_bundle(config, say=display.say, progress=display.progress)
