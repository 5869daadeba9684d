"""``fer-edge export``: from a run folder to a verified bundle."""

from __future__ import annotations

from pathlib import Path

from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import ConfigError


def export_command(
    run_folder: Path, *, out: Path, int8: bool, data: Path | None, ferplus: Path | None, name: str | None, max_drop: float,
    calibration_faces: int, onnx: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Quantize, convert, measure, write the bundle."""
    if not int8:
        raise ConfigError("Say --int8: full-integer quantization is the only export of this release.")
    need(("tensorflow", "tf_keras", "tf2onnx", "onnx", "onnxruntime"), "export")
    from fer_edge_export.config import ExportConfig
    from fer_edge_export.pipeline import export_bundle

    config = ExportConfig(
        run=run_folder, out=out, data=data, ferplus=ferplus, name=name or out.name, max_drop_points=max_drop,
        calibration_faces=calibration_faces, onnx=onnx, overwrite=overwrite,
    )  # fmt: skip
    with interruptible(f"nothing was written to {out}."), Display() as display:
        export_bundle(config, say=display.say, progress=display.progress)
