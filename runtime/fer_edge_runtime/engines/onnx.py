"""ONNX Runtime on the CPU, or on an NVIDIA GPU through CUDA."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge_runtime.engines.base import EngineInfo
from fer_edge_runtime.engines.native_output import captured
from fer_edge_runtime.errors import BundleError, DeviceError, MissingPackageError
from fer_edge_runtime.manifest import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_DTYPES = {"tensor(uint8)": "uint8", "tensor(int8)": "int8", "tensor(float)": "float32"}


class OnnxEngine:
    """Runs an ONNX classifier; ONNX files do not say the scale of a quantized output, so the manifest does."""

    def __init__(self, content: bytes, *, name: str, output: TensorSpec, threads: int = 1, device: str = "cpu") -> None:
        """Start a session.

        Args:
            content: the model.
            name: for messages.
            output: the manifest's word about the output.
            threads: intra-op threads, ≥ 1.
            device: ``cpu``, or ``gpu`` for CUDA.

        Raises:
            BundleError: the bytes are no ONNX classifier.
            DeviceError: the session does not run on CUDA as asked.
            MissingPackageError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError("onnxruntime", "onnx", str(error)) from error
        _refuse_external(content, name)
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry(
            "session.record_ep_graph_assignment_info", "1"
        )  # for `_counts`; costs nothing measurable
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Spinning worker threads would take the core away from the camera and the detector.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [CPU]
        if device == "gpu":
            _load_cuda(onnxruntime)
            providers = [CUDA, CPU]
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=providers)
        except Exception as error:  # ONNX Runtime raises classes of its own native module, which share only this base
            if device == "gpu":
                raise DeviceError(f"ONNX Runtime cannot start {name} on CUDA: {_first_line(error)}.") from error
            raise BundleError(
                f"{name} is not an ONNX model that this runtime can read: {_first_line(error)}"
            ) from error
        self._device = device
        self._provider = str(self._session.get_providers()[0])
        # A CUDA library that is missing or of another version makes ONNX Runtime go on with the CPU, without an error.
        if device == "gpu" and self._provider != CUDA:
            raise DeviceError(
                f"ONNX Runtime {onnxruntime.__version__} has CUDA but runs {name} on {self._provider}: CUDA or cuDNN is missing, or not "
                "of the version that it was built for. Install both, as pip install 'onnxruntime-gpu[cuda,cudnn]' does, or use --device cpu."
            )
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
        try:
            (raw,) = self._session.run(None, {self.input.name: batch})
        except Exception as error:  # as above
            if self._device == "cpu":
                raise BundleError(f"{self._name} cannot be run: {_first_line(error)}") from error
            raise DeviceError(f"{self._name} cannot be run on CUDA: {_first_line(error)}. Use --device cpu.") from error
        if raw.dtype == np.float32:
            return np.asarray(raw)
        return np.asarray((raw.astype(np.float32) - self._zero_point) * self._scale)

    def describe(self) -> EngineInfo:
        """See `Engine.describe`."""
        details: dict[str, Any] = {"adapter": nvidia_gpu(), "software": False} if self._device == "gpu" else {}
        details |= self._counts()
        return EngineInfo(
            "onnxruntime", self._version, self._device, self._provider, self._threads, self._name, details
        )

    def _counts(self) -> dict[str, int]:
        """Operators and those of them that another provider than the CPU's took; nothing where ONNX Runtime is too old to tell.

        They are counted when providers are chosen: before ONNX Runtime makes one operator of several.
        """
        if not hasattr(self._session, "get_provider_graph_assignment_info"):
            return {}
        parts = self._session.get_provider_graph_assignment_info()
        counts = [(part.ep_name, len(part.get_nodes())) for part in parts]
        delegated = sum(count for provider, count in counts if provider != CPU)
        return {"operators": sum(count for _, count in counts), "delegated": delegated}


def _refuse_external(content: bytes, name: str) -> None:
    """Weights in another file are checked by nobody's SHA-256; ONNX Runtime would look for them in the working directory.

    The entry that names such a file has the key ``location``, its length of 8 in front, in whichever way protobuf lets it be written.
    """
    if b"location" in content and re.search(rb"(?:\x08|\x88\x80*\x00)location", content):
        raise BundleError(f"{name} has weights outside itself (ONNX external data). Save it as one file.")


def _load_cuda(onnxruntime: Any) -> None:
    """Let ONNX Runtime find the CUDA libraries that pip installed.

    Raises:
        DeviceError: this build of ONNX Runtime has no CUDA.
    """
    offered = onnxruntime.get_available_providers()
    if CUDA not in offered:
        raise DeviceError(
            f"ONNX Runtime {onnxruntime.__version__} was built without CUDA (it has: {', '.join(offered)}). "
            "Replace it: pip uninstall onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'."
        )
    if hasattr(onnxruntime, "preload_dlls"):
        with captured():  # it prints what it does not find; the session says so too, when it matters
            onnxruntime.preload_dlls()


def nvidia_gpu(driver: Path = Path("/proc/driver/nvidia")) -> str:
    """The name of the first NVIDIA GPU, as its driver lists it."""
    for file in sorted(driver.glob("gpus/*/information")):
        for line in file.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return "NVIDIA GPU"


def _tensor(value: Any, layout: str, name: str) -> TensorSpec:
    if value.type not in _DTYPES:
        raise BundleError(f"{name}: a tensor is {value.type}; known are {', '.join(_DTYPES)}.")
    if len(value.shape) != len(layout) + 1 or not all(isinstance(side, int) for side in value.shape[1:]):
        raise BundleError(f"{name}: a tensor has shape {value.shape}; only the batch may be open.")
    return TensorSpec(value.name, tuple(value.shape[1:]), _DTYPES[value.type], layout)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
