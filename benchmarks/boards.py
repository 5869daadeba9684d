#!/usr/bin/env python3
"""What to expect of a board that is not here: an ESTIMATE from published times of other models and our own operation counts.

    python benchmarks/boards.py

A published time of a model on a board, divided by that model's multiply-accumulates (MACs), gives the board's rate; our models'
MACs, counted in the files that ship, divided by it give their time. Two anchors give a range. Python, OpenCV and tracking are
this machine's measured rest of a frame (results/stages_full.json) times how much slower the board runs one and the same
network. Nothing here was measured on a board.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import RESULTS, measured_files, write_results

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines.litert import open_interpreter
from fer_edge_runtime.shipped import shipped_names

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "runtime" / "fer_edge_runtime" / "assets"
DETECTOR = ASSETS / "face_detection_full_range_sparse.tflite"
FACES = (1, 2, 3, 4)
DETECT_EVERY = (1, 3)

XNNPACK = "XNNPACK README, 2022-02"
GLES = "tflite_gles_app README"
ZOO = "opencv_zoo benchmark"
# MACs of the published models: arXiv 1801.04381 table 4 (MobileNetV2 300 M, MobileNetV1 575 M); BlazeFace: counted in its file.
MMACS = {"MobileNetV2 224": 300.0, "MobileNetV1 224": 575.0, "BlazeFace 128": 30.8}


class Anchor(NamedTuple):
    """A published time: ``ms`` of ``model`` on ``board``, all cores."""

    board: str
    model: str
    ms: float
    source: str

    @property
    def rate(self) -> float:
        """Million MACs a millisecond."""
        return MMACS[self.model] / self.ms


class Board(NamedTuple):
    """Anchors of a board, and how many times slower than this machine its Python runs.

    Attributes:
        int8, float32: one or two anchors each.
        speedup: range of the board against the anchors' board.
        slower: of the rest of a frame.
        basis: where speedup and slower come from, in words.
    """

    int8: tuple[Anchor, ...]
    float32: tuple[Anchor, ...]
    speedup: tuple[float, float]
    slower: float
    basis: str


PI4, NANO = "Raspberry Pi 4", "Jetson Nano"
_PI4 = (
    (Anchor(PI4, "MobileNetV2 224", 17, XNNPACK), Anchor(PI4, "MobileNetV1 224", 24, XNNPACK)),
    (Anchor(PI4, "MobileNetV2 224", 46, XNNPACK), Anchor(PI4, "BlazeFace 128", 10, GLES)),
)
# MobileFaceNet 112 in float, 1.79 ms on an i9-12700K, which is no slower than this machine: an upper bound of the slowdown.
_PI4_SLOWER = 27.8 / 1.79
_NANO_SLOWER = 26.5 / 1.79
_NANO = (
    (Anchor(NANO, "MobileNetV1 224", 29, GLES),),
    (Anchor(NANO, "MobileNetV1 224", 50, GLES), Anchor(NANO, "BlazeFace 128", 10, GLES)),
)
_ORIN = 26.5 / 9.15  # Orin Nano against Nano, both CPUs

BOARDS = {
    "Raspberry Pi 4": Board(*_PI4, (1, 1), _PI4_SLOWER, f"{ZOO}: MobileFaceNet 27.8 ms against 1.79 ms on an i9-12700K"),
    "Raspberry Pi 5": Board(*_PI4, (2, 3), _PI4_SLOWER / 2, "2 to 3 times a Pi 4: commonly said, no source found"),
    "Jetson Nano, CPU": Board(*_NANO, (1, 1), _NANO_SLOWER, f"{ZOO}: MobileFaceNet 26.5 ms"),
    "Jetson Orin Nano, CPU": Board(
        *_NANO, (_ORIN, _ORIN), _NANO_SLOWER / _ORIN, f"{ZOO}: MobileFaceNet 9.15 ms against the Nano's 26.5 ms"
    ),
}  # fmt: skip


def main() -> None:
    stages = json.loads((RESULTS / "stages_full.json").read_text())
    rest = stages["median_ms"]["total"] - sum(stages["bare_ms"].values())
    detector = mmacs(DETECTOR.read_bytes())
    models = [(bundle, bundle.artefact("tflite")) for bundle in map(load_bundle, shipped_names())]
    bundles = {bundle.manifest.name: mmacs(bundle.contents[artefact.path]) for bundle, artefact in models}
    rows = [
        {"board": name, "bundle": bundle, "basis": board.basis, **estimate(board, classifier, detector, rest)}
        for name, board in BOARDS.items()
        for bundle, classifier in bundles.items()
    ]
    for row in rows:
        print(json.dumps(row))
    anchors = sorted({anchor for board in BOARDS.values() for anchor in (*board.int8, *board.float32)})
    print(write_results("boards", {
        "estimate": True, "mmacs": {"detector": round(detector, 1), **{k: round(v, 1) for k, v in bundles.items()}},
        "rest_ms_here": round(rest, 3), "measured_files": measured_files(models), "anchors": anchors, "rows": rows,
    }))  # fmt: skip


def estimate(board: Board, classifier: float, detector: float, rest: float) -> dict[str, Any]:
    """Milliseconds of a face and of a detection, and frames a second, each as [slowest, fastest].

    Args:
        board: the board.
        classifier: million MACs of a face.
        detector: million MACs of a detection.
        rest: milliseconds of a frame's other work on this machine.
    """
    classify, detect = times(board.int8, board, classifier), times(board.float32, board, detector)
    frames = {
        f"{faces} face{'s' * (faces > 1)}, detection every {every}": [
            round(1000 / (detect[end] / every + faces * classify[end] + rest * board.slower), 1) for end in (0, 1)
        ]
        for every in DETECT_EVERY
        for faces in FACES
    }
    return {
        "classify_ms": [round(t, 1) for t in classify],
        "detect_ms": [round(t, 1) for t in detect],
        "rest_ms": round(rest * board.slower, 1),
        "frames_per_s": frames,
    }


def times(anchors: tuple[Anchor, ...], board: Board, count: float) -> tuple[float, float]:
    """Slowest and fastest milliseconds of so many million MACs."""
    rates = [anchor.rate * speed for anchor in anchors for speed in board.speedup]
    return count / min(rates), count / max(rates)


def mmacs(content: bytes) -> float:
    """Million multiply-accumulates of a TFLite file's convolutions and dense layers."""
    interpreter = open_interpreter(content, name="the model")
    interpreter.allocate_tensors()
    shapes = {tensor["index"]: tensor["shape"] for tensor in interpreter.get_tensor_details()}
    total = 0
    for operator in interpreter._get_ops_details():
        kind = operator["op_name"]
        if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        kernel, output = shapes[operator["inputs"][1]], shapes[operator["outputs"][0]]
        per_output = kernel[1] * kernel[2] if kind == "DEPTHWISE_CONV_2D" else np.prod(kernel[1:])
        total += int(np.prod(output)) * int(per_output)
    return total / 1e6


if __name__ == "__main__":
    main()
