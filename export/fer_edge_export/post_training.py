"""Post-training quantization: of several ways to round a network, the one whose answers stay closest to the float ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_export.graph import Graph, build_model
from fer_edge_export.ranges import Ranges, choose_ranges, observe
from fer_edge_export.simulation import correct_biases, divergence

_MEMORY = 2**29  # bytes that the largest activation may take


def round_best(
    graph: Graph, calibration: NDArray[np.float32], held_out: NDArray[np.float32]
) -> tuple[Graph, Ranges, dict[str, Any]]:
    """Ranges and biases of the integer network.

    Ranges are the extremes on the calibration faces, or those with the least squared error; biases are the trained ones, or
    corrected. Which of the four is decided on faces that calibrated nothing.

    Args:
        graph: of `simplify`, with the grid of the input.
        calibration: (N, size, size, 1) float32 in [-1, 1]: training faces.
        held_out: (M, size, size, 1): other training faces.

    Returns:
        The steps, their ranges, and what was tried: way -> mean divergence from the float answers in nats.
    """
    batch = _batch(graph)
    some = calibration[:: -(-len(calibration) // batch)]
    found = observe(graph, calibration)
    tried: dict[str, tuple[Graph, Ranges]] = {}
    for title, clip in (("extremes", False), ("least squared error", True)):
        ranges = choose_ranges(graph, found, clip=clip)
        tried[title] = graph, ranges
        tried[f"{title}, corrected biases"] = correct_biases(graph, ranges, some), ranges
    report = {
        title: round(divergence(graph, steps, ranges, held_out, batch=batch), 6)
        for title, (steps, ranges) in tried.items()
    }
    best = min(report, key=lambda title: report[title])
    return *tried[best], {"chosen": best, "divergence_nats": report, "held_out_faces": len(held_out)}


def _batch(graph: Graph) -> int:
    """How many faces can be in memory at once."""
    largest = max(np.prod(layer.output.shape[1:]) for layer in build_model(graph).layers)
    return int(np.clip(_MEMORY // (4 * largest), 8, 256))
