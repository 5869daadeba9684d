"""One case under measurement, inside its own process: open it, run batches of faces, run a clip, run synthetic scenes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fer_edge.benchmark.case import Case
from fer_edge.benchmark.scene import Scene, draw_scene, face_of
from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.calibrate import calibrated
from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.draw import annotate
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.engines.select import choose
from fer_edge_runtime.errors import BundleError, DeviceError
from fer_edge_runtime.preprocess import to_input
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.stream import STREAM_SCAN_EVERY, StreamRecognizer
from fer_edge_runtime.types import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.engines import Engine, EngineInfo
    from fer_edge_runtime.manifest import Artefact
    from fer_edge_runtime.types import Image

DETECTOR = "full"
SCENE_FPS = 30.0


class Bench:
    """A case, opened; every method measures and answers with plain values."""

    def __init__(self, case: Case, clip: str) -> None:
        """Open bundle, engine and detector, timing each.

        Args:
            case: what to open.
            clip: a video file, or ``demo``.

        Raises:
            FerEdgeError: see `load_bundle`, `choose` and `open_engine`; wrong answers are refused as `Bundle.open` does.
        """
        cv2.setNumThreads(1)  # as `fer-edge run` does
        begin = time.perf_counter()
        bundle = load_bundle(case.bundle)
        choice = choose(case.engine, case.device, case.threads, bundle=bundle)
        artefact = choice.artefact
        read = time.perf_counter()
        engine = open_engine(artefact, bundle.contents[artefact.path], threads=choice.threads, device=choice.device)
        started = time.perf_counter()
        golden: NDArray[Any] = to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)
        prepared = time.perf_counter()
        engine.run(golden[:1])
        first = time.perf_counter()
        difference = _prove(bundle, artefact, engine, golden)
        _check_device(case.device, engine.describe())
        detector = open_detector(DETECTOR, threads=choice.threads, scan_every=STREAM_SCAN_EVERY)
        self._recognizer = Recognizer(bundle=bundle, artefact=artefact, engine=engine, detector=detector, choice=choice)
        self._engine, self._golden, self._temperature = engine, golden, bundle.manifest.temperature
        self._clip_name = clip
        self._clip: Iterator[tuple[Frame, float]] | None = None
        self._stream = StreamRecognizer(self._recognizer, "video")
        self._face: Image | None = None
        self._scenes: dict[Scene, tuple[Image, StreamRecognizer, int]] = {}
        # An engine that makes its first call while it is opened tells what that took.
        early_ms = engine.describe().details.get("first_ms")
        self._opened = {
            "name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": artefact.sha256,
            "artefact": artefact.path, "precision": artefact.precision,
            "bundle_ms": _ms(begin, read), "start_ms": round(_ms(read, started) - (early_ms or 0.0), 5),
            "load_ms": round(_ms(begin, started) - (early_ms or 0.0), 5),
            "first_ms": _ms(prepared, first) if early_ms is None else round(early_ms, 5),
            "golden_difference": round(difference, 6), "golden_tolerance": bundle.manifest.golden.tolerance,
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What was opened, what really runs and what opening cost."""
        info = self._engine.describe()
        details = dict(info.details)
        return self._opened | {
            "engine": info.engine, "engine_version": info.version, "device": info.device, "delegate": info.delegate,
            "threads": info.threads, "runs_on": info.line(), "reasons": list(self._recognizer.choice.reasons),
            "operators": {"total": details.get("operators"), "delegated": details.get("delegated")},
            "adapter": details.get("adapter"), "software": details.get("software"),
        }  # fmt: skip

    def faces(self, faces: int, calls: int) -> dict[str, Any]:
        """Milliseconds of ``calls`` calls of the engine on a batch of prepared faces; one more before them settles the batch."""
        batch = np.ascontiguousarray(np.resize(self._golden, (faces, *self._golden.shape[1:])))
        self._engine.run(batch)
        times = []
        for _ in range(calls):
            begin = time.perf_counter()
            calibrated(self._engine.run(batch), self._temperature)
            times.append(_ms(begin, time.perf_counter()))
        return {"ms": times}

    def clip(self, frames: int) -> dict[str, Any]:
        """Milliseconds of every stage of the clip's next frames, from decoding to drawing; it starts anew where it ends."""
        rows = []
        for _ in range(frames):
            frame, decode_ms = self._next_frame()
            result = self._stream.process(frame)
            drawing = time.perf_counter()
            annotate(frame.image, result.faces)
            draw_ms = _ms(drawing, time.perf_counter())
            stages = {name: cost for name, cost in result.stages_ms.items() if name != "total"}
            whole = decode_ms + result.stages_ms["total"] + draw_ms
            rows.append({"decode": decode_ms, **stages, "draw": draw_ms, "total": whole, "faces": len(result.faces)})
        return {"frames": rows}

    def scene(self, width: int, height: int, faces: int, every: int, frames: int) -> dict[str, Any]:
        """Milliseconds of every stage of the next frames of a synthetic scene, without decoding and drawing."""
        scene = Scene(width, height, faces, every)
        if scene not in self._scenes:
            stream = StreamRecognizer(self._recognizer_for_scene(), "video", detect_every=every)
            self._scenes[scene] = (draw_scene(self._find_face(), scene), stream, 0)
        image, stream, index = self._scenes[scene]
        rows = []
        for number in range(index, index + frames):
            result = stream.process(Frame(image, number, number / SCENE_FPS, "scene"))
            rows.append({**result.stages_ms, "faces": len(result.faces)})
        self._scenes[scene] = (image, stream, index + frames)
        return {"frames": rows}

    def memory(self) -> dict[str, Any]:
        """The largest resident set of this process so far, in MiB; None where the kernel does not tell."""
        return {"peak_mib": peak_mib()}

    def _next_frame(self) -> tuple[Frame, float]:
        if self._clip is None:
            self._clip = self._decode()
        found = next(self._clip, None)
        if found is None:
            self._clip = self._decode()
            self._stream = StreamRecognizer(self._recognizer, "video")
            found = next(self._clip)
        return found

    def _decode(self) -> Iterator[tuple[Frame, float]]:
        with open_source(self._clip_name) as source:
            frames = source.frames()
            while True:
                begin = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    return
                yield frame, _ms(begin, time.perf_counter())

    def _recognizer_for_scene(self) -> Recognizer:
        """The same engine behind a detector of its own, whose search for small faces keeps a cycle of its own."""
        own = self._recognizer
        detector = open_detector(DETECTOR, threads=own.choice.threads, scan_every=STREAM_SCAN_EVERY)
        return Recognizer(
            bundle=own.bundle, artefact=own.artefact, engine=own.engine, detector=detector, choice=own.choice
        )

    def _find_face(self) -> Image:
        if self._face is None:
            with open_source(self._clip_name) as source:
                self._face = face_of(source.frames(), open_detector(DETECTOR))
        return self._face


def _check_device(asked: str, info: EngineInfo) -> None:
    """A figure of another device than the one asked for is worse than none."""
    if asked not in ("auto", info.device) and info.device == "cpu":
        raise DeviceError(f"--device {asked} was asked for, but {info.line()} is what runs.")


def _prove(bundle: Bundle, artefact: Artefact, engine: Engine, golden: NDArray[Any]) -> float:
    """The largest difference to the exporter's probabilities; the engine has answered once before, so its first call was timed."""
    answers = np.concatenate([engine.run(golden[i : i + 1]) for i in range(len(golden))])
    worst = float(np.abs(answers - bundle.expected[artefact.path]).max())
    if not worst <= bundle.manifest.golden.tolerance:
        raise BundleError(
            f"{artefact.path}: the golden vectors differ by {worst:.4f} on {engine.describe().line()}; at most "
            f"{bundle.manifest.golden.tolerance} is allowed, so its speed is of no use."
        )
    return worst


def peak_mib(status: Path = Path("/proc/self/status")) -> float | None:
    """``VmHWM`` of a process in MiB."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if found is None else round(int(found) / 1024, 1)


def _ms(begin: float, end: float) -> float:
    return round((end - begin) * 1e3, 5)
