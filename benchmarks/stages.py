#!/usr/bin/env python3
"""What each stage of a frame costs, and how far the whole is from the bare time of its two models.

    python benchmarks/stages.py [--rounds 400] [--check]

One face, 640×480, detection on every frame, one thread. Each round times the pipeline's stages on one frame and, right
after it, the detector's and the classifier's bare `invoke` on tensors that are already there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from machine import measured_files, spread, write_results

from fer_edge_runtime.engines.litert import open_interpreter
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.stream import STREAM_SCAN_EVERY, StreamRecognizer
from fer_edge_runtime.types import Frame

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests" / "samples" / "astronaut.jpg"
ASSETS = ROOT / "runtime" / "fer_edge_runtime" / "assets"
DETECTORS = {"full": "face_detection_full_range_sparse.tflite", "short": "face_detection_short_range.tflite"}
LIMIT_MS, LIMIT_RATIO = 15.0, 1.3


def scene() -> np.ndarray:
    """The astronaut on a grey 640×480 frame."""
    frame = np.full((480, 640, 3), 96, np.uint8)
    picture = cv2.imread(str(SAMPLE))
    picture = cv2.resize(picture, (480, 480), interpolation=cv2.INTER_AREA)
    frame[:, 80:560] = picture
    return frame


def bare(interpreter: object) -> float:
    """Milliseconds of one `invoke`."""
    begin = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--detector", choices=sorted(DETECTORS), default="full")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as `fer-edge run` does
    recognizer = Recognizer.load(
        "default", engine="litert", threads=1, detector=options.detector, scan_every=STREAM_SCAN_EVERY
    )
    stream = StreamRecognizer(recognizer, "video")
    models = {
        "detector": open_interpreter((ASSETS / DETECTORS[options.detector]).read_bytes(), name="detector"),
        "classifier": open_interpreter(recognizer.bundle.contents[recognizer.artefact.path], name="classifier"),
    }
    for model in models.values():
        model.allocate_tensors()
        details = model.get_input_details()[0]
        noise = np.random.default_rng(0).integers(-100, 100, details["shape"])
        model.set_tensor(details["index"], noise.astype(details["dtype"]))
    image = scene()
    stages: dict[str, list[float]] = {}
    bare_ms: dict[str, list[float]] = {name: [] for name in models}
    for index in range(options.rounds + 20):
        result = stream.process(Frame(image, index, index / 30, "scene"))
        if len(result.faces) != 1:
            raise SystemExit(f"expected one face, found {len(result.faces)}")
        times = {name: bare(model) for name, model in models.items()}
        if index < 20:
            continue
        for name, cost in result.stages_ms.items():
            stages.setdefault(name, []).append(cost)
        for name, cost in times.items():
            bare_ms[name].append(cost)
    medians = {name: statistics.median(values) for name, values in stages.items()}
    against_bare = spread([whole / (a + b) for whole, a, b in zip(stages["total"], *bare_ms.values(), strict=True)])
    ratio = against_bare["median"]
    for name, value in medians.items():
        print(
            f"{name:<10}{value:7.3f} ms median  {np.percentile(stages[name], 10):7.3f} p10  {np.percentile(stages[name], 90):7.3f} p90"
        )
    for name, values in bare_ms.items():
        print(f"bare {name:<11}{statistics.median(values):7.3f} ms")
    mean = statistics.fmean(stages["total"])
    print(f"mean of the whole {mean:.2f} ms: every {STREAM_SCAN_EVERY}th detection also looks for small faces")
    print(f"whole {medians['total']:.2f} ms (limit {LIMIT_MS}), {ratio:.2f} × the bare models (limit {LIMIT_RATIO})")
    write_results(
        f"stages_{options.detector}",
        {
            "frame": "640x480, one face, detection on every frame", "threads": 1, "rounds": options.rounds,
            "median_ms": {name: round(value, 3) for name, value in medians.items()},
            "mean_total_ms": round(mean, 3), "scan_every": STREAM_SCAN_EVERY,
            "p90_ms": {name: round(float(np.percentile(values, 90)), 3) for name, values in stages.items()},
            "bare_ms": {name: round(statistics.median(values), 3) for name, values in bare_ms.items()},
            "ratio_to_bare": against_bare, "measured_files": measured_files([(recognizer.bundle, recognizer.artefact)]),
        },
    )  # fmt: skip
    sys.exit(1 if options.check and (medians["total"] > LIMIT_MS or ratio > LIMIT_RATIO) else 0)


if __name__ == "__main__":
    main()
