"""The framing fit inverts the device's crop: what it measures on a canvas gives the training face back."""

import math

import numpy as np
import pytest

from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.errors import DataError
from fer_edge_runtime.manifest import Framing, Preprocess
from fer_edge_runtime.preprocess import crop_faces, face_square
from fer_edge_runtime.types import Detection
from fer_edge_train.framing import (
    FER2013_FRAMING,
    MIN_SCORE,
    central_detection,
    face_canvas,
    fit_framing,
    measure,
    round_trip,
)

GREY = Preprocess("grey", 48, 96, 3, "linear", "eyes", 127.5, 127.5, {})


def detection(box, *, roll=0.0, score=0.9):
    """A face whose eyes lean by ``roll`` degrees."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    dx, dy = 20 * math.cos(math.radians(roll)), 20 * math.sin(math.radians(roll))
    return Detection(box, score, {"right_eye": (x - dx, y - dy), "left_eye": (x + dx, y + dy)})


@pytest.fixture(scope="module")
def faces(astronaut):
    """(40, 48, 48) uint8: the astronaut's face, framed a little differently each time."""
    found = open_detector("full").detect(astronaut)[:1]
    generator = np.random.default_rng(5)
    framings = [Framing(1.15 + s, x, y - 0.04) for s, x, y in generator.uniform(-0.06, 0.06, (40, 3))]
    return np.concatenate([crop_faces(astronaut, found, spec=GREY, framing=framing) for framing in framings])


@pytest.mark.parametrize("roll", [0, 12, -25])
@pytest.mark.parametrize("box", [(150, 140, 330, 320), (120.5, 170, 300, 400), (180, 180, 290, 285)])
def test_measure_inverts_face_square(box, roll):
    face = detection(box, roll=roll)
    centre, side, _ = face_square(face, Framing(*measure(face, 48)), align="eyes")
    assert centre == pytest.approx((240, 240))
    assert side == pytest.approx(192)


def test_own_measurement_gives_the_face_back(faces):
    face = detection((160, 150, 320, 318))
    error, correlation = round_trip(faces, [(0, face)], Framing(*measure(face, 48)))
    assert correlation > 0.99
    assert error < 4


@pytest.mark.parametrize("name", ["full", "short"])
def test_fit_finds_the_framing_that_the_faces_were_cut_with(faces, name):
    fit = fit_framing(faces, open_detector(name, min_face=64, min_score=MIN_SCORE), seed=1)
    assert fit.found >= 30
    assert fit.framing.scale == pytest.approx(1.15, abs=0.1)
    assert fit.framing.offset_x == pytest.approx(0, abs=0.06)
    assert fit.framing.offset_y == pytest.approx(-0.04, abs=0.06)
    assert fit.correlation > 0.8
    assert all(spread < 0.1 for spread in fit.spread)


def test_fit_reports_progress_and_the_sample(faces):
    steps = []
    detector = open_detector("short", min_face=64, min_score=MIN_SCORE)
    fit = fit_framing(faces, detector, sample=25, seed=1, progress=lambda done, total: steps.append((done, total)))
    assert fit.tried == 25
    assert steps[-1] == (25, 25)
    assert set(fit.as_json()) == {"faces_tried", "faces_found", "spread", "round_trip"}


def test_fit_without_faces_is_refused():
    blank = np.full((25, 48, 48), 128, np.uint8)
    with pytest.raises(DataError, match="0 of 25"):
        fit_framing(blank, open_detector("short", min_face=64), seed=1)


def test_canvas_holds_the_face_in_its_middle(faces):
    canvas = face_canvas(faces[0])
    assert canvas.shape == (480, 480, 3)
    inside = canvas[144:336, 144:336, 0].reshape(48, 4, 48, 4).mean(axis=(1, 3))
    assert np.abs(inside - faces[0]).mean() < 3


def test_central_detection_prefers_the_most_certain_one_over_the_middle():
    aside, weak, sure = (
        detection((0, 0, 90, 90), score=0.99),
        detection((150, 150, 330, 330), score=0.5),
        detection((170, 170, 300, 300)),
    )
    assert central_detection([aside, weak, sure], 48) is sure
    assert central_detection([aside], 48) is None


def test_shipped_framings_are_plausible():
    assert set(FER2013_FRAMING) == {"full", "short", "yunet"}
    for framing in FER2013_FRAMING.values():
        assert 1.0 < framing.scale < 1.3
        assert abs(framing.offset_x) < 0.02
