"""Export: a finished training run becomes a bundle that a device can trust.

    export_bundle(ExportConfig(run=Path("runs/x"), out=Path("bundle")))

* `config`, `errors`: what an export is told, what can go wrong.
* `rebuild`, `graph`, `simplify`: the trained classifier again, in `tf_keras`, proven equal, in layers of one integer operator.
* `calibration`, `ranges`, `aware`, `qat`: real faces, the grids of the tensors, training on them.
* `tflite`, `onnx`, `metadata`, `models`: the full-integer artefacts, each checked.
* `device`, `evaluate`, `gate`, `latency`, `tensors`, `parity_page`: what they answer and cost, measured by the runtime.
* `inspection`: what a model file is made of.
* `golden`, `card`, `bundle_writer`: vectors, model card, the folder itself.
* `pipeline`: all of it, in order, with the gate.

TensorFlow and its relatives are loaded by the modules that use them, never by importing this package.
"""

from __future__ import annotations

from fer_edge_export.config import ExportConfig
from fer_edge_export.errors import ExportError
from fer_edge_export.pipeline import export_bundle

__all__ = ["ExportConfig", "ExportError", "export_bundle"]
