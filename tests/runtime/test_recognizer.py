"""The public API on real pictures, with the embedded model."""

import cv2
import numpy as np
import pytest

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.recognizer import Recognizer, as_bgr
from fer_edge_runtime.stream import FrameRate, StreamRecognizer
from fer_edge_runtime.types import Frame

FACE = (172.0, 60.0, 278.0, 180.0)  # of the astronaut, forehead to chin, drawn by hand


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inner = max(width, 0) * max(height, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return inner / (area - inner)


@pytest.mark.parametrize("engine", ["litert", "onnx"])
@pytest.mark.parametrize("detector", ["full", "short"])
def test_astronaut_is_one_happy_face(astronaut, engine, detector):
    faces = Recognizer.load("default", engine=engine, detector=detector, threads=1)(astronaut)
    assert len(faces) == 1
    assert faces[0].label == "happy"
    assert overlap(faces[0].box, FACE) >= 0.5
    assert sum(faces[0].scores.values()) == pytest.approx(1, abs=0.03)
    assert faces[0].score == faces[0].scores["happy"]
    assert faces[0].landmarks["right_eye"][0] < faces[0].landmarks["left_eye"][0]


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.5, 3.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_astronaut_is_happy_at_any_size_and_mirrored(recognizer, astronaut, scale, mirrored):
    picture = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = picture[:, ::-1] if mirrored else picture
    faces = recognizer(picture)
    assert [face.label for face in faces] == ["happy"]


def test_scores_are_divided_by_the_bundles_temperature(recognizer, astronaut):
    bundle = recognizer.bundle
    flat = Recognizer(
        bundle=bundle._replace(manifest=bundle.manifest._replace(temperature=4.0)), artefact=recognizer.artefact,
        engine=recognizer.engine, detector=recognizer.detector, choice=recognizer.choice,
    )  # fmt: skip
    (sharp,), (soft,) = recognizer(astronaut), flat(astronaut)
    assert sum(soft.scores.values()) == pytest.approx(1)
    assert soft.scores["happy"] < sharp.scores["happy"] - 0.1
    assert max(soft.scores, key=soft.scores.get) == "happy"


def test_grey_picture_is_accepted(recognizer, astronaut):
    assert [f.label for f in recognizer(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY))] == ["happy"]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 2000, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8),
        np.zeros((6000, 8000, 3), np.uint8),
    ],
    ids=["black", "white", "one pixel", "one row", "noise", "8000x6000"],
)
def test_picture_without_a_face_gives_none(recognizer, picture):
    assert recognizer(picture) == []


def test_cat_is_no_face_at_any_size(recognizer, cat):
    for size in ((451, 300), (1353, 900), (8000, 6000)):
        assert recognizer(cv2.resize(cat, size)) == []


def test_two_people_are_one_batch_and_largest_keeps_one(astronaut):
    pair = np.concatenate(
        [astronaut, cv2.resize(np.pad(astronaut, ((256, 256), (256, 256), (0, 0))), (512, 512))], axis=1
    )
    both = Recognizer.load("default", threads=1)(pair)
    one = Recognizer.load("default", threads=1, largest=True)(pair)
    assert [face.label for face in both] == ["happy", "happy"]
    assert len(one) == 1
    assert one[0].box == both[0].box


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [[1, 2]],
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_array_of_another_kind_is_refused_with_what_was_received(recognizer, bad):
    with pytest.raises(ConfigError, match="received|numpy array"):
        recognizer(bad)


def test_views_that_are_not_contiguous_are_accepted(astronaut):
    assert as_bgr(astronaut[::2, ::-2]).flags["C_CONTIGUOUS"]


def test_description_names_model_engine_and_detector(recognizer):
    line = recognizer.describe()
    assert "emotion7" in line
    assert "litert" in line
    assert "; CPU: " in line  # and why


def frames(astronaut, count, fps=15.0):
    """The astronaut drifting to the right, one pixel a frame."""
    for index in range(count):
        yield Frame(np.roll(astronaut, index, axis=1), index, index / fps, "drift")


@pytest.mark.parametrize("detect_every", [1, 3])
def test_track_survives_a_video_and_label_is_stable(recognizer, astronaut, detect_every):
    stream = StreamRecognizer(recognizer, "video", detect_every=detect_every)
    results = [stream.process(frame) for frame in frames(astronaut, 12)]
    assert {face.track for result in results for face in result.faces} == {1}
    assert [face.label for result in results for face in result.faces] == ["happy"] * 12
    assert set(results[0].stages_ms) == {"detect", "track", "align", "classify", "smooth", "total"}
    for frame, result in zip(frames(astronaut, 12), results, strict=True):
        moved = (FACE[0] + frame.index, FACE[1], FACE[2] + frame.index, FACE[3])
        assert overlap(result.faces[0].box, moved) >= 0.5


def test_pictures_are_neither_tracked_nor_smoothed(recognizer, astronaut, cat):
    stream = StreamRecognizer(recognizer, "pictures")
    first = stream.process(Frame(astronaut, 0, 0.0, "a"))
    second = stream.process(Frame(cat, 1, 0.0, "b"))
    assert [face.track for face in first.faces] == [None]
    assert second.faces == ()


def test_detecting_every_zeroth_frame_is_refused(recognizer):
    with pytest.raises(ConfigError, match="Give 1 or more"):
        StreamRecognizer(recognizer, "video", detect_every=0)


def test_frame_rate_is_frames_over_time():
    rate = FrameRate(window=10)
    assert rate.tick(0.0) == 0.0
    assert [rate.tick(index * 0.1) for index in range(1, 30)][-1] == pytest.approx(10.0)
