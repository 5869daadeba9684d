"""Temperature scaling on probabilities is temperature scaling of the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_runtime.calibrate import calibrated


def softmax(scores: np.ndarray) -> np.ndarray:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


@given(seed=st.integers(0, 999), temperature=st.floats(0.25, 4))
def test_it_equals_dividing_the_scores(seed: int, temperature: float) -> None:
    scores = np.random.default_rng(seed).normal(0, 1, (5, 7))

    assert calibrated(softmax(scores), temperature) == pytest.approx(softmax(scores / temperature), abs=2e-3)


def test_order_and_sum_stay_and_zeros_are_no_trouble() -> None:
    found = calibrated(np.array([[0, 0.25, 0.75], [0, 0, 1], [1, 0, 0]], np.float32), 2.5)

    assert found.sum(axis=1) == pytest.approx(1)
    assert found.argmax(axis=1).tolist() == [2, 2, 0]
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_one_changes_nothing() -> None:
    raw = np.array([[0.0, 1.0]], np.float32)

    assert calibrated(raw, 1.0) is raw
