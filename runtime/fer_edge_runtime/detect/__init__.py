"""Face detectors: BlazeFace (ships with the package) and YuNet (from a file of the user's)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fer_edge_runtime.detect.blazeface import BlazeFace
from fer_edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge_runtime.types import Detection, Image

__all__ = ["DETECTORS", "BlazeFace", "Detector", "open_detector"]

DETECTORS = ("short", "full", "yunet:PATH")


class Detector(Protocol):
    """Finds the faces of a picture."""

    name: str

    def detect(self, frame: Image) -> list[Detection]:
        """Faces of one picture.

        Args:
            frame: (H, W, 3) uint8 BGR, H and W ≥ 1.

        Returns:
            The faces, largest first; boxes and landmarks in pixels of ``frame``. ``right_eye`` is the person's
            right eye, on the left side of an unmirrored picture.
        """

    def describe(self) -> str:
        """One line for people: what runs, from which face size and score on."""


def open_detector(
    spec: str, *, threads: int = 1, min_face: int = 24, min_score: float | None = None, scan_every: int = 1
) -> Detector:
    """Open the detector that a specification names.

    Args:
        spec: ``short`` (within about 2 m, 1 ms), ``full`` (also small faces) or ``yunet:PATH`` (an ONNX file).
        threads: threads of the network, ≥ 1. OpenCV, which runs YuNet, has one setting for the whole process.
        min_face: faces whose box has a longer side under this many pixels are dropped, ≥ 1. The smaller, the more work
            ``full`` does; see `fer_edge_runtime.detect.blazeface`.
        min_score: threshold in (0, 1); None takes the detector's own.
        scan_every: for ``full`` and streams: look for faces too small for the first pass on every Nth call only.

    Raises:
        BundleError: the network's file is damaged.
        ConfigError: unknown specification or an argument out of range.
        SourceError: the file after ``yunet:`` does not exist.
    """
    if threads < 1:
        raise ConfigError(f"The detector's threads must be at least 1; received {threads}.")
    if spec == "short":
        return BlazeFace("short", threads=threads, min_face=min_face, min_score=min_score)
    if spec == "full":
        return BlazeFace("full", threads=threads, min_face=min_face, min_score=min_score, scan_every=scan_every)
    name, _, path = spec.partition(":")
    if name == "yunet" and path:
        from fer_edge_runtime.detect.yunet import YuNet

        return YuNet(path, min_face=min_face, min_score=min_score)
    raise ConfigError(_unknown(spec))


def _unknown(spec: str) -> str:
    known = ", ".join(DETECTORS)
    if spec.partition(":")[0] == "yunet":
        return f"The detector '{spec}' names no file; write yunet:PATH with the path of YuNet's ONNX file."
    import difflib

    close = difflib.get_close_matches(spec.partition(":")[0].lower(), ["short", "full", "yunet"], n=1, cutoff=0.5)
    hint = {"short": "short", "full": "full", "yunet": "yunet:PATH"}[close[0]] if close else ""
    suggestion = f" Did you mean '{hint}'?" if hint else ""
    return f"There is no detector '{spec}'. Known: {known}.{suggestion}"
