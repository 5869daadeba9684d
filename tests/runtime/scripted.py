"""A camera that does what a list says: the tests' stand-in for what no driver does on demand."""

import threading
import time
from contextlib import suppress

import cv2
import numpy as np

from fer_edge_runtime.sources import LiveOptions
from fer_edge_runtime.sources.live import LiveSource
from fer_edge_runtime.sources.reconnect import Backoff

DEADLINE_S = 10


def picture(height=24, width=32, seed=0):
    small = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


class ScriptedCapture:
    """Plays a list: a picture, None for a failed read, an exception to raise, an Event to wait for, seconds to pass,
    something to call before the next step.

    ``then`` is what it does for ever afterwards: ``"fail"``, or ``"run"`` for a new picture every ``period_s``.
    """

    def __init__(self, script=(), fps=0.0, count=0.0, positions=None, then="fail", period_s=0.002):
        self.script = list(script)
        self.fps = fps
        self.count = count
        self.positions = positions
        self.then = then
        self.period_s = period_s
        self.reads = 0
        self.released = threading.Event()
        self.drained = threading.Event()

    def read(self):
        self.reads += 1
        if not self.script:
            self.drained.set()
            if self.then == "fail":
                return False, None
            time.sleep(self.period_s)
            return True, picture(seed=self.reads)
        step = self.script.pop(0)
        if isinstance(step, threading.Event):
            step.wait(20)
            return False, None
        if isinstance(step, float):
            time.sleep(step)
            return self.read()
        if callable(step):
            step()
            return self.read()
        if isinstance(step, Exception):
            raise step
        return step is not None, step

    def get(self, prop, /):
        if prop == cv2.CAP_PROP_POS_MSEC and self.positions is not None:
            return self.positions[min(self.reads, len(self.positions)) - 1]
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: self.count}.get(prop, 0.0)

    def release(self):
        self.released.set()


class Cameras:
    """What opening gives, try by try: a capture, an exception to raise, or an Event that opening hangs at."""

    def __init__(self, *tries):
        self.tries = list(tries)
        self.opened = 0

    def __call__(self):
        self.opened += 1
        step = self.tries.pop(0) if len(self.tries) > 1 else self.tries[0]
        if isinstance(step, threading.Event):
            step.wait(20)
            raise OSError("at last")
        if isinstance(step, Exception):
            raise step
        return step


def live(*tries, stop=None, open_s=20.0, reopen_frozen=False, first_wait_s=0.01, **options):
    """A source over scripted cameras, opened like a user's: the first one now, the others when they are needed."""
    cameras = Cameras(*tries)
    options = LiveOptions(**{"stall_s": 0.6, "frozen_s": 0.0, **options})
    return LiveSource(
        cameras, name="porch", opened=None if options.wait else cameras(), stop=stop, options=options,
        reopen_frozen=reopen_frozen, open_s=open_s, backoff=Backoff(first_wait_s, 4 * first_wait_s, spread=lambda: 1.0),
    )  # fmt: skip


def until(source, condition, *, into=None):
    """Read on until the health fulfils the condition; that health. The frames are gathered in ``into``."""
    give_up_s, health = time.monotonic() + DEADLINE_S, source.health()

    class Enough(Exception):  # noqa: N818
        pass

    def look():
        nonlocal health
        health = source.health()
        assert time.monotonic() < give_up_s, health
        if condition(health):
            raise Enough

    with suppress(Enough):
        for frame in source.frames(on_idle=look):
            if into is not None:
                into.append(frame)
            look()
    return health
