"""BlazeFace on real pictures: what it finds, what it must not find, and what its parts compute."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge_runtime.detect import BlazeFace, blazeface, open_detector
from fer_edge_runtime.detect.blazeface import anchor_centres
from fer_edge_runtime.detect.candidates import to_detections, weighted_nms
from fer_edge_runtime.detect.letterbox import halve, letterbox
from fer_edge_runtime.errors import BundleError, ConfigError
from fer_edge_runtime.track import iou

SAMPLES = Path(__file__).parents[1] / "samples"
FACE = (172.0, 66.0, 278.0, 172.0)
FACE_WIDTH = 94  # forehead to chin and ear to ear in the original
NEAR, MIDDLE, FAR_CORNER = (60, 60), (320, 240), (600, 440)


def read(name: str) -> np.ndarray:
    picture = cv2.imread(str(SAMPLES / name))
    assert picture is not None
    return picture


def scene(size: int, centre: tuple[int, int], *, background: int = 128) -> tuple[np.ndarray, tuple[float, ...]]:
    """A 640x480 frame with the astronaut, whose face is `size` pixels wide and centred; and the face's box."""
    scale = size / FACE_WIDTH
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    person = cv2.resize(read("astronaut.jpg"), None, fx=scale, fy=scale, interpolation=shrink)
    left, top = round(centre[0] - 225 * scale), round(centre[1] - 119 * scale)
    frame = np.full((480, 640, 3), background, np.uint8)
    x1, y1, x2, y2 = max(0, left), max(0, top), min(640, left + person.shape[1]), min(480, top + person.shape[0])
    frame[y1:y2, x1:x2] = person[y1 - top : y2 - top, x1 - left : x2 - left]
    return frame, tuple(v * scale + o for v, o in zip(FACE, (left, top, left, top), strict=True))


@pytest.fixture(scope="module")
def full() -> BlazeFace:
    return BlazeFace("full")


@pytest.fixture(scope="module")
def short() -> BlazeFace:
    return BlazeFace("short")


@pytest.mark.parametrize("spec", ["short", "full"])
def test_finds_one_face_with_ordered_keypoints_in_the_astronaut(spec: str) -> None:
    faces = open_detector(spec).detect(read("astronaut.jpg"))

    assert len(faces) == 1
    assert iou(faces[0].box, FACE) >= 0.8
    points = faces[0].landmarks
    assert list(points) == ["right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"]
    assert points["right_ear"][0] < points["right_eye"][0] < points["nose"][0] < points["left_eye"][0]
    assert points["left_eye"][0] < points["left_ear"][0]
    assert points["right_eye"] == pytest.approx((203, 102), abs=4)
    assert points["left_eye"] == pytest.approx((248, 106), abs=4)
    assert points["mouth"] == pytest.approx((221, 147), abs=5)


@pytest.mark.parametrize("size", [26, 30, 42, 60, 94, 200])
@pytest.mark.parametrize("centre", [NEAR, MIDDLE, (203, 333), FAR_CORNER])
def test_full_finds_exactly_the_face_of_any_size_and_place(full: BlazeFace, size: int, centre: tuple[int, int]) -> None:
    margin = 0.6 * size
    inside = (round(np.clip(centre[0], margin, 640 - margin)), round(np.clip(centre[1], margin, 480 - margin)))
    frame, box = scene(size, inside)

    faces = full.detect(frame)

    assert len(faces) == 1
    assert iou(faces[0].box, box) >= 0.5


@pytest.mark.parametrize("background", [0, 128, 210])
def test_full_finds_a_face_of_24_pixels_on_any_background(full: BlazeFace, background: int) -> None:
    frame, box = scene(24, (320, 200), background=background)

    faces = full.detect(frame)

    assert len(faces) == 1
    assert iou(faces[0].box, box) >= 0.5


@pytest.mark.parametrize("size", [94, 140, 200])
def test_short_finds_the_face_of_a_person_at_a_desk(short: BlazeFace, size: int) -> None:
    frame, box = scene(size, MIDDLE)

    faces = short.detect(frame)

    assert [iou(face.box, box) >= 0.5 for face in faces] == [True]


def test_both_networks_mean_the_same_by_a_box(full: BlazeFace, short: BlazeFace) -> None:
    frame, _ = scene(120, MIDDLE)

    assert iou(full.detect(frame)[0].box, short.detect(frame)[0].box) >= 0.85


def test_face_keeps_its_place_when_the_picture_is_mirrored(full: BlazeFace) -> None:
    faces = full.detect(np.ascontiguousarray(read("astronaut.jpg")[:, ::-1]))

    assert len(faces) == 1
    assert iou(faces[0].box, (512 - FACE[2], FACE[1], 512 - FACE[0], FACE[3])) >= 0.8
    assert faces[0].landmarks["right_eye"][0] < faces[0].landmarks["left_eye"][0]


