"""fer-edge: facial expression recognition from a GPU to a device.

>>> import cv2, fer_edge
>>> recognizer = fer_edge.Recognizer.load("default")
>>> for face in recognizer(cv2.imread("picture.jpg")):
...     print(face.label, face.score, face.box)

The label names an apparent expression, not what a person feels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge_runtime.bundle import load_bundle
    from fer_edge_runtime.errors import FerEdgeError
    from fer_edge_runtime.recognizer import Recognizer
    from fer_edge_runtime.types import Face

__version__ = "0.1.0"
__all__ = ["Face", "FerEdgeError", "Recognizer", "__version__", "load_bundle"]

_HOMES = {
    "Face": "fer_edge_runtime.types",
    "FerEdgeError": "fer_edge_runtime.errors",
    "Recognizer": "fer_edge_runtime.recognizer",
    "load_bundle": "fer_edge_runtime.bundle",
}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that ``import fer_edge`` itself costs nothing (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fer_edge' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
