"""How values scatter: the quantiles that every figure comes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of times in milliseconds; with ``n`` under 100, ``p99`` leans on the largest value alone."""

    n: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float

    def as_json(self) -> dict[str, float | int]:
        """Plain values, to the microsecond tenth."""
        return {name: round(value, 4) if name != "n" else int(value) for name, value in asdict(self).items()}


def spread(values_ms: Sequence[float]) -> Spread:
    """Quantiles by linear interpolation between neighbours.

    Args:
        values_ms: at least one time in milliseconds.
    """
    p50, p90, p99 = (float(value) for value in np.percentile(values_ms, (50, 90, 99)))
    return Spread(len(values_ms), float(min(values_ms)), p50, p90, p99, float(np.mean(values_ms)))
