"""Cameras and streams: OpenCV devices, URLs and the Raspberry Pi's CSI cameras."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import Source, display_name, display_url, quiet_opencv
from fer_edge_runtime.sources.live import LiveSource, open_in_time
from fer_edge_runtime.sources.video import Capture, VideoSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 5_000
DEV = Path("/dev")
MODEL_FILE = Path("/proc/device-tree/model")


def open_camera(device: int | Path, *, stop: threading.Event | None = None, stall_s: float = 5.0) -> LiveSource:
    """Open a camera by index or device file; a link such as ``/dev/v4l/by-id/…`` is followed at each opening.

    Raises:
        SourceError: there is no such camera, or it may not or cannot be used.
    """
    name = f"camera:{device}" if isinstance(device, int) else display_name(str(device))
    capture = open_in_time(lambda: _open_device(device, name), name=name, stop=stop)
    return LiveSource(capture, name=name, stop=stop, stall_s=stall_s)


def _open_device(device: int | Path, name: str) -> Capture:
    import cv2

    quiet_opencv()
    if isinstance(device, Path):
        check_device(device, name)
        number = re.fullmatch(r"video(\d+)", device.resolve().name)
        index = int(number[1]) if number else -1
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2) if number else cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    else:
        if sys.platform.startswith("linux"):
            check_device(DEV / f"video{device}", name)
        capture = cv2.VideoCapture(device)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{name}: the device exists but gives no picture: another program may be using it, or it is not a camera "
            f"({_devices(DEV)}).{pi_hint()}"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def check_device(path: Path, name: str, *, dev: Path = DEV, model_file: Path = MODEL_FILE) -> None:
    """Explain a device file that is missing or may not be opened, before OpenCV fails without a reason.

    Raises:
        SourceError: it does not exist or this user may not open it.
    """
    if not path.exists():
        raise SourceError(
            f"{name}: no such camera: {display_name(str(path))} does not exist ({_devices(dev)}). "
            f"Plug one in, or try --source demo.{pi_hint(model_file)}"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(
            f"{name}: this user may not open {display_name(str(path))}. Join the group 'video' "
            "(sudo usermod -aG video $USER), then log in again."
        )


def _devices(dev: Path) -> str:
    found = sorted(dev.glob("video*"), key=lambda path: (len(path.name), path.name))
    return "present: " + ", ".join(map(str, found)) if found else f"no {dev}/video* at all"


def pi_hint(model_file: Path = MODEL_FILE) -> str:
    """On a Raspberry Pi, what to say when an OpenCV camera fails; empty elsewhere."""
    try:
        model = model_file.read_text(errors="replace")
    except OSError:
        return ""
    if "Raspberry Pi" not in model:
        return ""
    return " On a Raspberry Pi the ribbon-cable (CSI) cameras do not work this way: use --camera picamera2:0."


def open_url(url: str, *, stop: threading.Event | None = None, stall_s: float = 5.0) -> Source:
    """Open a network stream with time limits; a finite file behind ``http`` is read like a file, without loss.

    Raises:
        SourceError: it cannot be opened; the message holds no password.
    """
    import cv2

    name = display_url(url)
    capture = open_in_time(lambda: _open_stream(url, name), name=name, stop=stop)
    if url.lower().startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        return VideoSource(capture, name=name, stop=stop)
    return LiveSource(capture, name=name, stop=stop, stall_s=stall_s)


def _open_stream(url: str, name: str) -> Capture:
    import cv2

    quiet_opencv()
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{name}: the stream cannot be opened. Check the address, user name and password, and that this machine "
            "reaches it; 'ffplay URL' or VLC shows whether the stream works."
        )
    return capture


class PiCapture:
    """A ``picamera2.Picamera2`` with the methods of a capture."""

    def __init__(self, camera: Any) -> None:
        """Start a 640×480 video configuration; its ``RGB888`` is BGR in memory."""
        self._camera = camera
        camera.configure(camera.create_video_configuration(main={"size": (640, 480), "format": "RGB888"}))
        camera.start()

    def read(self) -> tuple[bool, NDArray[Any] | None]:
        """Wait for the next picture, (480, 640, 3) uint8 BGR."""
        return True, self._camera.capture_array("main")

    def get(self, prop: int, /) -> float:
        """Nothing is stated."""
        return 0.0

    def release(self) -> None:
        """Stop the camera and give it back."""
        self._camera.stop()
        self._camera.close()


def open_picamera2(index: int, *, stop: threading.Event | None = None, stall_s: float = 5.0) -> LiveSource:
    """Open a Raspberry Pi camera through picamera2, which is imported only here.

    Raises:
        SourceError: picamera2 is not installed, or there is no such camera.
    """
    name = f"picamera2:{index}"
    capture = open_in_time(lambda: _open_pi(index, name), name=name, stop=stop)
    return LiveSource(capture, name=name, stop=stop, stall_s=stall_s)


def _open_pi(index: int, name: str) -> Capture:
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise SourceError(
            f"{name}: the package picamera2 is not installed. On a Raspberry Pi: sudo apt install python3-picamera2, "
            "then make the virtual environment with: python3 -m venv --system-site-packages .venv"
        ) from error
    except ValueError as error:  # what a module built for another numpy raises: raspberrypi/picamera2#1211
        raise SourceError(
            f"{name}: picamera2 cannot be imported: {error}. Its simplejpeg was built for another numpy; in this environment: "
            "pip install --upgrade simplejpeg"
        ) from error
    found = Picamera2.global_camera_info()
    if index >= len(found):
        raise SourceError(
            f"{name}: libcamera finds {len(found)} camera(s). Check the ribbon cable; "
            "'rpicam-hello --list-cameras' lists them."
        )
    return PiCapture(Picamera2(index))
