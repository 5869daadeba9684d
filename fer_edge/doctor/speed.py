"""What to expect of a run here: two seconds of the demonstration clip, as `fer-edge run` processes it on the CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from fer_edge.doctor.check import PASS, WARN, Check

if TYPE_CHECKING:
    from fer_edge_runtime.recognizer import Recognizer
    from fer_edge_runtime.types import Frame

SECONDS = 2.0
WARM_UP = 3  # frames: first calls make buffers
MANY_FACES = 4
FLUENT_FPS = 10.0


class Speed(NamedTuple):
    """What was measured.

    Attributes:
        frames: how many, with one face each.
        fps: frames a second with one face: decode, detect, align, classify, smooth.
        many_fps: an estimate for `MANY_FACES` faces: the time of a face's own stages is added for each further one.
        detect_ms, face_ms: median milliseconds of the detector, and of what a further face costs.
        peak_mib: largest resident memory of this process so far; None where the kernel does not tell.
        runs_on: engine, version, delegate, threads.
        load: processes that ran or waited in the minute before, when they were so many that they took time away; else None.
    """

    frames: int
    fps: float
    many_fps: float
    detect_ms: float
    face_ms: float
    peak_mib: float | None
    runs_on: str
    load: float | None = None


def measure_speed(model: str, seconds: float = SECONDS) -> Speed:
    """Run the clip for so long, from its beginning again where it ends.

    Args:
        model: a bundle.
        seconds: of measuring, after opening and a few frames of warming up.

    Raises:
        FerEdgeError: whatever keeps a run from starting.
    """
    import cv2

    from fer_edge.benchmark.bench import peak_mib
    from fer_edge.benchmark.machine import BUSY_SHARE, read_state
    from fer_edge_runtime.engines.select import available_cores
    from fer_edge_runtime.recognizer import Recognizer
    from fer_edge_runtime.sources.base import quiet_opencv
    from fer_edge_runtime.stream import STREAM_SCAN_EVERY

    load = read_state().load_1min
    busy = load is not None and load > BUSY_SHARE * available_cores()
    quiet_opencv()
    cv2.setNumThreads(1)  # as `fer-edge run` does
    recognizer = Recognizer.load(model, device="cpu", scan_every=STREAM_SCAN_EVERY)
    rows, costs = [], []
    end = 0.0
    for number, (stages, frame_s) in enumerate(_frames(recognizer)):
        if number < WARM_UP:
            end = time.perf_counter() + seconds
            continue
        rows.append(stages)
        costs.append(frame_s)
        if time.perf_counter() >= end:
            break
    own = [stages["align"] + stages["classify"] + stages["smooth"] for stages in rows]
    mean_s, face_ms = sum(costs) / len(costs), median(own)
    many_s = mean_s + (MANY_FACES - 1) * face_ms / 1e3
    detect_ms = median(stages["detect"] for stages in rows)
    runs_on = recognizer.engine.describe().line()
    return Speed(len(rows), 1 / mean_s, 1 / many_s, detect_ms, face_ms, peak_mib(), runs_on, load if busy else None)


def _frames(recognizer: Recognizer) -> Iterator[tuple[dict[str, float], float]]:
    """Stages in milliseconds and the whole time in seconds of the clip's frames, without an end."""
    from fer_edge_runtime.sources import open_source
    from fer_edge_runtime.stream import StreamRecognizer

    while True:
        stream = StreamRecognizer(recognizer, "video")
        with open_source("demo") as source:
            frames: Iterator[Frame] = source.frames()
            while True:
                begin = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                result = stream.process(frame)
                yield dict(result.stages_ms), time.perf_counter() - begin


def speed_check(speed: Speed) -> Check:
    """The measurement in words."""
    slow = speed.fps < FLUENT_FPS
    found = (
        f"about {_rate(speed.fps)} with 1 face (measured), {_rate(speed.many_fps)} with {MANY_FACES} (estimate); detector "
        f"{speed.detect_ms:.1f} ms, {speed.face_ms:.1f} ms a face, on {speed.runs_on}"
    )
    if speed.load is not None:
        found += f". Other work ran on this machine (load {speed.load:.1f}): an idle one is faster"
    values = {
        "frames_per_s": round(speed.fps, 2), f"frames_per_s_{MANY_FACES}_faces_estimate": round(speed.many_fps, 2),
        "detect_ms": round(speed.detect_ms, 3), "face_ms": round(speed.face_ms, 3), "frames": speed.frames, "load": speed.load,
    }  # fmt: skip
    remedy = "Use --detect-every 3, --detector short (faces within 2 m) or --largest." if slow else ""
    return Check("speed", WARN if slow else PASS, found, remedy, values)


def _rate(fps: float) -> str:
    return f"{fps:.0f} frames/s" if fps >= FLUENT_FPS else f"{fps:.1f} frames/s"
