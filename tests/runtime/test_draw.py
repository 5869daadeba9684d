"""Drawing: in the frame, on a copy, at every size."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge_runtime.draw import annotate, label_colour
from fer_edge_runtime.types import UNCERTAIN, Face

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def make_face(box, label="happy", score=0.97, track=1):
    rest = (1 - score) / (len(LABELS) - 1)
    scores = {name: score if name == label else rest for name in LABELS}
    eyes = {"right_eye": (box[0] + 3.0, box[1] + 4.0), "left_eye": (box[2] - 3.0, box[1] + 4.0)}
    return Face(box, label, score, scores, eyes, 0.9, track)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (48, 48), (240, 320), (480, 640), (2160, 3840), (50, 4000)])
@pytest.mark.parametrize("label", ["happy", UNCERTAIN, "ängstlich 😀", ""])
def test_annotate_keeps_shape_and_input(size, label):
    image = np.full((*size, 3), 120, np.uint8)
    height, width = size
    drawn = annotate(image, [make_face((width * 0.3, height * 0.3, width * 0.6, height * 0.8), label)])
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (image == 120).all()


@pytest.mark.parametrize(
    "box",
    [(-50, -50, 30, 30), (600, 440, 900, 900), (-1e5, -1e5, 1e5, 1e5), (100, 100, 100, 100), (200, 200, 100, 100)],
)
def test_annotate_survives_boxes_beyond_the_frame(box):
    image = np.zeros((480, 640, 3), np.uint8)
    drawn = annotate(image, [make_face(tuple(map(float, box)))])
    assert drawn.any()


def test_annotate_without_faces_changes_nothing():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    assert (annotate(image, []) == image).all()


def test_tag_is_drawn_in_the_colour_of_the_label_above_the_box():
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), [make_face((200.0, 200.0, 300.0, 320.0))], bars=False)
    above = drawn[170:198, 200:300].reshape(-1, 3)
    assert (above == label_colour("happy")).all(axis=1).mean() > 0.4


def test_tag_stays_in_the_frame_when_the_face_touches_the_upper_edge():
    drawn = annotate(np.zeros((480, 640, 3), np.uint8), [make_face((560.0, 0.0, 639.0, 100.0))], bars=False)
    tag = (drawn == label_colour("happy")).all(axis=2)
    assert tag[:130].sum() > 1000


def test_bars_cover_no_face_and_vanish_without_room():
    image = np.full((480, 640, 3), 200, np.uint8)
    faces = [make_face((250.0, 150.0, 390.0, 330.0)), make_face((420.0, 160.0, 520.0, 300.0), "sad", 0.6, 2)]
    with_bars, without = (annotate(image, faces, bars=bars) for bars in (True, False))
    assert (with_bars != without).any()
    for x1, y1, x2, y2 in (tuple(map(int, face.box)) for face in faces):
        assert (with_bars[y1:y2, x1:x2] == without[y1:y2, x1:x2]).all()
    filling = [make_face((5.0, 5.0, 635.0, 475.0))]
    assert (annotate(image, filling, bars=True) == annotate(image, filling, bars=False)).all()


def test_uncertain_is_grey_and_every_other_label_is_not():
    assert len(set(label_colour(UNCERTAIN))) == 1
    colours = {label_colour(name) for name in LABELS}
    assert len(colours) == len(LABELS)
    assert label_colour("something else") == label_colour("something else")
