#!/usr/bin/env python3
"""Compare what `scripts/pi-emulated` left of emulated Raspberry Pis with what this machine answers. Exit code 1 when anything differs.

    python benchmarks/pi_emulated.py HERE EMULATED…

Each folder holds ``raw.npz`` (benchmarks/raw_outputs.py), ``doctor.json``, ``verify.json``, ``run.jsonl`` and, where instructions were
counted, ``instructions.1`` and ``instructions.16``. LiteRT's logits, the last integers, must be equal to the byte. What is computed in
float and rounded may not be: softmax, and in ONNX Runtime residual additions too; the scores must then agree as closely as the
bundle asks of its golden vectors. A whole run has further float parts (detector, resizing): its labels must be the same, and how far
boxes and scores are apart is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, measured_files, write_results
from raw_outputs import PARTS, models

from fer_edge_runtime.bundle import load_bundle

SUITES, CPUS = ("bookworm", "trixie"), ("cortex-a72", "cortex-a76")
INT8 = {"cortex-a72": "NEON", "cortex-a76": "dotprod"}
KINDS = ("logits", "scores")
COUNTED_FRAMES = 15  # of them one with the search for small faces, as in any 15 frames of a stream


def main() -> None:
    here, *emulated = map(Path, sys.argv[1:])
    systems = [system(here, folder) for folder in emulated]
    values = {
        "litert_logits_equal": all(found["litert_logits_equal"] for found in systems),
        "passed": not any(found["wrong"] for found in systems),
        "qemu": qemu_version(),
        "measured_files": measured_files((bundle, artefact) for _, bundle, artefact in models()),
        "systems": systems,
    }
    complete = {(found["suite"], found["cpu"]) for found in systems} == {(s, c) for s in SUITES for c in CPUS}
    print(write_results("pi_emulated", values, RESULTS if complete else here.parent))
    for found in systems:
        print(line(found))
    sys.exit(not values["passed"])


def system(here: Path, folder: Path) -> dict[str, Any]:
    """Everything about one suite on one processor."""
    suite, _, cpu = folder.name.partition("-")
    wrong: list[str] = []
    models = compare_raw(here, folder, wrong)
    litert = {name: model for name, model in models.items() if name.endswith(".tflite")}
    if models and not litert:
        wrong.append("no LiteRT model was compared")
    doctor = by_id(read(folder / "doctor.json"), wrong)
    versions = {name: check["values"]["version"] for name, check in doctor.items() if "version" in check["values"]}
    check_doctor(doctor, cpu, wrong)
    check_verify(read(folder / "verify.json"), wrong)
    return {
        "suite": suite, "cpu": cpu, "python": versions.pop("python", None), "versions": versions,
        "litert_logits_equal": bool(litert) and total(litert, "logits", "differing_bytes") == 0,
        "bytes_compared": {kind: total(models, kind, "bytes") for kind in KINDS}, "models": models,
        "run": compare_runs(here / "run.jsonl", folder / "run.jsonl", wrong),
        "instructions_per_frame": instructions(folder), "wrong": wrong,
    }  # fmt: skip


def compare_raw(here: Path, folder: Path, wrong: list[str]) -> dict[str, Any]:
    """Per model: faces, bytes and those that differ, of logits and scores; how many values of its own golden inputs differ."""
    if not (folder / "raw.npz").is_file():
        wrong.append("the models could not be run")
        return {}
    ours, theirs = np.load(here / "raw.npz"), np.load(folder / "raw.npz")
    found = {}
    for name in sorted({key.partition(":")[0] for key in ours.files}):
        logits, scores = (compare_bytes(ours, theirs, [f"{name}:{part}:{kind}" for part in PARTS]) for kind in KINDS)
        if logits["differing_bytes"] and name.endswith(".tflite"):
            wrong.append(f"{name}: {logits['differing_bytes']} bytes of the logits differ")
        bundle = load_bundle(name.partition("/")[0])
        difference = scores["largest_difference"] * bundle.artefact(name.rpartition(".")[2]).output.scale
        if difference > bundle.manifest.golden.tolerance:
            wrong.append(f"{name}: scores differ by {difference:.3f}, more than the golden vectors may")
        inputs = int((ours[f"{name}:inputs"] != theirs[f"{name}:inputs"]).sum())
        found[name] = {"logits": logits, "scores": scores, "differing_input_values": inputs}
    return found


def compare_bytes(ours: Any, theirs: Any, keys: list[str]) -> dict[str, int]:
    """(N, labels) arrays of one byte a value, all together; differences in steps of their grid."""
    a, b = (np.concatenate([found[key] for key in keys]) for found in (ours, theirs))
    assert (a.shape, a.dtype, a.itemsize) == (b.shape, b.dtype, 1), keys
    return {
        "faces": len(a), "different_answers_among_them": len(np.unique(a, axis=0)),
        "bytes": a.nbytes, "differing_bytes": int((a != b).sum()),
        "largest_difference": int(np.abs(a.astype(int) - b.astype(int)).max()),
    }  # fmt: skip


def compare_runs(ours: Path, theirs: Path, wrong: list[str]) -> dict[str, Any]:
    """Frames and the largest distances between boxes (pixels) and scores of the same face."""
    pairs = list(zip(frames(ours), frames(theirs), strict=False))
    same = [
        [face["label"] for face in a["faces"]] == [face["label"] for face in b["faces"]] and a["frame"] == b["frame"]
        for a, b in pairs
    ]
    if not pairs or len(frames(ours)) != len(frames(theirs)) or not all(same):
        wrong.append(f"fer-edge run: {sum(same)} of {len(frames(ours))} frames have the same labels")
    faces = [both for a, b in pairs for both in zip(a["faces"], b["faces"], strict=False)]
    return {
        "frames": len(pairs), "same_labels": sum(same),
        "box_px": max((round(abs(x - y), 2) for a, b in faces for x, y in zip(a["box"], b["box"], strict=True)), default=None),
        "score": max((round(abs(a["score"] - b["score"]), 4) for a, b in faces), default=None),
    }  # fmt: skip


def check_doctor(doctor: dict[str, Any], cpu: str, wrong: list[str]) -> None:
    failed = [f"doctor: {name}: {check['found']}" for name, check in doctor.items() if check["status"] == "FAIL"]
    wrong.extend(failed)
    if doctor and doctor["cpu"]["values"].get("int8") != INT8[cpu]:
        wrong.append(f"doctor takes the processor for another: {doctor['cpu']['found']}")
    golden = doctor.get("golden:model.int8.tflite", {}).get("found", "")
    if "XNNPACK" not in golden:
        wrong.append(f"LiteRT does not run through XNNPACK: {golden or 'no golden vectors'}")


def check_verify(report: dict[str, Any], wrong: list[str]) -> None:
    if not report.get("ok"):
        wrong.append("models verify found something wrong")
    for bundle in report.get("bundles", []):
        wrong.extend(
            f"{bundle['model']}: {check['check']} was skipped"
            for check in bundle["checks"]
            if check["status"] == "skipped"
        )


def instructions(folder: Path) -> int | None:
    """Of a frame with one face and one thread, the start left out; None where they were not counted."""
    counts = []
    for many in (1, COUNTED_FRAMES + 1):
        log = folder / f"instructions.{many}"
        words = log.read_text().split() if log.is_file() else []
        if words[:1] != ["instructions"]:
            return None
        counts.append(int(words[1]))
    return (counts[1] - counts[0]) // COUNTED_FRAMES


def total(models: dict[str, Any], kind: str, what: str) -> int:
    return sum(model[kind][what] for model in models.values())


def line(found: dict[str, Any]) -> str:
    """One system in words."""
    parts = [
        f"{name}: {', '.join('{differing_bytes} of {bytes:,} bytes of the '.format(**model[kind]) + kind for kind in KINDS)} differ"
        for name, model in found["models"].items()
    ]
    parts.append(f"{found['run']['same_labels']} of {found['run']['frames']} frames of a run have the same labels")
    if found["instructions_per_frame"]:
        parts.append(f"{found['instructions_per_frame'] / 1e6:.1f} million instructions a frame")
    parts += [f"WRONG: {what}" for what in found["wrong"]]
    verdict = "FAIL" if found["wrong"] else "PASS"
    return "\n    ".join([f"{verdict}  Debian {found['suite']} on {found['cpu']}", *parts])


def read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def by_id(report: dict[str, Any], wrong: list[str]) -> dict[str, Any]:
    if not report:
        wrong.append("fer-edge doctor did not answer")
    return {check["id"]: check for check in report.get("checks", [])}


def frames(path: Path) -> list[dict[str, Any]]:
    """Of a run; none where it broke off within a line."""
    try:
        return [json.loads(text) for text in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []


def qemu_version() -> str:
    done = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].removeprefix("qemu-aarch64 version ")


if __name__ == "__main__":
    main()
