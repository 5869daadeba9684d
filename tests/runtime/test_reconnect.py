"""When a source counts as stalled, lost and back, with a clock that only moves when told."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import picture

from fer_edge_runtime.sources.frozen import FreezeDetector, same
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.sources.reconnect import LONGEST_RETRY_S, Backoff, Connection, LiveOptions


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def connect(clock, said):
    def make(**options):
        return Connection(
            "porch", LiveOptions(say=said.append, **options), backoff=Backoff(spread=lambda: 1.0), clock=clock
        )

    return make


def test_waits_double_up_to_half_a_minute():
    backoff = Backoff(spread=lambda: 1.0)
    assert [backoff.next_s() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 1


@given(st.integers(1, 2000))
def test_no_wait_is_longer_than_half_a_minute_nor_in_step_with_other_devices(tries):
    backoff = Backoff()
    waits = list(itertools.islice(iter(backoff.next_s, None), min(tries, 60)))
    assert all(0.75 <= wait <= LONGEST_RETRY_S for wait in waits)
    assert len({Backoff().next_s() for _ in range(20)}) > 10


def test_life_of_a_camera_that_is_unplugged_and_plugged_in_again(connect, clock, said):
    connection = connect()
    assert connection.state is SourceState.NOT_STARTED
    connection.picture(clock.now)
    assert connection.state is SourceState.RUNNING

    clock.now += 2.5
    assert connection.state is SourceState.STALLED, "also when the loop is too busy to look"
    connection.quiet()
    connection.quiet()
    assert connection.stalls == 1

    clock.now += 2.5
    assert connection.lost("no new picture for 5 s")
    assert connection.state is SourceState.RECONNECTING
    assert connection.retry_in_s == 1
    waits = []
    for _ in range(6):
        clock.now += connection.retry_in_s
        assert connection.retry_in_s == 0
        connection.opening()
        assert connection.retry_in_s is None
        connection.lost("no such camera")
        waits.append(connection.retry_in_s)
    assert waits == [2, 4, 8, 16, 30, 30]

    clock.now += 30
    connection.opening()
    connection.picture(clock.now)
    assert (connection.state, connection.reconnects, connection.reason) == (SourceState.RUNNING, 1, "")
    assert said == [
        "porch: no new picture for 5 s. Trying again in 1 s, then ever less often, but at least every 30 s.",
        "porch: no such camera. Still trying.",
        "porch: pictures again after 96 s.",
    ], "seven tries, two reasons"


def test_waits_start_over_only_after_a_connection_that_held(connect, clock):
    connection = connect()
    for held_s, expected in [(1, 1), (1, 2), (29, 4), (31, 1), (1, 2)]:
        connection.opening()
        connection.picture(clock.now)
        clock.now += held_s
        connection.lost("gone")
        assert connection.retry_in_s == expected
        clock.now += expected


def test_first_opening_is_strict_unless_told_to_wait(connect, clock, said):
    strict = connect()
    assert not strict.lost("no such camera")
    assert strict.state is SourceState.ERROR
    strict.end()
    assert strict.state is SourceState.ERROR

    patient = connect(wait=True)
    assert patient.lost("no such camera")
    assert patient.state is SourceState.NOT_STARTED
    clock.now += 40
    patient.opening()
    patient.picture(clock.now)
    assert (patient.state, patient.reconnects) == (SourceState.RUNNING, 0)
    assert said[-1] == "porch: it is there, after 40 s."


@pytest.mark.parametrize("wait", [False, True])
def test_without_reconnecting_a_loss_is_the_end(connect, clock, wait):
    connection = connect(reconnect=False, wait=wait)
    connection.picture(clock.now)
    assert not connection.lost("gone")
    assert (connection.state, connection.reason) == (SourceState.ERROR, "gone")


def test_a_stall_that_ends_by_itself_is_counted_and_not_spoken_of(connect, clock, said):
    connection = connect()
    for _ in range(3):
        connection.picture(clock.now)
        clock.now += 3
        connection.quiet()
    assert connection.stalls == 3
    assert said == []


@pytest.mark.parametrize(("fps", "stall_s", "expected"), [(None, 5, 2), (30, 5, 2), (0.6, 5, 2 / 0.6), (0.5, 3, 3), (30, 60, 24)])  # fmt: skip
def test_a_slow_camera_stalls_later(fps, stall_s, expected):
    assert LiveOptions(stall_s=stall_s).stalled_s(fps) == pytest.approx(expected)


def test_frozen_picture_is_a_stall_that_is_said_once(connect, clock, said):
    connection = connect()
    connection.picture(clock.now)
    clock.now += 10
    assert connection.freeze(10.0)
    assert not connection.freeze(10.1)
    assert (connection.state, connection.frozen) == (SourceState.STALLED, 1)
    clock.now += 20
    connection.picture(clock.now)
    assert connection.state is SourceState.RUNNING
    assert len(said) == 2
    assert "not one bit of the picture has changed for 10 s" in said[0]
    assert said[1] == "porch: the picture changes again after 30 s."


def test_freezing_all_night_is_counted_but_not_spoken_of_all_night(connect, clock, said):
    connection = connect()
    for _ in range(100):
        connection.picture(clock.now)
        clock.now += 10
        connection.freeze(10.0)
    assert connection.frozen == 100
    assert len(said) == 10


def test_only_a_driver_that_keeps_the_device_for_minutes_asks_for_a_new_process():
    away = SourceHealth(SourceState.RECONNECTING, since_frame_s=301, abandoned=1)
    assert away.wedged
    assert not away._replace(abandoned=0).wedged, "unplugged for long is no reason"
    assert not away._replace(since_frame_s=299).wedged
    assert not away._replace(since_frame_s=None).wedged
    assert not away._replace(state=SourceState.RUNNING).wedged


def test_notes_are_said_once_and_not_without_end(connect, said):
    connection = connect()
    for note in [*range(50), *range(50)]:
        connection.say_once(f"note {note}")
    assert len(said) == 16


# Frozen pictures


def test_frozen_needs_both_time_and_repetitions():
    still, frozen = picture(), FreezeDetector(10)
    assert [frozen.frozen_for(still.copy(), at) for at in (0, 3, 9.9)] == [0, 0, 0]
    assert frozen.frozen_for(still.copy(), 10) == 0, "three repetitions"
    assert frozen.frozen_for(still.copy(), 11) == 0
    assert frozen.frozen_for(still.copy(), 12) == 12
    assert frozen.frozen_for(picture(seed=1), 13) == 0
    assert frozen.frozen_for(picture(seed=1), 14) == 0


def test_frozen_can_be_turned_off():
    frozen = FreezeDetector(0)
    assert not any(frozen.frozen_for(picture(), at) for at in range(1000))


@given(st.integers(0, 24 * 32 * 3 - 1), st.integers(1, 255))
def test_one_changed_value_is_another_picture(position, change):
    first, second = picture(), picture()
    assert same(first, second)
    second.reshape(-1)[position] ^= np.uint8(change)
    assert not same(first, second)
    assert not same(first, picture(width=40))
