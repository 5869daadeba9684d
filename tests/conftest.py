"""Shared pictures and paths. Everything here is made from files in this repository."""

import os
import tempfile

import cv2
import pytest
from places import SAMPLES, SOFTWARE_VULKAN

from fer_edge_runtime.sources.base import quiet_opencv

quiet_opencv()  # FFmpeg reads its log level once a process, so whichever test opens a video first would decide it

# The same tests on every machine: none uses the GPU that it has, unless it asks for one.
os.environ["FER_EDGE_GPU_PROBE"] = "off"
os.environ["VK_DRIVER_FILES"] = "/nonexistent"

# What a run leaves behind (that its notice was shown) is not left in the home of whoever tests.
_STATE = tempfile.TemporaryDirectory(prefix="fer-edge-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name


@pytest.fixture
def software_vulkan(monkeypatch, tmp_path):
    """A Vulkan that draws on the CPU is the only one here; trials are made, and remembered in an empty folder."""
    from fer_edge_runtime.engines.gpu_parts import missing_for_gpu

    monkeypatch.setenv("VK_DRIVER_FILES", str(SOFTWARE_VULKAN))
    missing = missing_for_gpu("tflite").parts
    if missing:
        pytest.skip(f"no software Vulkan (./scripts/software-vulkan fetches one): {'; '.join(missing)}")
    monkeypatch.delenv("FER_EDGE_GPU_PROBE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fer-edge"


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
