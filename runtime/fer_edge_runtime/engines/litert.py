"""LiteRT on the CPU through XNNPACK; `tflite_runtime` is accepted on boards that have no LiteRT wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge_runtime.engines.base import EngineInfo
from fer_edge_runtime.engines.native_output import discarded
from fer_edge_runtime.errors import BundleError, MissingPackageError
from fer_edge_runtime.manifest import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DELEGATE = "DELEGATE"  # the name of the operator that stands for a part


def interpreter_module() -> tuple[Any, str, str]:
    """The interpreter module that this machine has, with its name and version."""
    try:
        import ai_edge_litert
        from ai_edge_litert import interpreter

        return interpreter, "litert", ai_edge_litert.__version__
    except ImportError as missing:
        try:
            import tflite_runtime
            from tflite_runtime import interpreter as fallback
        except ImportError:
            raise MissingPackageError("ai-edge-litert", "tflite-runtime", str(missing)) from missing
        return fallback, "tflite-runtime", tflite_runtime.__version__


def open_interpreter(content: bytes, *, name: str, threads: int = 1) -> Any:
    """A TFLite interpreter over a model held in memory (verified bytes never touch the disk twice).

    Args:
        content: the flatbuffer.
        name: for messages.
        threads: intra-op threads, ≥ 1.

    Raises:
        BundleError: the bytes are no TFLite model.
        MissingPackageError: neither LiteRT nor tflite_runtime is installed.
    """
    module, _, _ = interpreter_module()
    try:
        return module.Interpreter(model_content=content, num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{name} is not a TFLite model that this runtime can read: {error}") from error


def allocate(interpreter: Any) -> None:
    """`allocate_tensors`, without the line that LiteRT writes to stderr when it makes its first delegate.

    Raises:
        RuntimeError: as LiteRT says it.
    """
    with discarded():
        interpreter.allocate_tensors()


class LiteRTEngine:
    """Runs a TFLite classifier; the batch dimension is resized on demand."""

    def __init__(self, content: bytes, *, name: str, threads: int = 1) -> None:
        self._interpreter = open_interpreter(content, name=name, threads=threads)
        self._name = name
        self._threads = threads
        self._batch = 0
        self.input, self.output = read_tensors(self._interpreter, name)
        self._input_index = int(self._interpreter.get_input_details()[0]["index"])
        self._output_index = int(self._interpreter.get_output_details()[0]["index"])
        self._allocate(1)

    def _allocate(self, batch: int) -> None:
        if batch == self._batch:
            return
        self._batch = 0  # until the new size is ready
        self._interpreter.resize_tensor_input(self._input_index, [batch, *self.input.shape])
        try:
            allocate(self._interpreter)
        except RuntimeError as error:
            raise BundleError(f"{self._name} cannot be prepared for a batch of {batch}: {error}") from error
        self._batch = batch

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.run`."""
        self._allocate(len(batch))
        try:
            self._interpreter.set_tensor(self._input_index, batch)
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output_index)
        except (RuntimeError, ValueError) as error:  # the latter: a tensor that no operator uses has no memory
            raise BundleError(f"{self._name} cannot be run: {error}") from error
        return dequantized(raw, self.output)

    def describe(self) -> EngineInfo:
        """See `Engine.describe`."""
        _, name, version = interpreter_module()
        operators, delegated = count_operators(self._interpreter)
        delegate = "XNNPACK" if delegated else "built-in kernels"
        details = {"operators": operators, "delegated": delegated}
        return EngineInfo(name, version, "cpu", delegate, self._threads, self._name, details)


def count_operators(interpreter: Any) -> tuple[int, int]:
    """Operators of the model, and how many of them run inside a delegate.

    LiteRT lists the model's operators as before and behind them one more for each part that a delegate took. Which those are it
    does not say, but a part's operators are those on the way from its inputs to its outputs.
    """
    listed = interpreter._get_ops_details()
    operators = [op for op in listed if op["op_name"] != _DELEGATE]
    maker = {int(tensor): op for op in operators for tensor in op["outputs"]}
    taken: set[int] = set()
    for part in (op for op in listed if op["op_name"] == _DELEGATE):
        given = set(map(int, part["inputs"]))
        wanted = [int(tensor) for tensor in part["outputs"]]
        while wanted:
            op = maker.get(wanted.pop())
            if op is not None and op["index"] not in taken:
                taken.add(op["index"])
                wanted += [int(tensor) for tensor in op["inputs"] if int(tensor) not in given]
    return len(operators), len(taken)


def read_tensors(interpreter: Any, name: str) -> tuple[TensorSpec, TensorSpec]:
    """The one input and the one output of a classifier, as its file describes them.

    Raises:
        BundleError: it has more or fewer.
    """
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError(f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each.")
    return _tensor(inputs[0], "HWC"), _tensor(outputs[0], "C")


def dequantized(raw: NDArray[Any], tensor: TensorSpec) -> NDArray[np.float32]:
    """Real values of an output in its stored dtype, (N, classes)."""
    if raw.dtype == np.float32:
        return np.asarray(raw)
    return np.asarray((raw.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale))


def _tensor(details: dict[str, Any], layout: str) -> TensorSpec:
    scale, zero_point = details["quantization"]
    shape = tuple(int(side) for side in details["shape"][1:])
    return TensorSpec(details["name"], shape, np.dtype(details["dtype"]).name, layout, float(scale), int(zero_point))
