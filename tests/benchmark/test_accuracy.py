"""Figures in which a face without an answer counts as wrong."""

import numpy as np
import pytest

from fer_edge.benchmark.accuracy import remarks_on, score_answers
from fer_edge_runtime.errors import DataError

NAMES = ("angry", "happy", "sad")


def test_unknown_label_and_missing_face_are_wrong_over_all_and_absent_from_the_tables():
    labels = np.array([0, 1, 1, -1, 1])
    answers = np.eye(3, dtype=np.float32)[[0, 1, 0, 1, 1]]
    found = np.array([True, True, True, True, False])
    result = {"artefact": "m", **score_answers(labels, answers, found, NAMES)}
    assert (result["n"], result["accuracy"]) == (3, 0.66667)
    assert (result["all"]["n"], result["all"]["accuracy"]) == (5, 0.4)
    assert result["all"]["counted_wrong"] == {"the model has no such label": 1, "no face was found": 1}
    low, high = result["all"]["interval95"]
    assert low < 0.4 < high
    assert result["absent"] == ["sad"]
    assert result["macro_f1_present"] == pytest.approx(2 / 3, abs=1e-4)  # without the class that has no faces
    assert len(remarks_on(result)) == 2


def test_answer_of_zeros_for_a_picture_without_a_face_is_never_right():
    result = score_answers(
        np.array([0, 0]), np.array([[1, 0, 0], [0, 0, 0]], np.float32), np.array([True, False]), NAMES
    )
    assert result["all"]["accuracy"] == 0.5


def test_nothing_answered_is_an_error_in_words():
    with pytest.raises(DataError, match="none shows a face"):
        score_answers(np.array([0]), np.zeros((1, 3), np.float32), np.array([False]), NAMES)
