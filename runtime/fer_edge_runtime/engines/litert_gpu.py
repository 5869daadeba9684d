"""LiteRT on a GPU: WebGPU over Vulkan, through `CompiledModel`. Only `trial` knows whether that ends well on this machine."""

from __future__ import annotations

import re
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge_runtime.engines.base import EngineInfo
from fer_edge_runtime.engines.litert import count_operators, dequantized, open_interpreter, read_tensors
from fer_edge_runtime.engines.native_output import captured
from fer_edge_runtime.errors import DeviceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ADAPTER = re.compile(r"Selected adapter: (?P<name>.*?), arch=.*adapterType=(?P<type>.*)")
_REASONS = (
    re.compile(r"(Couldn't load Vulkan.*)"),
    re.compile(r"Failed to initialize WebGPU environment: INTERNAL: (.+)"),
    re.compile(r"^ERROR: \[[^\]]*\] (.+)", re.MULTILINE),
)


class LiteRTGpuEngine:
    """Runs a TFLite classifier, float or int8, on the adapter that LiteRT selects.

    The graph of an int8 model is computed in float between its int8 input and output, so its answers differ from the CPU's by
    a few steps; the golden vectors say whether by too many.
    """

    def __init__(self, content: bytes, *, name: str) -> None:
        """Compile the model for the GPU.

        Args:
            content: the flatbuffer.
            name: for messages.

        Raises:
            BundleError: the bytes are no TFLite classifier.
            DeviceError: this LiteRT has no GPU part, no adapter was found, or it cannot run the whole model.
        """
        # CompiledModel does not tell scales and zero points.
        interpreter = open_interpreter(content, name=name)
        self.input, self.output = read_tensors(interpreter, name)
        self._operators, _ = count_operators(interpreter)
        self._name = name
        compiled, self._version, said = _compile(content, name)
        found = _ADAPTER.search(said)
        self._adapter = found["name"].strip() if found else "an adapter that LiteRT did not name"
        self._software = bool(found and re.search("cpu|software", found["type"], re.IGNORECASE))
        if not compiled.is_fully_accelerated():
            raise DeviceError(f"{name}: the GPU {self._adapter} cannot run all of its operators.")
        with captured():
            (source,), (answer,) = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
            self._live: list[Any] = [compiled, source, answer]
            begin = time.perf_counter()  # LiteRT announces at the first run what it adds, so it is made here
            self.run(np.zeros((1, *self.input.shape), self.input.dtype))
            self._first_ms = (time.perf_counter() - begin) * 1e3
        # At the interpreter's end too: LiteRT announces there what it takes apart.
        weakref.finalize(self, _release, self._live)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.run`."""
        # One face at a time: another batch size means new GPU programs, seconds in the middle of a video.
        raw = np.concatenate([self._run_one(np.ascontiguousarray(batch[i : i + 1])) for i in range(len(batch))])
        return dequantized(raw, self.output)

    def _run_one(self, face: NDArray[Any]) -> NDArray[Any]:
        compiled, source, answer = self._live
        try:
            source.write(face)
            compiled.run_by_index(0, [source], [answer])
            raw: NDArray[Any] = answer.read(int(np.prod(self.output.shape)), np.dtype(self.output.dtype).type)
        except RuntimeError as error:
            raise DeviceError(
                f"{self._name} cannot be run on the GPU {self._adapter}: {error}. Use --device cpu."
            ) from error
        return raw.reshape(1, *self.output.shape).copy()

    def describe(self) -> EngineInfo:
        """See `Engine.describe`."""
        # All of them are the GPU's, or LiteRT would not have called the model fully accelerated.
        counts = {"operators": self._operators, "delegated": self._operators}
        details = {"adapter": self._adapter, "software": self._software, "first_ms": self._first_ms, **counts}
        return EngineInfo("litert", self._version, "gpu", "WebGPU", 1, self._name, details)


def _compile(content: bytes, name: str) -> tuple[Any, str, str]:
    """The compiled model, LiteRT's version, and what LiteRT printed meanwhile: only there it names the adapter or the trouble."""
    try:
        import ai_edge_litert
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
        from ai_edge_litert.options import GpuOptions, Options
    except ImportError as error:
        raise DeviceError(
            f"The installed LiteRT has no GPU part ({error}): pip install 'ai-edge-litert>=2.1'."
        ) from error
    # In float32: a network this small spends its time on being started, and half precision would cost agreement for nothing.
    options = Options(hardware_accelerators=HardwareAccelerator.GPU, gpu_options=GpuOptions(enforce_f32=True))
    problem: Exception | None = None
    with captured() as said:
        try:
            compiled = CompiledModel.from_buffer(content, options=options)
        except (RuntimeError, ValueError) as error:
            problem = error
    if problem is not None:
        raise DeviceError(f"LiteRT cannot run {name} on a GPU: {reason_in(said.text) or problem}.") from problem
    return compiled, str(ai_edge_litert.__version__), said.text


def reason_in(printed: str) -> str:
    """The line that says why, out of what LiteRT printed, such as ``No adapters found``; empty when there is none."""
    for pattern in _REASONS:
        found = pattern.search(printed)
        if found:
            return found[1].strip().rstrip(".")
    return ""


def _release(live: list[Any]) -> None:
    with captured():
        live.clear()
