"""Accuracy figures against numbers worked out by hand or published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_train.metrics import confusion_matrix, evaluate, wilson_interval

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval_equals_published_values(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_in_range(case: tuple[int, int]) -> None:
    correct, n = case
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n + 1e-12
    assert correct / n - 1e-12 <= high <= 1


LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_evaluate_equals_hand_computed_figures() -> None:
    result = evaluate(LABELS, np.eye(3)[PREDICTED], ("a", "b", "c"))

    assert result["n"] == 6
    assert result["accuracy"] == pytest.approx(4 / 6, abs=1e-5)
    assert result["per_class"]["a"] == {"precision": 1.0, "recall": 0.66667, "f1": 0.8, "n": 3}
    assert result["per_class"]["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2}
    assert result["per_class"]["c"] == {"precision": 0.5, "recall": 1.0, "f1": 0.66667, "n": 1}
    assert result["macro_f1"] == pytest.approx((0.8 + 0.5 + 2 / 3) / 3, abs=1e-5)
    assert result["interval95"] == pytest.approx(wilson_interval(4, 6), abs=1e-5)


def test_class_without_faces_counts_as_zero_and_divides_by_nothing() -> None:
    result = evaluate(np.array([0, 0]), np.eye(3)[[0, 0]], ("a", "b", "c"))

    assert result["per_class"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 0}
    assert result["macro_f1"] == pytest.approx(1 / 3, abs=1e-5)
    assert result["accuracy"] == 1.0


def test_evaluate_of_no_faces_says_nothing_is_known() -> None:
    result = evaluate(np.zeros(0, np.int64), np.zeros((0, 3)), ("a", "b", "c"))

    assert (result["n"], result["accuracy"], result["interval95"]) == (0, 0.0, [0.0, 1.0])
