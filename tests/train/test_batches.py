"""An epoch's batches: what they hold, and what their randomness depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge_train.batches import Batches, steps_per_epoch
from fer_edge_train.config import Augment, TrainConfig

pytestmark = pytest.mark.train

PLAIN = replace(TINY, batch_size=4)
MIXED = replace(PLAIN, augment=Augment(mixup=0.4))
CUT = replace(PLAIN, augment=Augment(cutmix=1.0))
CAMERA = replace(PLAIN, augment=Augment(camera=0.5))


def batches(config: TrainConfig, *, rows: int = 10, seed: int = 1, labels: np.ndarray | None = None) -> Batches:
    """Face ``i`` has every pixel ``20 * i``, its target is class ``i % 2``, its weight ``i``."""
    labels = np.arange(rows) % 2 if labels is None else labels
    images = np.tile((20 * np.arange(rows, dtype=np.uint8))[:, None, None], (1, 48, 48))
    return Batches(images, np.eye(2, dtype=np.float32)[labels], np.arange(rows, dtype=np.float32), labels, config, seed)


@given(rows=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_batch_is_full_and_no_row_comes_twice(rows: int, size: int, seed: int) -> None:
    made = batches(replace(PLAIN, batch_size=size), rows=rows, seed=seed)

    seen = [weight for index in range(len(made)) for weight in made[index][2].tolist()]

    assert len(made) == steps_per_epoch(rows, size)
    assert len(seen) == len(made) * min(size, rows)
    assert len(set(seen)) == len(seen)


def test_faces_targets_and_weights_of_a_row_stay_together() -> None:
    faces, targets, weights = batches(PLAIN)[0]

    assert faces.shape == (4, 48, 48, 1)
    assert faces.dtype == np.uint8
    assert np.array_equal(faces[:, 0, 0, 0], (20 * weights).astype(np.uint8))
    assert np.array_equal(targets.argmax(axis=1), weights.astype(int) % 2)


@pytest.mark.parametrize("config", [PLAIN, MIXED, CUT, CAMERA, replace(PLAIN, sampling="balanced")])
def test_the_seed_decides_everything(config: TrainConfig) -> None:
    first, again, other = (batches(config, seed=seed)[1] for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_mixup_blends_faces_and_targets_by_the_same_share() -> None:
    rows = 64
    labels = np.arange(rows) % 2
    images = np.where(labels, 200, 0).astype(np.uint8)[:, None, None] * np.ones((1, 48, 48), np.uint8)
    config = replace(MIXED, batch_size=rows)

    faces, targets, weights = Batches(
        images, np.eye(2, dtype=np.float32)[labels], 1 + 2 * labels.astype(np.float32), labels, config, 3
    )[0]

    assert targets.sum(axis=1) == pytest.approx(1)
    assert np.abs(faces[:, 0, 0, 0] - 200 * targets[:, 1]).max() <= 1
    assert weights == pytest.approx(1 + 2 * targets[:, 1], abs=1e-5), "a blend weighs what its parts weigh"
    assert np.any((targets[:, 1] > 0.05) & (targets[:, 1] < 0.95))


def black_and_white(config: TrainConfig, rows: int = 64) -> Batches:
    """Class 0 is black and weighs 1, class 1 is white and weighs 3."""
    labels = np.arange(rows) % 2
    images = np.where(labels, 200, 0).astype(np.uint8)[:, None, None] * np.ones((1, 48, 48), np.uint8)
    targets = np.eye(2, dtype=np.float32)[labels]
    return Batches(
        images, targets, 1 + 2 * labels.astype(np.float32), labels, replace(config, batch_size=rows), 3
    )  # fmt: skip


def test_cutmix_blends_targets_by_the_area_that_was_pasted() -> None:
    faces, targets, weights = black_and_white(CUT)[0]

    white = (faces[..., 0] == 200).mean(axis=(1, 2))
    assert set(np.unique(faces)) == {0, 200}, "pixels are one face's or the other's"
    assert targets[:, 1] == pytest.approx(white, abs=1e-5)
    assert weights == pytest.approx(1 + 2 * white, abs=1e-4)
    assert np.any((white > 0.05) & (white < 0.95))


def test_mixup_and_cutmix_share_the_batches() -> None:
    both = replace(PLAIN, batch_size=4, augment=Augment(mixup=0.4, cutmix=1.0))
    labels = np.arange(400) % 2
    images = np.where(labels, 200, 0).astype(np.uint8)[:, None, None] * np.ones((1, 48, 48), np.uint8)
    made = Batches(images, np.eye(2, dtype=np.float32)[labels], np.ones(400, np.float32), labels, both, 3)

    pasted = [set(np.unique(made[index][0])) <= {0, 200} for index in range(len(made))]

    assert 20 < sum(pasted) < 80


def test_balanced_sampling_shows_a_rare_class_as_often_as_the_others() -> None:
    labels = np.array([0] * 950 + [1] * 50)
    made = batches(replace(PLAIN, batch_size=100, sampling="balanced"), rows=1000, labels=labels)

    shown = np.concatenate([made[index][1] for index in range(len(made))]).mean(axis=0)

    assert shown == pytest.approx([0.5, 0.5], abs=0.08)
    plain = batches(replace(PLAIN, batch_size=100), rows=1000, labels=labels)
    assert np.concatenate([plain[index][1] for index in range(len(plain))]).mean(axis=0) == pytest.approx([0.95, 0.05])
