"""Tells a picture that stands still to the last bit, as no sensor gives it, from one that only shows little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_REPEATS = 5
# Noise changes a real sensor's picture everywhere, so a look at every 509th value (a prime) nearly always suffices.
_STEP = 509


class FreezeDetector:
    """Remembers the last picture and since when it has been the same."""

    def __init__(self, frozen_s: float) -> None:
        """``frozen_s`` seconds of sameness, and at least five repetitions, are a frozen picture; 0 never is."""
        self._frozen_s = frozen_s
        self._last: NDArray[Any] | None = None
        self._since_s = 0.0
        self._repeats = 0

    def frozen_for(self, image: NDArray[Any], now_s: float) -> float:
        """Take in a picture; seconds for which it has been frozen, 0 while it is not."""
        if not self._frozen_s:
            return 0.0
        if self._last is None or not same(image, self._last):
            self._last, self._since_s, self._repeats = image, now_s, 0
            return 0.0
        self._repeats += 1
        lasted_s = now_s - self._since_s
        return lasted_s if lasted_s >= self._frozen_s and self._repeats >= LEAST_REPEATS else 0.0


def same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two pictures have the same shape, type and bytes."""
    import numpy as np

    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    one, other = first.reshape(-1), second.reshape(-1)
    return bool(np.array_equal(one[::_STEP], other[::_STEP]) and np.array_equal(one, other))
