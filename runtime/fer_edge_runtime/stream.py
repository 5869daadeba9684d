"""Follow the faces of a video: detect every N frames, track in between, classify all faces in one batch, smooth."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.types import Face, Frame, FrameResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fer_edge_runtime.smooth import Smoother
    from fer_edge_runtime.track import Tracker
    from fer_edge_runtime.types import Box, Detection, SourceKind

FPS_WINDOW = 30
# The second pass for small faces, twice a second at 30 frames/s: a far face may wait that long to be found, then it is followed.
STREAM_SCAN_EVERY = 15


class FrameRate:
    """Frames per second over the last frames."""

    def __init__(self, window: int = FPS_WINDOW) -> None:
        self._times: deque[float] = deque(maxlen=window + 1)

    def tick(self, now_s: float) -> float:
        """Count a frame that is done now; 0 until two frames are."""
        self._times.append(now_s)
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0


def _remember(recognizer: Recognizer) -> tuple[Tracker, Smoother]:
    from fer_edge_runtime.smooth import Smoother
    from fer_edge_runtime.track import Tracker

    return Tracker(), Smoother(recognizer.labels, uncertain_below=recognizer.uncertain_below)


class StreamRecognizer:
    """Turns frames into results; keeps what must be remembered between frames.

    Args:
        recognizer: finds and classifies.
        kind: frames of ``pictures`` have nothing to do with each other, so they are neither tracked nor smoothed.
        detect_every: the detector runs on every N-th frame; in between, boxes move on as they moved before.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        kind: SourceKind,
        *,
        detect_every: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if detect_every < 1:
            raise ConfigError(f"--detect-every {detect_every} cannot be used. Give 1 or more.")
        self._recognizer = recognizer
        self._detect_every = detect_every
        self._clock = clock
        self._memory = None if kind == "pictures" else _remember(recognizer)
        self._rate = FrameRate()
        self._eased = 1
        self._seen = 0
        self._segment = 0
        self._others: tuple[Box, ...] = ()

    def ease(self, on: bool) -> None:
        """Detect half as often, or as often as was asked for again."""
        self._eased = 2 if on else 1

    def process(self, frame: Frame) -> FrameResult:
        """Faces of the next frame, largest first, with the time of each stage.

        With a new ``segment`` everybody is somebody new: a face from before a gap need not be the one after it.
        """
        if frame.segment != self._segment:
            self._forget(frame.segment)
        begin = self._clock()
        faces, stages = self._picture(frame) if self._memory is None else self._video(frame, *self._memory)
        self._seen += 1
        end = self._clock()
        stages["total"] = (end - begin) * 1e3
        if frame.captured_s is not None:
            stages["latency"] = (time.monotonic() - frame.captured_s) * 1e3
        rate = self._rate.tick(end)
        return FrameResult(frame.source, frame.index, frame.time_s, tuple(faces), stages, rate, self._others)

    def _forget(self, segment: int) -> None:
        self._segment, self._seen, self._rate, self._others = segment, 0, FrameRate(), ()
        if self._memory is not None:
            tracker, smoother = self._memory
            tracker.reset()
            smoother.forget(())

    def _detect(self, frame: Frame) -> list[Detection]:
        detections, others = self._recognizer.find(frame.image)
        self._others = tuple(detection.box for detection in others)
        return detections

    def _picture(self, frame: Frame) -> tuple[list[Face], dict[str, float]]:
        begin = self._clock()
        detections = self._detect(frame)
        detected = self._clock()
        classified = self._recognizer.classify(frame.image, detections, clock=self._clock)
        faces = [self._recognizer.face(d, p) for d, p in zip(detections, classified.probabilities, strict=True)]
        return faces, {
            "detect": (detected - begin) * 1e3, "align": classified.align_ms, "classify": classified.classify_ms,
        }  # fmt: skip

    def _video(self, frame: Frame, tracker: Tracker, smoother: Smoother) -> tuple[list[Face], dict[str, float]]:
        begin = self._clock()
        detections = self._detect(frame) if self._seen % (self._detect_every * self._eased) == 0 else None
        detected = self._clock()
        tracks = tracker.predict() if detections is None else tracker.update(detections)
        tracked = self._clock()
        classified = self._recognizer.classify(frame.image, [track.detection for track in tracks], clock=self._clock)
        before_smoothing = self._clock()
        faces = []
        for track, probabilities in zip(tracks, classified.probabilities, strict=True):
            smooth = smoother.update(track.id, probabilities, frame.time_s)
            scores = {name: float(p) for name, p in zip(self._recognizer.labels, smooth.probabilities, strict=True)}
            detection = track.detection
            faces.append(
                Face(detection.box, smooth.label, smooth.score, scores, detection.landmarks, detection.score, track.id)
            )
        smoother.forget(tracker.remembered_ids())
        end = self._clock()
        return faces, {
            "detect": (detected - begin) * 1e3, "track": (tracked - detected) * 1e3, "align": classified.align_ms,
            "classify": classified.classify_ms, "smooth": (end - before_smoothing) * 1e3,
        }  # fmt: skip