def test_two_faces_come_largest_first(full: BlazeFace) -> None:
    frame, large = scene(110, (160, 160))
    other, small = scene(60, (500, 120))
    frame[:, 400:] = other[:, 400:]

    faces = full.detect(frame)

    assert len(faces) == 2
    assert iou(faces[0].box, large) >= 0.5
    assert iou(faces[1].box, small) >= 0.5


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (*shape, 3), dtype=np.uint8)


NO_FACES = {
    "black": lambda: np.zeros((480, 640, 3), np.uint8),
    "white": lambda: np.full((480, 640, 3), 255, np.uint8),
    "noise": lambda: noise(480, 640),
    "blotches": lambda: cv2.resize(noise(24, 32), (640, 480), interpolation=cv2.INTER_CUBIC),
    "cat": lambda: read("chelsea.jpg"),
    "mirrored cat": lambda: read("chelsea.jpg")[:, ::-1],
    "cat in 1280x851": lambda: cv2.resize(read("chelsea.jpg"), (1280, 851)),
    "one pixel": lambda: np.zeros((1, 1, 3), np.uint8),
    "one row": lambda: noise(1, 4000),
    "one column": lambda: noise(4000, 1),
    "ribbon": lambda: noise(5, 640),
    "thumbnail": lambda: noise(30, 30),
    "8000x6000": lambda: np.zeros((6000, 8000, 3), np.uint8),
    "cat in 8000x6000": lambda: cv2.resize(read("chelsea.jpg"), (8000, 6000)),
}


@pytest.mark.parametrize("name", NO_FACES)
def test_finds_nothing_where_there_is_no_face(full: BlazeFace, short: BlazeFace, name: str) -> None:
    picture = NO_FACES[name]()

    assert full.detect(picture) == []
    assert short.detect(picture) == []


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 900), seed=st.integers(0, 2**16))
def test_any_frame_shape_gives_finite_boxes_above_the_threshold(
    full: BlazeFace, height: int, width: int, seed: int
) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    for face in full.detect(frame):
        assert np.isfinite([*face.box, face.score, *np.ravel(list(face.landmarks.values()))]).all()
        assert 0.6 <= face.score <= 1


def test_result_does_not_depend_on_earlier_pictures(full: BlazeFace) -> None:
    frame, _ = scene(30, MIDDLE)
    fresh = BlazeFace("full").detect(frame)

    full.detect(read("astronaut.jpg"))
    full.detect(noise(100, 300))

    assert full.detect(frame) == fresh


@pytest.mark.parametrize(("min_face", "count"), [(24, 1), (90, 1), (130, 0)])
def test_faces_smaller_than_min_face_are_dropped(min_face: int, count: int) -> None:
    frame, _ = scene(94, MIDDLE)

    assert len(BlazeFace("full", min_face=min_face).detect(frame)) == count


@pytest.mark.parametrize(
    ("min_face", "shape", "smallest"),
    [(24, (480, 640), 24.0), (60, (480, 640), 60.0), (40, (480, 640), 40.0), (24, (1080, 1920), 50.7)],
)
def test_smallest_face_tells_what_the_budget_leaves(min_face: int, shape: tuple[int, int], smallest: float) -> None:
    assert BlazeFace("full", min_face=min_face).smallest_face(*shape) == pytest.approx(smallest, abs=0.1)


def test_small_face_is_followed_between_scans_in_a_stream() -> None:
    detector = BlazeFace("full", scan_every=4)

    for step in range(9):
        frame, box = scene(30, (300 + 6 * step, 240))
        faces = detector.detect(frame)
        assert [iou(face.box, box) >= 0.5 for face in faces] == [True], f"call {step}"


def test_new_small_face_is_found_by_the_next_scan_in_a_stream() -> None:
    detector = BlazeFace("full", scan_every=3)
    empty = np.full((480, 640, 3), 128, np.uint8)
    frame, _ = scene(30, MIDDLE)

    counts = [len(detector.detect(picture)) for picture in (empty, frame, frame, frame)]

    assert counts == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "four channels", "float", "empty"],
)
def test_what_is_no_bgr_picture_is_refused_with_its_shape(short: BlazeFace, frame: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="uint8 BGR"):
        short.detect(frame)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ful", "Did you mean 'full'"),
        ("Short", "Did you mean 'short'"),
        ("yunett:x", "Did you mean 'yunet:PATH'"),
        ("haar", "Known: short, full, yunet:PATH"),
        ("", "There is no detector ''"),
        ("yunet", "names no file"),
        ("yunet:", "names no file"),
    ],
)
def test_unknown_specification_is_refused_with_the_known_ones(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_detector(spec)


@pytest.mark.parametrize("wrong", [{"min_face": 0}, {"min_score": 0.0}, {"min_score": 1.0}, {"scan_every": 0}])
def test_argument_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BlazeFace("full", **wrong)  # type: ignore[arg-type]


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="threads"):
        open_detector("short", threads=0)


