"""The values that travel through the runtime. All are frozen; boxes are always ``[x1, y1, x2, y2]`` in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

Box = tuple[float, float, float, float]
Point = tuple[float, float]
SourceKind = Literal["pictures", "video", "live"]

UNCERTAIN = "uncertain"


class Detection(NamedTuple):
    """A face that a detector found.

    Attributes:
        box: ``(x1, y1, x2, y2)`` in pixels of the frame; may reach outside it.
        score: detector confidence in [0, 1].
        landmarks: name -> ``(x, y)`` in pixels. ``right_eye`` and ``left_eye`` (the person's own right and left)
            are always present; BlazeFace adds nose, mouth and ears, YuNet nose and mouth corners.
    """

    box: Box
    score: float
    landmarks: Mapping[str, Point]


@dataclass(frozen=True, slots=True)
class Face:
    """A face with its apparent expression: what the face looks like, not what the person feels.

    Attributes:
        box: ``(x1, y1, x2, y2)`` in pixels of the picture given.
        label: the expression's name, or ``"uncertain"`` when no score reaches the threshold.
        score: probability in [0, 1] of the most likely label (of ``label`` unless it is ``"uncertain"``).
        scores: probability of every label of the bundle; sums to 1.
        landmarks: name -> ``(x, y)`` in pixels; the person's right eye is ``right_eye``.
        detection_score: confidence of the face detector in [0, 1].
        track: identity that stays the same while the face is followed through a video; None for a single picture.
    """

    box: Box
    label: str
    score: float
    scores: Mapping[str, float]
    landmarks: Mapping[str, Point]
    detection_score: float
    track: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, rounded to 0.01 px and 0.0001 probability."""
        return {
            "box": [round(v, 2) for v in self.box],
            "track": self.track,
            "label": self.label,
            "score": round(self.score, 4),
            "scores": {name: round(value, 4) for name, value in self.scores.items()},
            "landmarks": {name: [round(x, 2), round(y, 2)] for name, (x, y) in self.landmarks.items()},
            "detection_score": round(self.detection_score, 4),
        }


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        index: position in the source, from 0; a live source counts the frames it dropped too.
        time_s: seconds since the source's first frame; for a file, its presentation time.
        source: name for people and logs; never holds a password.
        segment: number of the unbroken run of frames that it belongs to; a new one begins after a gap and with another size.
        captured_s: when a live source gave it, on the monotonic clock; None for files.
    """

    image: Image
    index: int
    time_s: float
    source: str
    segment: int = 0
    captured_s: float | None = None


class FrameResult(NamedTuple):
    """Everything known about one frame.

    Attributes:
        faces: the faces, largest first.
        stages_ms: milliseconds per stage, in the order they ran (``detect``, ``align``, ``classify``, ``track``, …); ``total`` of
            these, and for live sources ``latency``, from the capture to the labels.
        fps: frames per second over the last second or so; 0 until it is known.
        others: boxes of faces that were found and left out, as too small, too many or not the largest.
    """

    source: str
    frame: int
    time_s: float
    faces: tuple[Face, ...]
    stages_ms: Mapping[str, float] = {}
    fps: float = 0.0
    others: tuple[Box, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON Lines record, schema 1."""
        return {
            "schema": 1,
            "source": self.source,
            "frame": self.frame,
            "time_s": round(self.time_s, 4),
            "faces": [face.as_json() for face in self.faces],
        }
