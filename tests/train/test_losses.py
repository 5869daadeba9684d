"""The loss against its formulas, computed by hand with numpy."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from marks import TRAINING

from fer_edge_train.losses import FaceLoss, label_accuracy

pytestmark = TRAINING

TARGETS = np.array([[1, 0, 0], [0, 0.25, 0.75]], np.float32)
SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
TEACHERS = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]], np.float32)


def value(loss: FaceLoss, targets: np.ndarray, scores: np.ndarray = SCORES) -> np.ndarray:
    return np.asarray(loss.call(keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(scores)))


def test_plain_loss_is_cross_entropy() -> None:
    assert value(FaceLoss(), TARGETS) == pytest.approx(-(TARGETS * np.log(SCORES)).sum(axis=1), rel=1e-5)


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    smoothed = TARGETS * 0.9 + 0.1 / 3
    assert value(FaceLoss(smoothing=0.1), TARGETS) == pytest.approx(-(smoothed * np.log(SCORES)).sum(axis=1), rel=1e-5)


def test_focal_loss_counts_certain_faces_less() -> None:
    expected = -(TARGETS * (1 - SCORES) ** 2 * np.log(SCORES)).sum(axis=1)
    assert value(FaceLoss(focal=2.0), TARGETS) == pytest.approx(expected, rel=1e-4)


def test_two_classes_from_one_logit_give_binary_cross_entropy() -> None:
    positive, truth = np.array([0.8, 0.3], np.float32), np.array([1.0, 0.0], np.float32)
    pairs = [np.stack([1 - column, column], axis=1) for column in (truth, positive)]

    expected = -(truth * np.log(positive) + (1 - truth) * np.log(1 - positive))

    assert value(FaceLoss(), *pairs) == pytest.approx(expected, rel=1e-5)


def test_teachers_share_is_softened_cross_entropy_times_the_squared_temperature() -> None:
    loss = FaceLoss(teacher_weight=0.4, temperature=3.0)
    student = SCORES ** (1 / 3)
    student /= student.sum(axis=1, keepdims=True)
    plain = -(TARGETS * np.log(SCORES)).sum(axis=1)
    taught = -(TEACHERS * np.log(student)).sum(axis=1) * 9

    assert value(loss, np.concatenate([TARGETS, TEACHERS], axis=1)) == pytest.approx(
        0.6 * plain + 0.4 * taught, rel=1e-4
    )


def test_certain_and_wrong_is_finite() -> None:
    assert np.isfinite(value(FaceLoss(focal=2.0), TARGETS, np.array([[0, 1, 0], [1, 0, 0]], np.float32))).all()


def test_accuracy_looks_at_the_label_only() -> None:
    wrong_teachers = np.array([[0, 1, 0], [1, 0, 0]], np.float32)
    both = keras.ops.convert_to_tensor(np.concatenate([TARGETS, wrong_teachers], axis=1))

    assert np.asarray(label_accuracy(both, keras.ops.convert_to_tensor(SCORES))).tolist() == [1, 1]


def test_loss_survives_saving() -> None:
    loss = FaceLoss(0.1, 2.0, 0.4, 3.0)
    copied = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(loss))))
    both = np.concatenate([TARGETS, TEACHERS], axis=1)
    assert value(copied, both) == pytest.approx(value(loss, both))
