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
from fer_edge_runtime.sources.reconnect import LiveOptions
from fer_edge_runtime.sources.video import Capture, VideoSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 5_000
DEV = Path("/dev")
SYS = Path("/sys")
MODEL_FILE = Path("/proc/device-tree/model")


def open_camera(
    device: int | Path, *, stop: threading.Event | None = None, options: LiveOptions | None = None
) -> LiveSource:
    """Open a camera by index or device file; a link such as ``/dev/v4l/by-id/…`` is followed at each opening.

    Raises:
        SourceError: there is no such camera, or it may not or cannot be used.
    """
    name = f"camera:{device}" if isinstance(device, int) else display_name(str(device))
    return _live(_Camera(device, name).open, name, stop, options, reopen_frozen=True)


def _live(
    open_capture: Callable[[], Capture], name: str, stop: threading.Event | None, options: LiveOptions | None,
    *, reopen_frozen: bool = False,
) -> LiveSource:  # fmt: skip
    """Open it now, and fail now, unless it is to be waited for."""
    wait = options is not None and options.wait
    opened = None if wait else open_in_time(open_capture, name=name, stop=stop)
    return LiveSource(open_capture, name=name, opened=opened, stop=stop, options=options, reopen_frozen=reopen_frozen)


class _Camera:
    """A V4L2 camera that may come back under another number."""

    def __init__(self, device: int | Path, name: str) -> None:
        self._device = device
        self._name = name
        self._link: Path | None = None

    def open(self) -> Capture:
        """Open it, by its lasting name where it has one and was open before."""
        device = self._link if self._link is not None and self._link.exists() else self._device
        capture = _open_device(device, self._name)
        path = DEV / f"video{self._device}" if isinstance(self._device, int) else self._device
        self._link = self._link or lasting_name(path, dev=DEV, sys_root=SYS)
        return capture


def lasting_name(device: Path, *, dev: Path = DEV, sys_root: Path = SYS) -> Path | None:
    """The link in ``/dev/v4l`` that stays with a camera when it gets another number; None when udev made none.

    That is its own name where it has a serial number. Without one, twins share that name, so it is the port it is plugged into.
    """
    interface = (sys_root / "class" / "video4linux" / device.resolve().name / "device").resolve()
    kind = "by-id" if (interface.parent / "serial").is_file() else "by-path"
    try:
        links = sorted((dev / "v4l" / kind).iterdir())
        return next((link for link in links if link.resolve() == device.resolve()), None)
    except OSError:
        return None


def _open_device(device: int | Path, name: str) -> Capture:
    import cv2

    quiet_opencv()
    # A read of a camera that is gone ends after so many seconds instead of OpenCV's 10.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(READ_TIMEOUT_MS // 1000))
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


def open_url(url: str, *, stop: threading.Event | None = None, options: LiveOptions | None = None) -> Source:
    """Open a network stream with time limits; a finite file behind ``http`` is read like a file, without loss.

    A stream that is waited for is live: a file there is refused then.

    Raises:
        SourceError: it cannot be opened; the message holds no password.
    """

    name = display_url(url)
    if options is not None and options.wait:
        return _live(lambda: _open_endless(url, name), name, stop, options)
    capture = open_in_time(lambda: _open_stream(url, name), name=name, stop=stop)
    if _is_file(url, capture):
        return VideoSource(capture, name=name, stop=stop)
    return LiveSource(lambda: _open_endless(url, name), name=name, opened=capture, stop=stop, options=options)


def _is_file(url: str, capture: Capture) -> bool:
    import cv2

    return url.lower().startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0


def _open_endless(url: str, name: str) -> Capture:
    """A stream, but not a file, of which a live source would lose frames."""
    capture = _open_stream(url, name)
    if _is_file(url, capture):
        capture.release()
        raise SourceError(f"{name}: this is a file, not a live stream. Start without --wait-for-source.")
    return capture


def _open_stream(url: str, name: str) -> Capture:
    import cv2

    quiet_opencv()
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    try:
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    except cv2.error:  # may quote the address with its password, also in a traceback
        raise SourceError(f"{name}: OpenCV refuses this address; write it as scheme://host/path.") from None
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
        try:
            self._camera.stop()
        finally:
            self._camera.close()


def open_picamera2(
    index: int, *, stop: threading.Event | None = None, options: LiveOptions | None = None
) -> LiveSource:
    """Open a Raspberry Pi camera through picamera2, which is imported only here.

    Raises:
        SourceError: picamera2 is not installed, or there is no such camera.
    """
    name = f"picamera2:{index}"
    _picamera2(name)
    return _live(lambda: _open_pi(index, name), name, stop, options, reopen_frozen=True)


def _picamera2(name: str) -> Any:
    """The class, which no waiting brings when it is missing."""
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
    return Picamera2


def _open_pi(index: int, name: str) -> Capture:
    camera_class = _picamera2(name)
    found = camera_class.global_camera_info()
    if index >= len(found):
        raise SourceError(
            f"{name}: libcamera finds {len(found)} camera(s). Check the ribbon cable; "
            "'rpicam-hello --list-cameras' lists them."
        )
    camera = camera_class(index)
    try:
        return PiCapture(camera)
    except BaseException:
        camera.close()  # or it stays taken, and no later try can have it
        raise
