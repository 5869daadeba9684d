"""From a face in a frame to the model's input."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge_runtime.manifest import Framing, Preprocess, TensorSpec
from fer_edge_runtime.preprocess import crop_faces, face_square, preprocess_faces, to_input
from fer_edge_runtime.types import Detection

PLAIN = Framing(scale=1.0, offset_x=0.0, offset_y=0.0)
INT8 = TensorSpec("input", (96, 96, 3), "int8", "HWC", 1 / 127.5, 0)
FLOAT = TensorSpec("input", (96, 96, 3), "float32", "HWC")


def spec(**changes):
    values = {
        "color": "grey", "face_size": 48, "input_size": 96, "channels": 3, "enlarge": "linear", "align": "eyes",
        "mean": 127.5, "std": 127.5, "framing": {"full": PLAIN},
    }  # fmt: skip
    return Preprocess(**(values | changes))


def face(box, *, angle=0.0):
    """A detection whose eyes lean by ``angle`` radians (clockwise in the picture)."""
    x1, y1, x2, y2 = box
    centre_x, centre_y, half = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 4
    dx, dy = half * math.cos(angle), half * math.sin(angle)
    return Detection(
        box, 0.9, {"right_eye": (centre_x - dx, centre_y - dy), "left_eye": (centre_x + dx, centre_y + dy)}
    )


def test_crop_is_the_picture_itself_when_the_box_fills_it():
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    frame = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    crop = crop_faces(frame, [face((0, 0, 48, 48))], spec=spec(), framing=PLAIN)
    assert crop.shape == (1, 48, 48)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop[0], grey)


@pytest.mark.parametrize("factor", [2, 3, 4, 10])
def test_large_face_is_averaged_down_to_training_resolution(factor):
    grey = np.random.default_rng(1).integers(0, 256, (48 * factor, 48 * factor), np.uint8)
    frame = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    expected = cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA)
    crop = crop_faces(frame, [face((0, 0, 48 * factor, 48 * factor))], spec=spec(), framing=PLAIN)
    assert np.abs(crop[0].astype(int) - expected).max() <= 1


def test_leaning_face_comes_out_upright():
    upright = np.zeros((200, 200), np.uint8)
    upright[60:140, 90:110] = 255  # a vertical bar
    angle = math.radians(20)
    turn = cv2.getRotationMatrix2D((99.5, 99.5), -math.degrees(angle), 1.0)
    leaning = cv2.cvtColor(cv2.warpAffine(upright, turn, (200, 200)), cv2.COLOR_GRAY2BGR)
    box = (40.0, 40.0, 160.0, 160.0)
    straight = crop_faces(cv2.cvtColor(upright, cv2.COLOR_GRAY2BGR), [face(box)], spec=spec(), framing=PLAIN)[0]
    aligned = crop_faces(leaning, [face(box, angle=angle)], spec=spec(), framing=PLAIN)[0]
    untouched = crop_faces(leaning, [face(box, angle=angle)], spec=spec(align="none"), framing=PLAIN)[0]
    assert np.abs(aligned.astype(int) - straight).mean() < 3
    assert np.abs(untouched.astype(int) - straight).mean() > 10


def test_crop_outside_the_frame_repeats_the_border():
    frame = np.full((100, 100, 3), 50, np.uint8)
    frame[:, 90:] = 200
    crop = crop_faces(frame, [face((80, 20, 140, 80))], spec=spec(), framing=PLAIN)[0]
    assert (crop[:, 20:] == 200).all()
    assert crop[24, 2] == 50


@pytest.mark.parametrize(
    "box", [(-500, -500, -400, -400), (5000, 10, 5050, 60), (10, 10, 10, 10), (-1e5, -1e5, 1e5, 1e5)]
)
def test_boxes_far_outside_or_without_area_give_a_crop(box):
    frame = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    crop = crop_faces(frame, [face(tuple(map(float, box)))], spec=spec(), framing=Framing(1.2, 0.1, -0.1))
    assert crop.shape == (1, 48, 48)


def test_frames_wider_than_opencv_remaps_are_cropped():
    frame = np.zeros((40, 40_000, 3), np.uint8)
    frame[:, 39_900:] = 180
    crop = crop_faces(frame, [face((39_940.0, 0.0, 39_980.0, 40.0))], spec=spec(), framing=PLAIN)
    assert (crop == 180).all()


def test_framing_moves_along_the_axes_of_the_face():
    square = face_square(face((0, 0, 100, 100), angle=math.pi / 2), Framing(1.5, 0.0, -0.2), align="eyes")
    (x, y), side, angle = square
    assert (x, y) == pytest.approx((70.0, 50.0))
    assert side == pytest.approx(150.0)
    assert angle == pytest.approx(math.pi / 2)


def test_colour_models_get_rgb_and_grey_models_three_equal_planes():
    frame = np.zeros((48, 48, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 200, 10  # BGR
    one = face((0, 0, 48, 48))
    rgb = crop_faces(frame, [one], spec=spec(color="rgb"), framing=PLAIN)[0]
    assert tuple(rgb[5, 5]) == (10, 0, 200)
    batch = preprocess_faces(frame, [one], spec=spec(), framing=PLAIN, tensor=FLOAT)
    assert (batch[..., 0] == batch[..., 1]).all()
    assert (batch[..., 0] == batch[..., 2]).all()


def test_int8_input_is_the_float_input_on_the_tensor_grid():
    faces = np.random.default_rng(3).integers(0, 256, (5, 48, 48), np.uint8)
    real = to_input(faces, spec(), FLOAT)
    assert real.dtype == np.float32
    assert real.min() >= -1
    assert real.max() <= 1
    stored = to_input(faces, spec(), INT8)
    assert stored.dtype == np.int8
    assert (
        np.abs(stored.astype(np.float32) / 127.5 - np.clip(real, -128 / 127.5, 127 / 127.5)).max() <= 0.5 / 127.5 + 1e-5
    )


def test_quantization_saturates_instead_of_wrapping():
    faces = np.zeros((1, 48, 48), np.uint8)
    faces[:, 24:] = 255
    narrow = TensorSpec("input", (96, 96, 3), "uint8", "HWC", 1 / 300, 128)
    stored = to_input(faces, spec(), narrow)
    assert stored[0, 0, 0, 0] == 0
    assert stored[0, -1, 0, 0] == 255


def test_no_faces_give_an_empty_batch():
    batch = preprocess_faces(np.zeros((10, 10, 3), np.uint8), [], spec=spec(), framing=PLAIN, tensor=INT8)
    assert batch.shape == (0, 96, 96, 3)
    assert batch.dtype == np.int8


def test_model_at_training_resolution_is_not_resized():
    faces = np.random.default_rng(4).integers(0, 256, (2, 48, 48), np.uint8)
    single = TensorSpec("input", (48, 48, 1), "float32", "HWC")
    batch = to_input(faces, spec(input_size=48, channels=1, mean=0.0, std=1.0), single)
    np.testing.assert_array_equal(batch[..., 0], faces.astype(np.float32))


@given(
    height=st.integers(1, 60), width=st.integers(1, 60), x=st.floats(-200, 200), y=st.floats(-200, 200),
    side=st.floats(0, 400), angle=st.floats(-3.2, 3.2), scale=st.floats(0.1, 10),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_frame_and_face_give_a_whole_batch(height, width, x, y, side, angle, scale):
    frame = np.full((height, width, 3), 77, np.uint8)
    one = face((x, y, x + side, y + side), angle=angle)
    batch = preprocess_faces(frame, [one, one], spec=spec(), framing=Framing(scale, 0.1, -0.2), tensor=INT8)
    assert batch.shape == (2, 96, 96, 3)
    assert np.unique(batch).size == 1


def test_int8_and_uint8_inputs_round_every_pixel_alike() -> None:
    spec = Preprocess("grey", 48, 48, 1, "linear", "eyes", 127.5, 127.5, {})
    faces = np.arange(48 * 48, dtype=np.uint32).reshape(1, 48, 48).astype(np.uint8)
    scale = 0.007843137718737125  # 1 / 127.5 as TFLite stores it: every whole pixel lies halfway between two steps
    signed = to_input(faces, spec, TensorSpec("x", (48, 48, 1), "int8", "HWC", scale, 0))
    unsigned = to_input(faces, spec, TensorSpec("x", (48, 48, 1), "uint8", "HWC", scale, 128))
    np.testing.assert_array_equal(signed.astype(int) + 128, unsigned.astype(int))
