"""What a run has done so far, for metrics and health: numbers over everybody, nothing about anybody."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fer_edge_runtime.service.metrics import Counters, Histogram, family
from fer_edge_runtime.sources.health import SourceState

if TYPE_CHECKING:
    from fer_edge_runtime.sources.health import SourceHealth
    from fer_edge_runtime.types import FrameResult

_COUNTED = {
    "frames": "Pictures that the source delivered.",
    "dropped": "Pictures that came while the loop was busy.",
    "stalls": "Times that pictures stopped coming.",
    "frozen": "Times that the picture stopped changing.",
    "reconnects": "Times that the source was opened again.",
    "odd": "Pictures that could not be used.",
    "resized": "Times that the pictures changed their size.",
}
_OF_OUTPUTS = {
    "output_failures": "Times that an output failed and the others went on without it.",
    "mqtt_delivered": "Messages that the MQTT broker confirmed.",
    "mqtt_dropped": "Messages that were pushed out of the full queue, or that the broker never confirmed.",
}
# A rate is of the past when no frame came for so long.
STALE_S = 3.0


class RunFigures:
    """Fed by the frame loop, read by the server."""

    def __init__(
        self, source: Callable[[], SourceHealth] | None = None, outputs: Callable[[], Mapping[str, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Nothing was done yet; ``source`` tells how the source is, ``outputs`` what all of them count."""
        self._source = source
        self._outputs = outputs
        self._clock = clock
        self._last_s = self._turn_s = clock()
        self.frames = 0
        self._fps = 0.0
        self._with_faces = 0
        self._faces = Counters(
            "fer_edge_faces_total", "Faces in frames by apparent expression; one face counts in each frame.", ("label",)
        )
        self._stages = Histogram("fer_edge_stage_seconds", "Time of each stage of a frame.", "stage")

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        self.frames += 1
        self._last_s = self._turn_s = self._clock()
        self._fps = result.fps
        self._with_faces += bool(result.faces)
        for face in result.faces:
            self._faces.add(face.label)
        self.add_stages(result.stages_ms)

    def add_stages(self, stages_ms: Mapping[str, float]) -> None:
        """Add the time of each stage."""
        for stage, cost_ms in stages_ms.items():
            self._stages.observe(stage, cost_ms / 1e3)

    def wait(self) -> None:
        """The loop goes round, but there is no frame."""
        self._turn_s = self._clock()

    def idle_s(self) -> float:
        """Seconds since the last frame was done, or since the start."""
        return self._clock() - self._last_s

    def silent_s(self) -> float:
        """Seconds since the loop last went round, with or without a frame."""
        return self._clock() - self._turn_s

    def source_health(self) -> SourceHealth | None:
        """How the source is now."""
        return None if self._source is None else self._source()

    def text(self, viewers: int) -> str:
        """All of it for Prometheus."""
        fps = self._fps if self.idle_s() < STALE_S else 0.0
        return "".join([
            family("fer_edge_frames_total", "counter", "Frames processed.", [((), self.frames)]),
            family("fer_edge_frames_with_faces_total", "counter", "Frames with a face.", [((), self._with_faces)]),
            family("fer_edge_fps", "gauge", "Frames a second, over the last second or so.", [((), fps)]),
            family("fer_edge_idle_seconds", "gauge", "Seconds since the last frame.", [((), self.idle_s())]),
            family("fer_edge_viewers", "gauge", "Viewers of the live stream.", [((), viewers)]),
            self._faces.text(), self._stages.text(), self._source_text(), self._outputs_text(),
        ])  # fmt: skip

    def _outputs_text(self) -> str:
        counted = {} if self._outputs is None else self._outputs()
        return "".join(
            family(f"fer_edge_{name}_total", "counter", help_, [((), counted[name])])
            for name, help_ in _OF_OUTPUTS.items()
            if name in counted
        )

    def _source_text(self) -> str:
        health = self.source_health()
        if health is None:
            return ""
        states = [((("state", str(state)),), float(state is health.state)) for state in SourceState]
        counted = [
            family(f"fer_edge_source_{name}_total", "counter", help_, [((), getattr(health, name))])
            for name, help_ in _COUNTED.items()
        ]
        return "".join([family("fer_edge_source_state", "gauge", "1 for the source's state.", states), *counted])
