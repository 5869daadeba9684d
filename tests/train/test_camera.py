"""Faces as a camera gives them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from places import ROOT

from fer_edge_train.camera import _CHANGES, like_a_camera

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A public-domain portrait's face, 48 pixels."""
    picture = cv2.imread(str(ROOT / "tests" / "samples" / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("change", _CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_change_alters_the_face_and_leaves_it_recognisable(change, face) -> None:
    for seed in range(20):
        changed = change(face, np.random.default_rng(seed))

        assert changed.shape == face.shape
        assert changed.dtype == np.uint8
        assert not np.array_equal(changed, face)
        assert np.corrcoef(changed.ravel().astype(float), face.ravel().astype(float))[0, 1] > 0.7


def test_the_share_of_changed_faces_is_what_was_asked(face) -> None:
    faces = np.repeat(face[None], 1000, axis=0)
    kept = faces.copy()

    changed = like_a_camera(faces, 0.3, np.random.default_rng(1))

    assert np.array_equal(faces, kept), "the training set itself is never changed"
    assert 0.25 < np.mean(np.any(changed != faces, axis=(1, 2))) < 0.35
    assert np.array_equal(like_a_camera(faces, 0.0, np.random.default_rng(1)), faces)
