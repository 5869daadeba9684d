"""Probabilities that mean what they say: temperature scaling (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 1e-3  # an int8 probability of 0 is anything under half of 1/256


def calibrated(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """The softmax of the scores divided by ``temperature``, computed from the softmax of the scores.

    Args:
        probabilities: (N, classes) float32, each row with the sum 1.
        temperature: above 1 flattens, under 1 sharpens, 1 changes nothing. The order of the classes stays.

    Returns:
        (N, classes) float32, each row with the sum 1.
    """
    if temperature == 1:
        return probabilities
    scaled = np.maximum(probabilities, SMALLEST) ** (1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)
