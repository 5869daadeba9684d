"""Calibration faces come from training rows alone, balanced and reproducible."""

import numpy as np
import pytest

from fer_edge_runtime.errors import DataError

pytestmark = pytest.mark.train


def faces(counts, usage="Training"):
    """A data set with so many training faces a class, and as many others that must not be taken."""
    from fer_edge_train.data import FaceDataset

    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.concatenate([labels, labels, labels])
    usages = np.repeat([usage, "PublicTest", "PrivateTest"], len(labels) // 3)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 48, 48), np.uint8)
    return FaceDataset(images, labels, usages, tuple(f"class{k}" for k in range(len(counts))), "made up")


@pytest.mark.parametrize(
    ("counts", "wanted", "expected"),
    [
        ((50, 50, 50), 30, [10, 10, 10]),
        ((50, 4, 50), 30, [13, 4, 13]),
        ((50, 50), 7, [4, 3]),
        ((5, 2), 100, [5, 2]),
    ],
)
def test_classes_are_balanced_as_far_as_they_reach(counts, wanted, expected):
    from fer_edge_export.calibration import choose_calibration

    chosen = choose_calibration(faces(counts), faces=wanted, seed=1)
    assert list(chosen.counts.values()) == expected
    assert len(chosen.rows) == sum(expected)


def test_only_training_rows_are_taken_each_once():
    from fer_edge_export.calibration import choose_calibration

    data = faces((40, 40))
    chosen = choose_calibration(data, faces=60, seed=1)
    assert set(data.usage[chosen.rows]) == {"Training"}
    assert len(set(chosen.rows.tolist())) == 60
    np.testing.assert_array_equal(chosen.faces, data.images[chosen.rows])


def test_seed_decides_the_draw_and_the_digest():
    from fer_edge_export.calibration import choose_calibration

    data = faces((40, 40))
    first, same, other = (choose_calibration(data, faces=20, seed=seed).as_json() for seed in (1, 1, 2))
    assert first == same
    assert first["sha256"] != other["sha256"]


def test_data_without_training_rows_is_refused():
    from fer_edge_export.calibration import choose_calibration

    with pytest.raises(DataError, match="no Training rows"):
        choose_calibration(faces((3, 3), usage="PublicTest"), faces=10, seed=1)
