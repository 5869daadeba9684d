"""The tracker on scripted faces: numbers stay with their faces, and predicted boxes stay within reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.track import Track, Tracker, iou
from fer_edge_runtime.types import Detection


def face(x: float, y: float = 100, side: float = 80, score: float = 0.9) -> Detection:
    """A face whose box has its centre at (x, y), with eyes at a quarter and three quarters of its width."""
    half = side / 2
    eyes = {"right_eye": (x - half / 2, y - half / 4), "left_eye": (x + half / 2, y - half / 4)}
    return Detection((x - half, y - half, x + half, y + half), score, eyes)


def ids(tracks: list[Track]) -> list[int]:
    return [track.id for track in tracks]


def centre(track: Track) -> tuple[float, float]:
    x1, y1, x2, y2 = track.detection.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def side(track: Track) -> float:
    return track.detection.box[2] - track.detection.box[0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((10, 10, 0, 0), (0, 0, 10, 10), 0.0),
    ],
)
def test_iou_of_two_boxes(first: tuple, second: tuple, expected: float) -> None:
    assert iou(first, second) == pytest.approx(expected)
    assert iou(second, first) == pytest.approx(expected)


MOTIONS = {
    "still": lambda t: face(200),
    "jitter": lambda t: face(200 + 6 * (-1) ** t, 100 - 5 * (-1) ** t, 80 + 4 * (-1) ** t),
    "walk": lambda t: face(100 + 8 * t),
    "fast pan": lambda t: face(100 + 75 * t),
    "pan that turns back": lambda t: face(400 + 300 * math.sin(t / 5)),
    "zoom in": lambda t: face(200, 200, 40 * 1.12**t),
    "zoom out": lambda t: face(200, 200, 400 / 1.12**t),
    "sudden jump": lambda t: face(200 if t < 10 else 270),
    "circle": lambda t: face(300 + 150 * math.cos(t / 3), 300 + 150 * math.sin(t / 3)),
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_number_stays_when_the_detector_runs_on_every_frame(motion: str) -> None:
    tracker = Tracker()

    for t in range(20):
        assert ids(tracker.update([MOTIONS[motion](t)])) == [1]


@pytest.mark.parametrize("motion", sorted(set(MOTIONS) - {"fast pan", "pan that turns back", "circle"}))
def test_number_stays_when_the_detector_runs_on_every_third_frame(motion: str) -> None:
    tracker = Tracker()

    for t in range(24):
        tracks = tracker.predict() if t % 3 else tracker.update([MOTIONS[motion](t)])
        assert ids(tracks) == [1]


def test_prediction_follows_a_steady_walk() -> None:
    tracker = Tracker()
    for t in range(0, 30, 3):
        tracker.update([MOTIONS["walk"](t)])
        if t < 27:
            tracker.predict()
            tracker.predict()

    predicted = tracker.predict()[0]

    assert centre(predicted)[0] == pytest.approx(100 + 8 * 28, abs=2)
    assert predicted.missed_frames == 1


def test_prediction_moves_the_landmarks_with_the_box() -> None:
    tracker = Tracker()
    for t in range(5):
        tracker.update([face(100 + 10 * t, 100, 80 * 1.05**t)])

    moved = tracker.predict()[0].detection

    x1, y1, x2, y2 = moved.box
    assert x1 + x2 > 2 * 140
    assert moved.landmarks["right_eye"] == pytest.approx((x1 + (x2 - x1) / 4, y1 + (y2 - y1) * 3 / 8))
    assert moved.landmarks["left_eye"] == pytest.approx((x1 + (x2 - x1) * 3 / 4, y1 + (y2 - y1) * 3 / 8))


def test_still_face_stays_where_it_is_when_predicted() -> None:
    tracker = Tracker()
    tracker.update([face(200)])
    tracker.update([face(200)])

    assert tracker.predict()[0].detection == face(200)


@pytest.mark.parametrize("speed", [5, 60, 79])
@pytest.mark.parametrize("growth", [0.75, 1.0, 1.3])
def test_prediction_stays_bounded_without_a_detector(speed: float, growth: float) -> None:
    tracker = Tracker()
    for t in range(6):
        tracker.update([face(100 + speed * t, 100, 80 * growth**t)])
    last = 80 * growth**5

    for _ in range(2000):
        track = tracker.predict()[0]

    assert abs(centre(track)[0] - (100 + speed * 5)) <= last * 1.001
    assert last / 1.501 <= side(track) <= last * 1.501


def test_tracks_come_in_the_order_of_the_detections() -> None:
    tracker = Tracker()
    tracker.update([face(100), face(400)])

    tracks = tracker.update([face(405), face(700), face(105)])

    assert ids(tracks) == [2, 3, 1]
    assert [track.detection for track in tracks] == [face(405), face(700), face(105)]
    assert ids(tracker.predict()) == [2, 3, 1]


def test_faces_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()

    for t in range(25):
        tracks = tracker.update([face(100 + 12 * t, 100), face(400 - 12 * t, 150)])
        assert ids(tracks) == [1, 2]


def test_nearer_face_keeps_the_number_when_two_overlap_one_track() -> None:
    tracker = Tracker()
    tracker.update([face(200)])

    assert ids(tracker.update([face(230), face(204)])) == [2, 1]


def test_remembered_face_does_not_take_the_place_of_a_visible_one() -> None:
    tracker = Tracker()
    tracker.update([face(100), face(190)])
    tracker.update([face(100)])

    assert ids(tracker.update([face(140)])) == [1]


@pytest.mark.parametrize(("missed_runs", "expected"), [(1, 1), (3, 1), (4, 2)])
def test_vanished_face_is_remembered_for_max_missed_runs(missed_runs: int, expected: int) -> None:
    tracker = Tracker(max_missed=3)
    tracker.update([face(200)])

    for _ in range(missed_runs):
        assert tracker.update([]) == []
        assert tracker.predict() == []

    assert tracker.remembered_ids() == (frozenset({1}) if missed_runs <= 3 else frozenset())
    assert ids(tracker.update([face(205)])) == [expected]


def test_far_detection_begins_a_new_track() -> None:
    tracker = Tracker()
    tracker.update([face(100)])

    assert ids(tracker.update([face(300)])) == [2]


def test_detection_of_another_size_begins_a_new_track() -> None:
    tracker = Tracker()
    tracker.update([face(100, 100, 80)])

    assert ids(tracker.update([face(100, 100, 24)])) == [2]


def test_distance_fallback_can_be_turned_off() -> None:
    tracker = Tracker(max_distance=0)
    tracker.update([face(100)])

    assert ids(tracker.update([face(160)])) == [2]


def test_ages_count_frames_and_missed_frames_since_the_detection() -> None:
    tracker = Tracker()

    seen = [tracker.update([face(100)]), tracker.predict(), tracker.predict(), tracker.update([face(100)])]

    assert [(t.age_frames, t.missed_frames) for (t,) in seen] == [(0, 0), (1, 1), (2, 2), (3, 0)]


def test_reset_forgets_faces_but_never_reuses_numbers() -> None:
    tracker = Tracker()
    tracker.update([face(100), face(300)])

    tracker.reset()

    assert tracker.predict() == []
    assert tracker.remembered_ids() == frozenset()
    assert ids(tracker.update([face(100)])) == [3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"iou_threshold": 0.0},
        {"iou_threshold": 1.1},
        {"iou_threshold": math.nan},
        {"max_distance": -1.0},
        {"max_distance": math.inf},
        {"max_missed": -1},
    ],
)
def test_argument_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Tracker(**wrong)  # type: ignore[arg-type]


boxes = st.builds(
    lambda x, y, w, h: Detection((x, y, x + w, y + h), 0.9, {"right_eye": (x, y), "left_eye": (x + w, y)}),
    st.floats(-1000, 9000),
    st.floats(-1000, 9000),
    st.floats(0, 2000),
    st.floats(0, 2000),
)


@given(st.lists(st.one_of(st.none(), st.lists(boxes, max_size=5)), max_size=25))
def test_any_sequence_gives_unique_rising_numbers_and_finite_boxes(script: list[list[Detection] | None]) -> None:
    tracker = Tracker(max_missed=2)
    highest = 0
    retired: set[int] = set()

    for detections in script:
        before = tracker.remembered_ids()
        tracks = tracker.predict() if detections is None else tracker.update(detections)
        if detections is not None:
            assert [track.detection for track in tracks] == detections
        new = [track.id for track in tracks if track.id not in before]
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        retired |= before - tracker.remembered_ids()
        assert len(set(ids(tracks))) == len(tracks)
        assert not retired & set(ids(tracks))
        for track in tracks:
            assert all(map(math.isfinite, track.detection.box))
