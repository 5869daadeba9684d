"""YuNet through OpenCV, from a file that only some machines have; and what is said when the file is no good."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.detect.yunet import YuNet
from fer_edge_runtime.errors import BundleError, ConfigError, SourceError
from fer_edge_runtime.track import iou

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
NETWORK = ROOT.parent / "shared" / "models" / "face_detection_yunet_2026may.onnx"
FACE = (178.0, 63.0, 268.0, 176.0)

needs_network = pytest.mark.skipif(not NETWORK.is_file(), reason=f"needs {NETWORK}, which does not ship")


def read(name: str) -> np.ndarray:
    picture = cv2.imread(str(SAMPLES / name))
    assert picture is not None
    return picture


@pytest.fixture(scope="module")
def yunet() -> YuNet:
    return YuNet(NETWORK)


@needs_network
def test_finds_one_face_with_ordered_landmarks_in_the_astronaut(yunet: YuNet) -> None:
    faces = yunet.detect(read("astronaut.jpg"))

    assert len(faces) == 1
    assert iou(faces[0].box, FACE) >= 0.8
    assert 0.8 <= faces[0].score <= 1
    points = faces[0].landmarks
    assert list(points) == ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
    assert points["right_eye"][0] < points["nose"][0] < points["left_eye"][0]
    assert points["right_mouth"][0] < points["left_mouth"][0]


@needs_network
def test_eyes_agree_with_those_of_blazeface(yunet: YuNet) -> None:
    picture = read("astronaut.jpg")
    other = open_detector("full").detect(picture)[0].landmarks

    points = yunet.detect(picture)[0].landmarks

    for eye in ("right_eye", "left_eye"):
        assert points[eye] == pytest.approx(other[eye], abs=6)


@needs_network
@pytest.mark.parametrize("size", [(800, 800), (3000, 3000), (200, 200)])
def test_boxes_are_in_pixels_of_the_frame_for_any_size(yunet: YuNet, size: tuple[int, int]) -> None:
    faces = yunet.detect(cv2.resize(read("astronaut.jpg"), size, interpolation=cv2.INTER_AREA))

    best = max(faces, key=lambda face: face.score)
    assert iou(best.box, tuple(v * size[0] / 512 for v in FACE)) >= 0.7


@needs_network
@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 3000, 3), np.uint8),
        np.zeros((3000, 1, 3), np.uint8),
        np.zeros((30, 30, 3), np.uint8),
        np.zeros((6000, 8000, 3), np.uint8),
    ],
    ids=lambda picture: f"{picture.shape[1]}x{picture.shape[0]}",
)
def test_finds_nothing_in_black_of_any_shape(yunet: YuNet, picture: np.ndarray) -> None:
    assert yunet.detect(picture) == []


@needs_network
def test_finds_nothing_in_a_cat(yunet: YuNet) -> None:
    assert yunet.detect(read("chelsea.jpg")) == []


@needs_network
@pytest.mark.parametrize(("min_face", "count"), [(24, 1), (100, 1), (140, 0)])
def test_faces_smaller_than_min_face_are_dropped(min_face: int, count: int) -> None:
    assert len(open_detector(f"yunet:{NETWORK}", min_face=min_face).detect(read("astronaut.jpg"))) == count


@needs_network
def test_description_names_file_and_limits(yunet: YuNet) -> None:
    assert yunet.describe().startswith(f"YuNet {NETWORK.name} on OpenCV ")
    assert "score ≥ 0.8, faces ≥ 24 px" in yunet.describe()


def test_missing_file_is_refused_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="github.com/opencv/opencv_zoo"):
        open_detector(f"yunet:{tmp_path / 'none.onnx'}")


def test_folder_is_refused_as_network(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a file"):
        open_detector(f"yunet:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds 0 bytes"), (b"not a network", "is not a YuNet network"), (b"\x08\x07" * 500, "is not a YuNet")],
    ids=["empty", "text", "garbage"],
)
def test_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)

    with pytest.raises(BundleError, match=message):
        open_detector(f"yunet:{path}")


@needs_network
def test_truncated_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(NETWORK.read_bytes()[: NETWORK.stat().st_size // 2])

    with pytest.raises(BundleError, match=r"half\.onnx is not a YuNet network"):
        open_detector(f"yunet:{path}")


@pytest.mark.parametrize("wrong", [{"min_face": 0}, {"min_score": 0.0}, {"min_score": 1.5}])
def test_argument_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        YuNet("any.onnx", **wrong)  # type: ignore[arg-type]
