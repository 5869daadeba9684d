"""Planted copies are found, whatever was done to them, and different faces are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge_train.duplicates import crossing, exact_groups, find_duplicates, near_groups
from fer_edge_train.faces import FaceDataset
from fer_edge_train.readers import read_rows

pytestmark = pytest.mark.train
FER2013 = Path(__file__).parents[3] / "shared" / "data" / "fer2013.parquet"


def scene(seed: int, size: int = 48) -> np.ndarray:
    """(size, size) uint8: blobs of light that no other seed has."""
    small = np.random.default_rng(seed).normal(0, 1, (5, 5)).astype(np.float32)
    large = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 50 * large, 0, 255).astype(np.uint8)


def jpeg(face: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "copied": lambda face: face.copy(),
    "compressed": lambda face: jpeg(face, 30),
    "darker": lambda face: (face * 0.6).astype(np.uint8),
    "moved by a pixel": lambda face: np.roll(face, (1, -1), axis=(0, 1)),
    "with a watermark": lambda face: cv2.putText(face.copy(), "stock", (6, 44), cv2.FONT_HERSHEY_PLAIN, 0.6, 210),
}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_is_found_and_nothing_else(change: str, mirrored: bool) -> None:
    faces = np.stack([scene(seed) for seed in range(300)])
    copy = CHANGES[change](faces[250])
    faces[17] = copy[:, ::-1] if mirrored else copy

    pairs = find_duplicates(faces)

    assert pairs.rows.tolist() == [[17, 250]]
    assert pairs.mirrored.tolist() == [mirrored]
    assert 0.93 <= pairs.similarity[0] <= 1.001


def test_pairs_beyond_one_block_are_found_once_and_progress_reaches_the_end() -> None:
    faces = np.stack([scene(seed) for seed in range(1200)])
    faces[1100], faces[600], faces[601] = faces[3], faces[3], faces[3]
    shown: list[tuple[int, int]] = []

    pairs = find_duplicates(faces, progress=lambda done, total: shown.append((done, total)))

    assert pairs.rows.tolist() == [[3, 600], [3, 601], [3, 1100], [600, 601], [600, 1100], [601, 1100]]
    assert shown[-1] == (1200, 1200)


def test_crossing_gives_each_training_face_its_best_face_of_another_part() -> None:
    faces = np.stack([scene(seed) for seed in range(60)])
    faces[50], faces[41] = jpeg(faces[4], 20), faces[4]  # PrivateTest, less like it; PublicTest
    faces[5] = faces[6]  # both training
    faces[42] = faces[51]  # neither
    faces[7] = faces[52][:, ::-1]
    usage = np.array(["Training"] * 40 + ["PublicTest"] * 10 + ["PrivateTest"] * 10)
    data = FaceDataset(faces, np.zeros(60, np.int64), usage, ("a", "b"), "scenes")

    found = crossing(data)

    assert found.rows.tolist() in ([[4, 41], [7, 52]], [[7, 52], [4, 41]])
    again = crossing(data, find_duplicates(faces))
    assert again.rows.tolist() == found.rows.tolist()
    assert again.mirrored.tolist() == found.mirrored.tolist()


def test_groups_hold_copies_of_copies_together_and_flat_pictures_only_when_equal() -> None:
    faces = np.stack([scene(seed) for seed in range(12)])
    faces[3], faces[8] = faces[1], jpeg(faces[1], 40)
    faces[5], faces[6], faces[9] = 0, 0, 200

    exact = exact_groups(faces)
    groups = near_groups(exact, find_duplicates(faces))

    assert exact.tolist() == [0, 1, 2, 1, 4, 5, 5, 7, 8, 9, 10, 11]
    assert groups.tolist() == [0, 1, 2, 1, 4, 5, 5, 7, 1, 9, 10, 11]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_faces_are_no_error(count: int) -> None:
    faces = np.stack([scene(seed) for seed in range(3)])[:count]
    data = FaceDataset(faces, np.zeros(count, np.int64), np.array(["Training"] * count, np.str_), ("a",), "few")

    assert len(find_duplicates(faces)) == 0
    assert len(crossing(data)) == 0


def test_many_copies_of_one_face_stay_bounded() -> None:
    faces = np.repeat(scene(1)[None], 1500, axis=0)
    faces[::3] = [scene(seed) for seed in range(500)]

    pairs = find_duplicates(faces)

    assert len(pairs) <= 1000 * 64
    assert len(set(near_groups(exact_groups(faces), pairs).tolist())) == 500


@pytest.mark.slow
@pytest.mark.skipif(not FER2013.is_file(), reason=f"needs {FER2013}, which may not be passed on")
def test_fer2013_has_training_faces_that_are_test_faces() -> None:
    data = read_rows(FER2013).faces

    found = crossing(data)

    assert 1500 <= len(found) <= 1900
    assert np.all(data.usage[found.rows[:, 0]] == "Training")
    assert np.all(data.usage[found.rows[:, 1]] != "Training")
