"""The smoother on scripted probabilities: averages by time, switches late, and admits what it does not know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.smooth import SmoothedLabel, Smoother
from fer_edge_runtime.types import UNCERTAIN

LABELS = ("angry", "happy", "sad", "neutral")


def towards(label: str, score: float = 0.9) -> np.ndarray:
    """Probabilities with `score` for one label and the rest shared equally."""
    values = np.full(len(LABELS), (1 - score) / (len(LABELS) - 1), np.float32)
    values[LABELS.index(label)] = score
    return values


def play(smoother: Smoother, script: list[tuple[str, float]], *, fps: float, start_s: float = 0) -> list[SmoothedLabel]:
    """One observation per frame; each entry of the script is (label, seconds)."""
    names = [name for name, seconds in script for _ in range(round(seconds * fps))]
    return [smoother.update(1, towards(name), start_s + index / fps) for index, name in enumerate(names)]


def switches(results: list[SmoothedLabel]) -> int:
    labels = [result.label for result in results]
    return sum(a != b for a, b in zip(labels, labels[1:], strict=False))


def test_first_observation_is_shown_at_once() -> None:
    result = Smoother(LABELS).update(1, towards("happy", 0.8), 5.0)

    assert result.label == "happy"
    assert result.score == pytest.approx(0.8)
    assert result.probabilities.dtype == np.float32
    assert not result.probabilities.flags.writeable


@pytest.mark.parametrize("fps", [4, 10, 30, 100])
def test_average_follows_the_clock_at_any_frame_rate(fps: float) -> None:
    smoother = Smoother(LABELS, time_constant_s=0.5)
    smoother.update(1, towards("happy", 1.0), 0.0)

    for index in range(fps):
        result = smoother.update(1, towards("sad", 1.0), (index + 1) / fps)

    assert result.probabilities[LABELS.index("happy")] == pytest.approx(math.exp(-1 / 0.5), abs=1e-5)


@pytest.mark.parametrize("fps", [5, 15, 60])
def test_lasting_change_is_shown_once_within_a_second(fps: float) -> None:
    results = play(Smoother(LABELS), [("happy", 2), ("sad", 2)], fps=fps)

    assert switches(results) == 1
    changed = next(index for index, result in enumerate(results) if result.label == "sad") / fps
    assert 2.1 <= changed <= 3.0


@pytest.mark.parametrize("blip_s", [0.05, 0.1, 0.2])
def test_short_blip_changes_nothing(blip_s: float) -> None:
    results = play(Smoother(LABELS), [("happy", 2), ("sad", blip_s), ("happy", 2)], fps=20)

    assert {result.label for result in results} == {"happy"}


def test_alternating_frames_do_not_flicker() -> None:
    script = [("happy", 1 / 20), ("sad", 1 / 20)] * 60

    assert switches(play(Smoother(LABELS), script, fps=20)) <= 1


def test_small_lead_changes_the_label_only_after_the_hold_time() -> None:
    smoother = Smoother(LABELS, time_constant_s=0, switch_margin=0.2, hold_s=1.0)
    smoother.update(1, towards("happy"), 0.0)
    close = np.array([0.0, 0.45, 0.5, 0.05], np.float32)

    labels = [smoother.update(1, close, t).label for t in (1.0, 1.5, 1.9, 2.0, 2.1)]

    assert labels == ["happy", "happy", "happy", "sad", "sad"]


def test_broken_lead_starts_the_hold_time_again() -> None:
    smoother = Smoother(LABELS, time_constant_s=0, switch_margin=0.2, hold_s=1.0)
    ahead, behind = np.array([0, 0.45, 0.5, 0.05], np.float32), np.array([0, 0.5, 0.45, 0.05], np.float32)
    smoother.update(1, behind, 0.0)

    script = ((1.0, ahead), (1.8, ahead), (1.9, behind), (2.0, ahead), (2.9, ahead), (3.0, ahead))
    labels = [smoother.update(1, observed, t).label for t, observed in script]

    assert labels == ["happy"] * 5 + ["sad"]


def test_endless_hold_time_leaves_only_the_margin() -> None:
    smoother = Smoother(LABELS, time_constant_s=0, switch_margin=0.2, hold_s=math.inf)
    smoother.update(1, towards("happy"), 0.0)

    assert smoother.update(1, np.array([0, 0.45, 0.5, 0.05]), 1e6).label == "happy"
    assert smoother.update(1, np.array([0, 0.35, 0.65, 0.0]), 1e6 + 1).label == "sad"


def test_score_is_the_shown_labels_while_another_leads_narrowly() -> None:
    smoother = Smoother(LABELS, time_constant_s=0)
    smoother.update(1, towards("happy"), 0.0)

    result = smoother.update(1, np.array([0, 0.45, 0.5, 0.05]), 0.1)

    assert (result.label, result.score) == ("happy", pytest.approx(0.45))


@pytest.mark.parametrize(("score", "expected"), [(0.30, UNCERTAIN), (0.34, UNCERTAIN), (0.36, "happy"), (0.9, "happy")])
def test_face_is_uncertain_below_the_threshold(score: float, expected: str) -> None:
    result = Smoother(LABELS).update(1, towards("happy", score), 0.0)

    assert result.label == expected
    assert result.score == pytest.approx(score)


def test_uncertain_does_not_flicker_around_the_threshold() -> None:
    smoother = Smoother(LABELS, time_constant_s=0)

    labels = [smoother.update(1, towards("happy", s), t).label for t, s in enumerate((0.34, 0.36, 0.34, 0.39, 0.36))]
    later = [smoother.update(1, towards("happy", s), t).label for t, s in enumerate((0.41, 0.36, 0.37, 0.34), start=5)]

    assert labels == [UNCERTAIN] * 5
    assert later == ["happy", "happy", "happy", UNCERTAIN]


def test_most_likely_label_is_shown_when_certainty_returns() -> None:
    smoother = Smoother(LABELS, time_constant_s=0, hold_s=math.inf)
    smoother.update(1, towards("happy"), 0.0)
    smoother.update(1, towards("happy", 0.3), 0.1)

    result = smoother.update(1, np.array([0, 0.45, 0.5, 0.05]), 0.2)

    assert result.label == "sad"


def test_threshold_zero_never_says_uncertain() -> None:
    smoother = Smoother(LABELS, uncertain_below=0)

    assert smoother.update(1, np.full(4, 0.25, np.float32), 0.0).label in LABELS


@pytest.mark.parametrize(
    "nonsense",
    [[math.nan, 0, 0, 1], [math.inf, 0, 0, 0], [-0.1, 0.1, 0.5, 0.5], [0, 0, 0, 0], [math.nan] * 4],
    ids=["nan", "inf", "negative", "zero", "all nan"],
)
def test_probabilities_that_say_nothing_are_left_out(nonsense: list[float]) -> None:
    smoother = Smoother(LABELS)
    before = smoother.update(1, towards("happy"), 0.0)

    during = smoother.update(1, np.array(nonsense, np.float32), 0.2)
    newcomer = smoother.update(2, np.array(nonsense, np.float32), 0.2)

    assert (during.label, during.score) == (before.label, before.score)
    assert (newcomer.label, newcomer.score) == (UNCERTAIN, pytest.approx(0.25))
    assert smoother.update(1, towards("sad"), 9.0).label == "sad"


def test_clock_that_goes_backwards_keeps_the_average_and_goes_on() -> None:
    smoother = Smoother(LABELS)
    before = smoother.update(1, towards("happy"), 100.0)

    assert smoother.update(1, towards("sad"), 0.0).score == before.score
    assert smoother.update(1, towards("sad"), 5.0).label == "sad"


def test_clock_that_goes_backwards_does_not_lengthen_the_hold_time() -> None:
    smoother = Smoother(LABELS, time_constant_s=0, switch_margin=0.2, hold_s=1.0)
    close = np.array([0.0, 0.45, 0.5, 0.05], np.float32)
    smoother.update(1, towards("happy"), 99.0)
    smoother.update(1, close, 100.0)

    labels = [smoother.update(1, close, t).label for t in (0.0, 0.9, 1.1)]

    assert labels == ["happy", "happy", "sad"]


def test_long_pause_starts_afresh() -> None:
    smoother = Smoother(LABELS)
    smoother.update(1, towards("happy"), 0.0)

    assert smoother.update(1, towards("sad", 0.7), 60.0).score == pytest.approx(0.7)


def test_tracks_do_not_influence_one_another() -> None:
    smoother = Smoother(LABELS)
    smoother.update(1, towards("happy"), 0.0)

    assert smoother.update(2, towards("sad"), 0.01).label == "sad"
    assert smoother.update(1, towards("happy"), 0.02).label == "happy"


def test_forgotten_tracks_free_their_memory() -> None:
    smoother = Smoother(LABELS)
    for track in range(1, 101):
        smoother.update(track, towards("happy"), 0.0)

    smoother.forget({7, 100, 500})

    assert len(smoother) == 2
    assert smoother.update(1, towards("sad"), 0.01).label == "sad"


@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), ()])
def test_wrong_number_of_probabilities_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="needs 4 probabilities"):
        Smoother(LABELS).update(1, np.ones(shape, np.float32), 0.0)


@pytest.mark.parametrize("time_s", [math.nan, math.inf])
def test_time_that_is_not_finite_is_refused(time_s: float) -> None:
    with pytest.raises(ConfigError, match="finite time"):
        Smoother(LABELS).update(1, towards("happy"), time_s)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_constant_s": -0.1},
        {"time_constant_s": math.nan},
        {"time_constant_s": math.inf},
        {"hold_s": -1.0},
        {"switch_margin": 1.1},
        {"uncertain_below": -0.1},
        {"uncertain_margin": math.nan},
    ],
)
def test_argument_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Smoother(LABELS, **wrong)


def test_smoother_without_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one label"):
        Smoother(())


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 1, width=32) | st.just(math.nan), min_size=4, max_size=4),
            st.floats(-1e6, 1e6),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_any_sequence_gives_probabilities_that_sum_to_one(script: list[tuple[list[float], float]]) -> None:
    smoother = Smoother(LABELS)

    for values, time_s in script:
        result = smoother.update(1, np.array(values, np.float32), time_s)

        assert result.label in {*LABELS, UNCERTAIN}
        assert result.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert 0 <= result.score <= 1 + 1e-6
