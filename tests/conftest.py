"""Shared pictures and paths. Everything here is made from files in this repository."""

from pathlib import Path

import cv2
import pytest

SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).parents[1]
DEFAULT_BUNDLE = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"


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
