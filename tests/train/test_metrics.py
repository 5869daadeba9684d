"""Accuracy figures against numbers worked out by hand or published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_train.metrics import calibration, confusion_matrix, evaluate, log_loss, roc_curve, wilson_interval

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


def random_answers(classes: int, n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    scores = generator.normal(0, 1, (n, classes)) + 1.5 * np.eye(classes)[labels]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels, shares.astype(np.float32)


@pytest.mark.parametrize("classes", [2, 7])
def test_averages_and_log_loss_equal_scikit_learn(classes: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    labels, probabilities = random_answers(classes)
    names = tuple("abcdefg"[:classes])

    result = evaluate(labels, probabilities, names)

    predicted = probabilities.argmax(axis=1)
    macro = reference.precision_recall_fscore_support(labels, predicted, average="macro")
    assert (result["macro_precision"], result["macro_recall"], result["macro_f1"]) == pytest.approx(macro[:3], abs=1e-5)
    assert result["log_loss"] == pytest.approx(reference.log_loss(labels, probabilities), abs=1e-4)
    assert ("auc" in result) == (classes == 2)


@pytest.mark.parametrize("decimals", [1, 2, 7])
def test_roc_equals_scikit_learn_also_with_equal_scores(decimals: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    labels, probabilities = random_answers(2)
    scores = probabilities[:, 1].round(decimals)

    found = roc_curve(labels, scores)

    assert found["auc"] == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-5)
    points = list(zip(found["roc"]["fpr"], found["roc"]["tpr"], strict=True))
    fpr, tpr, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert set(points) <= set(zip(fpr.round(5).tolist(), tpr.round(5).tolist(), strict=True))
    assert (points[0], points[-1]) == ((0, 0), (1, 1))
    assert 3 <= len(points) <= 101


def test_positive_class_is_the_second_name() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    result = evaluate(labels, np.eye(2)[[0, 0, 1, 1, 0]], ("negative", "positive"))

    assert result["positive"] == {"name": "positive", "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert result["auc"] == pytest.approx((0.25 * 1 / 3 + 0.75 * 2 / 3), abs=1e-5)  # trapezoids (0,0) (1/3,1/2) (1,1)


def test_roc_needs_both_classes() -> None:
    assert roc_curve(np.array([1, 1]), np.array([0.2, 0.3])) == {"auc": None, "roc": None}


def test_calibration_equals_hand_computed_bins() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.91, 0.09], [0.4, 0.6]])

    found = calibration(labels, probabilities)

    # 0.9, 0.91 and 0.92 lie in (13/15, 14/15], two of three right; 0.6 lies in (8/15, 9/15], right.
    assert found["bins"] == [
        {"confidence": 0.6, "accuracy": 1.0, "count": 1},
        {"confidence": 0.91, "accuracy": 0.66667, "count": 3},
    ]
    assert found["ece"] == pytest.approx(0.25 * 0.4 + 0.75 * (0.91 - 2 / 3), abs=1e-5)


def test_calibration_of_certain_and_right_answers_is_perfect() -> None:
    assert calibration(LABELS, np.eye(3)[LABELS]) == {
        "ece": 0.0,
        "bins": [{"confidence": 1.0, "accuracy": 1.0, "count": 6}],
    }


def test_log_loss_of_exact_zeros_is_finite() -> None:
    assert log_loss(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-np.log(1e-7), abs=1e-4)
