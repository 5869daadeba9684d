"""Pictures of any size become aligned grey faces in the same folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from places import SAMPLES

from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_train.align import align_dataset
from fer_edge_train.framing import MIN_SCORE, central_detection, face_canvas
from fer_edge_train.readers import read_rows

pytestmark = pytest.mark.train


def nothing(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait twice, a tight crop of its face, the crop leaning by 20 degrees, two pictures in one, and a cat."""
    root = tmp_path_factory.mktemp("pictures")
    portrait, cat = cv2.imread(str(SAMPLES / "astronaut.jpg")), cv2.imread(str(SAMPLES / "chelsea.jpg"))
    half = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    both = np.zeros((512, 768, 3), np.uint8)
    both[:256, :256], both[:, 256:] = half, portrait
    turned = cv2.warpAffine(portrait, cv2.getRotationMatrix2D((225.0, 130.0), 20, 1), (512, 512))
    for name, image in {
        "happy/portrait.jpg": portrait, "happy/portrait.png": portrait, "happy/leaning.png": turned,
        "happy/both.bmp": both, "other/cat.png": cat, "other/tight.webp": portrait[65:195, 160:290],
    }.items():  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    return root


@pytest.fixture(scope="module")
def aligned(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "faces"
    result = align_dataset(pictures, out, detector="full", progress=nothing)
    assert result.written == 5
    assert result.undetected == ["other/cat.png"]
    assert result.unreadable == []
    return out


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the middle of ``b`` with ``a``, where it fits best."""
    edge = len(b) // 6
    return float(cv2.matchTemplate(a, b[edge:-edge, edge:-edge], cv2.TM_CCOEFF_NORMED).max())


def test_structure_stays_and_faces_are_grey_48(aligned: Path) -> None:
    files = sorted(str(file.relative_to(aligned)) for file in aligned.rglob("*") if file.is_file())

    assert files == [
        "happy/both.png", "happy/leaning.png", "happy/portrait.jpg.png", "happy/portrait.png.png", "other/tight.png",
        "undetected.txt",
    ]  # fmt: skip
    assert all(read(aligned / name).shape == (48, 48) for name in files[:-1])
    assert (aligned / "undetected.txt").read_text() == "other/cat.png\n"
    assert read_rows(aligned).faces.names == ("happy", "other")


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("happy/leaning.png", 0.85),
        ("happy/both.png", 0.85),
        ("other/tight.png", 0.65),
    ],  # the last has nothing around it
)
def test_every_form_of_the_portrait_gives_the_same_face(name: str, least: float, aligned: Path) -> None:
    portrait = read(aligned / "happy/portrait.png.png")

    assert alike(portrait, read(aligned / name)) > least
    assert alike(portrait, np.rot90(read(aligned / name)).copy()) < 0.5


def test_eyes_of_the_leaning_face_are_level(aligned: Path) -> None:
    face = read(aligned / "happy/leaning.png")

    found = central_detection(open_detector("full", min_score=MIN_SCORE).detect(face_canvas(face)), 48)

    assert found is not None
    (right_x, right_y), (left_x, left_y) = found.landmarks["right_eye"], found.landmarks["left_eye"]
    assert abs(np.degrees(np.arctan2(left_y - right_y, left_x - right_x))) < 5


def test_undetected_pictures_are_kept_whole_when_asked_and_size_is_free(pictures: Path, tmp_path: Path) -> None:
    result = align_dataset(
        pictures, tmp_path / "faces", detector="short", size=96, keep_undetected=True, progress=nothing
    )  # fmt: skip

    assert result.written == 6
    cat = cv2.imread(str(pictures / "other/cat.png"), cv2.IMREAD_GRAYSCALE)
    whole = cv2.resize(cat, (96, 96), interpolation=cv2.INTER_AREA)
    assert alike(read(tmp_path / "faces/other/cat.png"), whole) > 0.999


def test_rows_of_a_csv_become_folders_that_can_be_read(pictures: Path, tmp_path: Path) -> None:
    portrait = cv2.imread(str(SAMPLES / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    face = cv2.resize(portrait[65:195, 160:290], (48, 48), interpolation=cv2.INTER_AREA)
    pixels = " ".join(map(str, face.ravel()))
    usages = ["Training", "Training", "PublicTest", "PrivateTest"]
    lines = [f"{3 + row % 2},{pixels},{usage}" for row, usage in enumerate(usages)]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *lines, f"3,{'0 ' * 2304},Training", "3,1 2,Training"]) + "\n")
    shown: list[tuple[int, int]] = []

    with pytest.raises(DataError, match=r"line 7: expected 2304 values.*\n.*--skip-bad"):
        align_dataset(path, tmp_path / "faces", detector="full", progress=nothing)
    assert not (tmp_path / "faces").exists()
    result = align_dataset(
        path, tmp_path / "faces", detector="full", skip_bad=True, progress=lambda done, total: shown.append((done, total))
    )  # fmt: skip

    assert result.undetected == ["line 6"]
    assert [place for place, _ in result.unreadable] == ["line 7"]
    assert shown[-1] == (5, 5)
    files = sorted(str(file.relative_to(tmp_path / "faces")) for file in (tmp_path / "faces").rglob("*.png"))
    assert files == [
        "test/sad/000003.png", "train/happy/000000.png", "train/sad/000001.png", "validation/happy/000002.png",
    ]  # fmt: skip
    read_back = read_rows(tmp_path / "faces").faces
    assert sorted(read_back.usage.tolist()) == sorted(usages)


def test_folder_with_files_is_refused_and_untouched(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")

    with pytest.raises(OutputError, match="not empty"):
        align_dataset(pictures, tmp_path, detector="full", progress=nothing)

    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_interrupted_alignment_leaves_nothing(pictures: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_dataset(pictures, tmp_path / "faces", detector="full", progress=stop)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("detector", "size"), [("ful", 48), ("full", 4), ("full", 5000)])
def test_wrong_use_is_refused(detector: str, size: int, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        align_dataset(pictures, tmp_path / "faces", detector=detector, size=size, progress=nothing)
