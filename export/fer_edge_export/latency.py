"""What a face costs in every artefact on this machine, as ratios of one interleaved run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from fer_edge_train.devices import processor

ROUNDS = 60
# Instructions that multiply and add four int8 at a time.
_INT8_INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")


def latency_report(latency: Mapping[str, Any]) -> dict[str, Any]:
    """Medians, how much faster int8 is than float in each format, and where the time goes.

    Args:
        latency: of `device.Answers`.
    """
    artefacts = {
        name: {
            "median_ms": round(median(values), 4), "p10_ms": round(quantiles(values, n=10)[0], 4),
            "again_median_ms": round(median(latency["again"][name]), 4),
        }
        for name, values in latency["turns"].items()
    }  # fmt: skip
    speedup = {}
    for kind in ("tflite", "onnx"):
        exact, rounded = (artefacts.get(f"model.{precision}.{kind}") for precision in ("fp32", "int8"))
        if exact and rounded:
            speedup[kind] = round(exact["median_ms"] / rounded["median_ms"], 3)
    return {
        "machine": processor(), "threads": 1, "rounds": len(next(iter(latency["turns"].values()))), "artefacts": artefacts,
        "int8_speedup": speedup, "profiles": latency["profiles"],
    }  # fmt: skip


def latency_sentences(report: Mapping[str, Any]) -> list[str]:
    """The report in words; a warning where int8 is slower than float."""
    sentences = []
    for kind, speedup in report["int8_speedup"].items():
        cost = report["artefacts"][f"model.int8.{kind}"]["median_ms"]
        told = f"{kind}: a face takes {cost:.2f} ms in int8 on one thread of this machine, {speedup:.2f} times as fast as float."
        sentences.append(told if speedup >= 1 else f"Warning: {told} {_reason()}")
    return sentences


def _reason() -> str:
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "Why is not known."
    if words.isdisjoint(_INT8_INSTRUCTIONS):
        return "This processor has no int8 dot product (VNNI on x86, dotprod on Arm)."
    return "Why is not known: this processor has an int8 dot product. Was the machine busy?"
