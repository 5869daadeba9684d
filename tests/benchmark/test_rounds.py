"""Turns, quantiles and synthetic scenes."""

import pytest

from fer_edge.benchmark.rounds import Limit, rotated, take_turns
from fer_edge.benchmark.scene import Scene, draw_scene, face_of
from fer_edge.benchmark.spread import spread
from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.types import Frame


def test_every_participant_has_one_turn_a_round_and_each_starts_once():
    log = []
    turns = [lambda name=name: log.append(name) for name in "abc"]
    assert take_turns(turns, Limit(rounds=3), after_round=lambda *_: log.append("|")) == 3
    assert "".join(log) == "abc|bca|cab|"


def test_time_ends_the_measurement_at_the_end_of_a_round():
    now = [0.0]

    def turn():
        now[0] += 1.5

    assert take_turns([turn, turn], Limit(seconds=4), after_round=lambda *_: None, clock=lambda: now[0]) == 2


def test_first_round_runs_whatever_the_limit():
    assert take_turns([lambda: None], Limit(seconds=0), after_round=lambda *_: None) == 1


def test_rotation_of_nothing_is_nothing():
    assert rotated([], 5) == []


def test_quantiles_interpolate_between_neighbours():
    found = spread([float(value) for value in range(1, 102)])
    assert (found.n, found.min_ms, found.p50_ms, found.p90_ms, found.p99_ms, found.mean_ms) == (101, 1, 51, 91, 100, 51)
    assert spread([2.0]).as_json() == {"n": 1, "min_ms": 2, "p50_ms": 2, "p90_ms": 2, "p99_ms": 2, "mean_ms": 2}


@pytest.mark.parametrize(
    "scene", [Scene(faces=1), Scene(faces=2), Scene(faces=4), Scene(faces=8), Scene(320, 240), Scene(1920, 1080)]
)
def test_scene_shows_as_many_faces_as_it_says(astronaut, scene):
    detector = open_detector("full")
    face = face_of([Frame(astronaut, 0, 0.0, "astronaut")], detector)
    frame = draw_scene(face, scene)
    assert frame.shape == (scene.height, scene.width, 3)
    assert len(detector.detect(frame)) == scene.faces


def test_clip_without_a_face_has_nothing_to_tile(cat):
    with pytest.raises(SourceError, match="chelsea: no frame shows a face"):
        face_of([Frame(cat, 0, 0.0, "chelsea")], open_detector("full"))
