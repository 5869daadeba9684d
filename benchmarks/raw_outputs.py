#!/usr/bin/env python3
"""Raw outputs of the shipped int8 models, to compare machines byte for byte. Needs the installed runtime; the inputs, onnx too.

    python benchmarks/raw_outputs.py inputs in.npz             # faces as the models take them
    python benchmarks/raw_outputs.py outputs in.npz out.npz    # what the models of this machine answer, and its own golden inputs

The inputs are made once and carried over, because resizing and face detection compute in float, which machines round apart. So
does the softmax at the end of every int8 classifier; the logits before it are the last integers, and are kept too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.engines.litert import open_interpreter
from fer_edge_runtime.manifest import Artefact
from fer_edge_runtime.preprocess import crop_faces, to_input
from fer_edge_runtime.shipped import shipped_names
from fer_edge_runtime.sources import open_source

DETECTOR = "full"
PARTS = ("golden", "clip", "noise")
NOISE = 16
EVERY = 2  # frames of the clip: an emulated model takes seconds
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def models() -> Iterator[tuple[str, Bundle, Artefact]]:
    for name in shipped_names():
        bundle = load_bundle(name)
        for artefact in (artefact for artefact in bundle.manifest.artefacts if artefact.precision == "int8"):
            yield f"{name}/{artefact.path}", bundle, artefact


def inputs() -> dict[str, np.ndarray]:
    """For every model: the golden faces, the largest face of every second frame of the clip, and noise, which reaches every code."""
    noise = np.random.default_rng(0)
    detector = open_detector(DETECTOR)
    with open_source("demo") as source:
        frames = [(f.image, detector.detect(f.image)[:1]) for f in source.frames() if f.index % EVERY == 0]
    found = {}
    for name, bundle, artefact in models():
        spec = bundle.manifest.preprocess
        faces = [crop_faces(image, seen, spec=spec, framing=spec.framing[DETECTOR]) for image, seen in frames if seen]
        found[f"{name}:golden"] = to_input(bundle.crops, spec, artefact.input)
        found[f"{name}:clip"] = to_input(np.concatenate(faces), spec, artefact.input)
        if artefact.format == "onnx":
            found[f"{name}:model"] = with_logits(bundle.contents[artefact.path])
        shape = (NOISE, *bundle.crops.shape[1:])
        found[f"{name}:noise"] = to_input(noise.integers(0, 256, shape, np.uint8), spec, artefact.input)
    return found


def outputs(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Stored values of scores and logits, (N, labels) each in its own dtype; a face at a time, one thread."""
    found = {}
    for name, bundle, artefact in models():
        run = (
            litert(bundle, artefact) if artefact.format == "tflite" else onnx_runtime(given[f"{name}:model"].tobytes())
        )
        for part in PARTS:
            answers = [run(face[None]) for face in given[f"{name}:{part}"]]
            for kind, rows in zip(("scores", "logits"), zip(*answers, strict=True), strict=True):
                found[f"{name}:{part}:{kind}"] = np.concatenate(rows)
        found[f"{name}:inputs"] = to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)
    return found


def litert(bundle: Bundle, artefact: Artefact) -> Run:
    """XNNPACK ends at the logits; softmax is one of LiteRT's own operators after it."""
    interpreter = open_interpreter(bundle.contents[artefact.path], name=artefact.path)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    (logits,) = (
        int(op["inputs"][0])
        for op in interpreter._get_ops_details()
        if given in op["outputs"] and op["op_name"] == "SOFTMAX"
    )

    def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        interpreter.set_tensor(taken, batch)
        interpreter.invoke()
        return interpreter.get_tensor(given), interpreter.get_tensor(logits)

    return run


def onnx_runtime(model: bytes) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda batch: tuple(session.run(None, {session.get_inputs()[0].name: batch}))


def with_logits(content: bytes) -> np.ndarray:
    """An ONNX classifier with the quantized input of its softmax as a second output."""
    import onnx

    model = onnx.load_from_string(content)
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantize = made_by[model.graph.output[0].name]
    softmax = made_by[quantize.input[0]]
    assert (quantize.op_type, softmax.op_type) == ("QuantizeLinear", "Softmax")
    logits = onnx.ValueInfoProto()
    logits.CopyFrom(model.graph.output[0])
    logits.name = made_by[softmax.input[0]].input[0]
    model.graph.output.append(logits)
    return np.frombuffer(model.SerializeToString(), np.uint8)


def main() -> None:
    what, *files = sys.argv[1:]
    if what == "inputs":
        found = inputs()
    else:
        with np.load(files[0], allow_pickle=False) as archive:
            found = outputs({name: archive[name] for name in archive.files})
    np.savez(Path(files[-1]), **found)


if __name__ == "__main__":
    main()
