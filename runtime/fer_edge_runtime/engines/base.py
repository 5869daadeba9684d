"""What every engine can do: load an artefact, run a batch of prepared faces, say what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge_runtime.manifest import TensorSpec


class EngineInfo(NamedTuple):
    """What runs, exactly.

    Attributes:
        engine: ``litert``, ``tflite-runtime`` or ``onnxruntime``.
        version: of that library.
        device: ``cpu`` or ``gpu``.
        delegate: what executes the graph, such as ``XNNPACK``, ``WebGPU`` or ``CPUExecutionProvider``.
        threads: intra-op threads of the CPU.
        artefact: file name of the model.
        details: ``operators`` of the model and how many of them are ``delegated`` to an accelerator or XNNPACK, where the library
            tells; ``first_ms`` where opening already made the first call; whatever else helps a person. On a GPU ``adapter``, its name, and ``software``: whether it
            is a program on the CPU that only plays a GPU.
    """

    engine: str
    version: str
    device: str
    delegate: str
    threads: int
    artefact: str
    details: Mapping[str, Any] = {}

    def line(self) -> str:
        """One line for the terminal."""
        if self.device == "gpu":
            kind = "software, not a real GPU; " if self.details.get("software") else ""
            return f"{self.engine} {self.version} on gpu {self.details['adapter']} ({kind}{self.delegate})"
        return f"{self.engine} {self.version} on {self.device} ({self.delegate}, {self.threads} thread{'s' * (self.threads != 1)})"


class Engine(Protocol):
    """Runs one classifier artefact.

    Attributes:
        input: the graph's own input tensor, batch left out.
        output: its output tensor.
    """

    input: TensorSpec
    output: TensorSpec

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Class probabilities of a batch.

        Args:
            batch: (N, H, W, C), N ≥ 1, in the artefact's own input dtype (already quantized for int8).

        Returns:
            (N, classes) float32, dequantized.
        """

    def describe(self) -> EngineInfo:
        """What runs."""
