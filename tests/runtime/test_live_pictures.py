"""What live sources do with pictures that are none, of another size, or frozen."""

import itertools
import threading
import time

import numpy as np
import pytest
from scripted import ScriptedCapture, live, picture, until

from fer_edge_runtime.sources import SourceState


@pytest.mark.parametrize(
    "garbage",
    [
        np.zeros((0, 0, 3), np.uint8), np.zeros((24, 32, 7), np.uint8), np.zeros(12, np.uint8),
        np.zeros((24, 32, 3), np.int32), np.full((24, 32, 3), np.nan) + 1j,
    ],
    ids=["empty", "seven channels", "one row", "int32", "complex"],
)  # fmt: skip
def test_garbage_is_counted_left_out_and_said_once(garbage):
    said = []
    script = [picture(), garbage, garbage, picture(seed=1)]
    with live(ScriptedCapture(script, then="run"), say=said.append) as source:
        until(source, lambda health: health.frames > 5)
        health = source.health()
    assert (health.odd, health.reconnects) == (2, 0)
    assert len(said) == 1
    assert "shape or type that is none" in said[0]


def test_nothing_but_garbage_is_a_loss():
    garbage = ScriptedCapture([picture()] + [np.zeros((0, 0, 3), np.uint8)] * 10**6)
    with live(garbage, ScriptedCapture(then="run")) as source:
        health = until(source, lambda health: health.reconnects == 1)
    assert health.odd > 10


@pytest.mark.parametrize("odd", [picture()[:, :, 0], np.dstack([picture(), picture()[:, :, :1]]), picture().astype(np.uint16) * 256])  # fmt: skip
def test_grey_alpha_and_16_bits_become_bgr(odd):
    with live(ScriptedCapture([odd])) as source:
        image = next(source.frames()).image
    assert (image.shape, image.dtype) == ((24, 32, 3), np.uint8)


def test_another_size_begins_a_new_segment_and_is_said():
    said, taken = [], threading.Semaphore(0)
    images = [picture(), picture(48, 64), picture(48, 64, seed=1), picture()]
    script = [step for image in images for step in (image, taken.acquire)]
    with live(ScriptedCapture(script), stall_s=5, say=said.append) as source:
        got = []
        for frame in itertools.islice(source.frames(), 4):
            got.append(frame)
            taken.release()
        assert source.health().resized == 2
    assert [frame.segment for frame in got] == [0, 1, 1, 2]
    assert said == [
        "porch: its pictures are 64×48 now, no longer 32×24.",
        "porch: its pictures are 32×24 now, no longer 64×48.",
    ]


def test_frozen_picture_is_left_out_until_it_changes():
    said, still = [], picture(seed=7)
    capture = ScriptedCapture([picture()] + [0.02, still] * 30, then="run")
    with live(capture, frozen_s=0.15, stall_s=1, say=said.append) as source:
        frozen = until(source, lambda health: health.frozen)
        assert (frozen.state, frozen.reason) == (SourceState.STALLED, "the picture does not change")
        back = until(source, lambda health: health.state is SourceState.RUNNING)
        assert 2 < frozen.frames < 25
        assert (back.frozen, back.reconnects) == (1, 0)
    assert len(said) == 2


@pytest.mark.parametrize("sensor", [True, False])
def test_frozen_sensor_is_opened_again_once_and_a_stream_never(sensor):
    still = picture(seed=7)
    frozen = [ScriptedCapture([0.005, still] * 400) for _ in range(3)]
    source = live(*frozen, frozen_s=0.05, stall_s=1, reopen_frozen=sensor)
    with source:
        until(source, lambda health: health.state is SourceState.STALLED)
        begun_s = time.monotonic()
        last = until(source, lambda health: time.monotonic() - begun_s > 0.5)
    assert source._open_capture.opened == (2 if sensor else 1)
    assert (last.state, last.frozen) == (SourceState.STALLED, 1)


def test_own_freeze_detection_costs_little_on_a_real_sensor():
    from fer_edge_runtime.sources.frozen import FreezeDetector

    detector, noise = FreezeDetector(10), np.random.default_rng(0)
    images = [noise.integers(0, 255, (720, 1280, 3), np.uint8) for _ in range(2)]
    begun_s = time.perf_counter()
    for i in range(100):
        detector.frozen_for(images[i % 2], i)
    assert time.perf_counter() - begun_s < 0.5, "5 ms a frame; it takes some microseconds"
