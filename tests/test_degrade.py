"""The changes that benchmarks/robustness.py makes to faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from degrade import CHANGES, degraded
from places import ROOT


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Three crops of a public-domain portrait, 48 pixels."""
    picture = cv2.imread(str(ROOT / "tests" / "samples" / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    crops = [picture[top : top + 200, left : left + 200] for top, left in ((0, 100), (40, 120), (80, 60))]
    return np.stack([cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA) for crop in crops])


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_repeatable_visible_and_keeps_the_shape(change: str, faces: np.ndarray) -> None:
    kept = faces.copy()
    first, again = degraded(faces, change), degraded(faces, change)

    assert np.array_equal(first, again)
    assert np.array_equal(faces, kept)
    assert first.shape == faces.shape
    assert first.dtype == np.uint8
    assert all(not np.array_equal(a, b) for a, b in zip(first, faces, strict=True))


def test_directions_are_what_their_names_say(faces: np.ndarray) -> None:
    bright = np.zeros((1, 48, 48), np.uint8)
    bright[0, 20:28, 20:28] = 200

    def centre(change: str) -> tuple[float, float]:
        y, x = np.nonzero(degraded(bright, change)[0] > 100)
        return x.mean(), y.mean()

    assert centre("moved 10 % right") == pytest.approx((23.5 + 4.8, 23.5), abs=0.6)
    assert centre("moved 10 % down") == pytest.approx((23.5, 23.5 + 4.8), abs=0.6)
    assert (
        degraded(faces, "60 grey levels darker").mean()
        < faces.mean()
        < degraded(faces, "60 grey levels brighter").mean()
    )
    wide, narrow = (np.count_nonzero(degraded(bright, f"crop 15 % too {name}")) for name in ("wide", "narrow"))
    assert wide < narrow
