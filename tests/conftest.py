"""Shared pictures and paths. Everything here is made from files in this repository."""

import cv2
import pytest
from places import SAMPLES

from fer_edge_runtime.sources.base import quiet_opencv

quiet_opencv()  # FFmpeg reads its log level once a process, so whichever test opens a video first would decide it


@pytest.fixture(scope="session")
def astronaut():
    """(512, 512, 3) uint8 BGR: one smiling face."""
    return cv2.imread(str(SAMPLES / "astronaut.jpg"))


@pytest.fixture(scope="session")
def cat():
    """(300, 451, 3) uint8 BGR: no human face."""
    return cv2.imread(str(SAMPLES / "chelsea.jpg"))


@pytest.fixture(scope="session")
def recognizer():
    """The embedded bundle on LiteRT, one thread."""
    from fer_edge import Recognizer

    return Recognizer.load("default", threads=1)
