"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge_runtime.engines.base import EngineInfo
from fer_edge_runtime.errors import BundleError, MissingPackageError
from fer_edge_runtime.manifest import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(float)": "float32"}


class OnnxEngine:
    """Runs an ONNX classifier; ONNX files do not say the scale of a quantized output, so the manifest does."""

    def __init__(self, content: bytes, *, name: str, output: TensorSpec, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError("onnxruntime", "onnx", str(error)) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Spinning worker threads would take the core away from the camera and the detector.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own native module, which share only this base
            raise BundleError(
                f"{name} is not an ONNX model that this runtime can read: {_first_line(error)}"
            ) from error
        self._version = str(onnxruntime.__version__)
        self._name = name
        self._scale = np.float32(output.scale)
        self._zero_point = np.float32(output.zero_point)
        self._threads = threads
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(
                f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each."
            )
        self.input = _tensor(inputs[0], "HWC", name)
        self.output = _tensor(outputs[0], "C", name)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.run`."""
        (raw,) = self._session.run(None, {self.input.name: batch})
        if raw.dtype == np.float32:
            return np.asarray(raw)
        return np.asarray((raw.astype(np.float32) - self._zero_point) * self._scale)

    def describe(self) -> EngineInfo:
        """See `Engine.describe`."""
        return EngineInfo(
            "onnxruntime", self._version, "cpu", self._session.get_providers()[0], self._threads, self._name
        )


def _tensor(value: Any, layout: str, name: str) -> TensorSpec:
    if value.type not in _DTYPES:
        raise BundleError(f"{name}: a tensor is {value.type}; known are {', '.join(_DTYPES)}.")
    if len(value.shape) != len(layout) + 1 or not all(isinstance(side, int) for side in value.shape[1:]):
        raise BundleError(f"{name}: a tensor has shape {value.shape}; only the batch may be open.")
    return TensorSpec(value.name, tuple(value.shape[1:]), _DTYPES[value.type], layout)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
