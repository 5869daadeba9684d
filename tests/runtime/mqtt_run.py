"""What the tests of `fer-edge run --mqtt` share: runs, and results to publish."""

from __future__ import annotations

import os
from contextlib import contextmanager

import numpy as np
from command_line import fer_edge, start
from mqtt_broker import WAIT_S

from fer_edge_runtime.types import Face, Frame, FrameResult

LABELS = ("happy", "sad")
SECRET = "hun/ter@2"  # noqa: S105 of a broker that lives for one test
SECRET_IN_URL = "hun%2Fter%402"  # noqa: S105
FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0, "camera:0")


def run(*arguments, **variables):
    """`fer-edge run` to its end."""
    return fer_edge("run", *arguments, env=os.environ | variables)


@contextmanager
def running(*arguments, **variables):
    """A run that does not outlive the test."""
    process = start("run", *arguments, stdout=None, env=os.environ | variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stderr.close()


def result_of(*labels, index=0):
    faces = tuple(
        Face((1.0, 2.0, 30.0, 40.0), label, 0.75, {"happy": 0.75, "sad": 0.25}, {}, 0.9, track)
        for track, label in enumerate(labels, start=1)
    )
    return FrameResult("camera:0", index, index / 10, faces, fps=12.345)