def test_altered_network_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    original = blazeface.ASSETS / "face_detection_short_range.tflite"
    content = bytearray(original.read_bytes())
    content[1000] ^= 1
    (assets / "face_detection_short_range.tflite").write_bytes(content)
    monkeypatch.setattr(blazeface, "ASSETS", assets)

    with pytest.raises(BundleError, match=r"face_detection_short_range\.tflite was altered"):
        BlazeFace("short")
    with pytest.raises(BundleError, match=r"face_detection_full_range_sparse\.tflite is missing"):
        BlazeFace("full")


def test_description_names_network_threads_and_limits() -> None:
    assert BlazeFace("short", threads=2, min_face=40).describe() == (
        "BlazeFace short range (128x128, 2 threads, score ≥ 0.7, faces ≥ 40 px)"
    )


@pytest.mark.parametrize(
    ("size", "layers", "count"), [(128, ((8, 2), (16, 6)), 896), (192, ((4, 1),), 2304)], ids=["short", "full"]
)
def test_anchors_are_as_many_as_the_network_outputs(size: int, layers: tuple, count: int) -> None:
    centres = anchor_centres(size, size, layers)

    assert centres.shape == (count, 2)
    assert centres[0] == pytest.approx((layers[0][0] / 2, layers[0][0] / 2))
    assert (centres > 0).all()
    assert (centres < size).all()


def test_anchors_go_row_by_row_in_a_wide_input() -> None:
    assert anchor_centres(16, 32, ((16, 2),)).tolist() == [[8, 8], [8, 8], [24, 8], [24, 8]]


def test_letterbox_turns_bgr_into_rgb_between_minus_one_and_one() -> None:
    frame = np.zeros((50, 100, 3), np.uint8)
    frame[:, :] = (255, 0, 51)
    canvas = np.empty((128, 128, 3), np.float32)

    transform = letterbox(frame, canvas, 1.28)

    assert (transform.left, transform.top) == (0, 32)
    assert canvas[64, 64] == pytest.approx((-0.6, -1.0, 1.0), abs=1e-6)
    assert (canvas[:32] == 0).all()
    assert (canvas[96:] == 0).all()


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
@settings(max_examples=40, deadline=None)
def test_letterbox_maps_the_frame_onto_the_canvas_for_any_shape(height: int, width: int) -> None:
    canvas = np.empty((128, 128, 3), np.float32)

    transform = letterbox(np.zeros((height, width, 3), np.uint8), canvas, 128 / max(height, width))

    for side, scale, offset in ((width, transform.scale_x, transform.left), (height, transform.scale_y, transform.top)):
        assert offset >= 0
        assert offset + side * scale <= 128 * 1.02 + 1
    assert max(width * transform.scale_x, height * transform.scale_y) == pytest.approx(128, rel=0.02)


@pytest.mark.parametrize(
    ("scale", "reduction"), [(1.0, 1), (0.51, 1), (0.5, 2), (0.3, 2), (0.25, 4), (2.0, 1), (0.001, 64)]
)
def test_halving_stops_before_the_wanted_size(scale: float, reduction: int) -> None:
    small, divided = halve(np.zeros((64, 96, 3), np.uint8), scale)

    assert divided == reduction
    assert small.shape == (64 // reduction, 96 // reduction, 3)


def candidate(x: float, y: float, side: float, score: float) -> list[float]:
    return [x, y, x + side, y + side, *[x, y] * 6, score]


def test_overlapping_candidates_are_averaged_by_score() -> None:
    rows = np.array([candidate(0, 0, 100, 0.6), candidate(10, 0, 100, 0.9), candidate(300, 0, 50, 0.7)], np.float32)

    merged = weighted_nms(rows)

    assert merged[:, 16] == pytest.approx([0.9, 0.7])
    assert merged[0, :4] == pytest.approx([6, 0, 106, 100])
    assert merged[1, :4] == pytest.approx([300, 0, 350, 50])


@pytest.mark.parametrize("side", [0.0, -5.0])
def test_empty_boxes_end_the_suppression(side: float) -> None:
    rows = np.array([candidate(0, 0, side, 0.9)] * 3, np.float32)

    assert len(weighted_nms(rows)) == 3
    assert to_detections(weighted_nms(rows), 1) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(1, 400), st.floats(0.1, 1)),
        max_size=30,
    )
)
def test_suppression_leaves_no_more_than_it_got_and_the_best_score(rows: list[tuple[float, ...]]) -> None:
    candidates = np.array([candidate(*row) for row in rows], np.float32).reshape(-1, 17)

    merged = weighted_nms(candidates)

    assert len(merged) <= len(candidates)
    assert (np.diff(merged[:, 16]) <= 0).all()
    if rows:
        assert merged[0, 16] == candidates[:, 16].max()
        assert merged[:, :2].min() >= candidates[:, :2].min() - 1e-3
        assert merged[:, 2:4].max() <= candidates[:, 2:4].max() + 1e-3
