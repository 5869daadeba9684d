"""Where frames come from: pictures, videos, cameras, streams, a test pattern, the embedded demonstration clip."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from fer_edge_runtime.errors import ConfigError, SourceError
from fer_edge_runtime.sources.base import Source, display_name, display_source, display_url
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.sources.reconnect import LiveOptions

__all__ = ["LiveOptions", "Source", "SourceHealth", "SourceState", "display_name", "display_url", "open_source"]

DEMO_CLIP = Path(__file__).parent.parent / "assets" / "demo.mp4"
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt")
_HELP = (
    "Give a picture, a folder, a pattern such as 'faces/*.jpg', a video file, a camera (0 or /dev/v4l/by-id/…), "
    "picamera2:0, an rtsp:// or http:// address, test-pattern or demo."
)


def open_source(spec: str, *, stop: threading.Event | None = None, live: LiveOptions | None = None) -> Source:
    """Open whatever a specification names.

    Args:
        spec: a picture, folder, glob or video file; ``0``, ``camera:0`` or a device file; ``rtsp://``, ``rtmp://`` or
            ``http(s)://``; ``picamera2:0``; ``test-pattern[:WIDTHxHEIGHT][@FPS]``; ``demo``.
        stop: ends the frames early when set, also while waiting for a camera.
        live: how patient to be with a camera or stream.

    Raises:
        SourceError: it does not exist or cannot be opened; the message says what to do.
        ConfigError: a test pattern that cannot be drawn, or something is to be waited for that is no camera or stream.
    """
    device = _open_device(spec, stop, live)
    if device is not None:
        return device
    if live is not None and live.wait:
        raise ConfigError(
            f"{display_source(spec)}: --wait-for-source waits for cameras and streams. Leave it out here."
        )
    if spec == "demo":
        from fer_edge_runtime.sources.video import open_video

        return open_video(DEMO_CLIP, name="demo", stop=stop)
    if spec == "test-pattern" or spec.startswith(("test-pattern:", "test-pattern@")):
        from fer_edge_runtime.sources.pattern import open_pattern

        return open_pattern(spec, stop=stop)
    return _open_files(spec, stop)


def _open_device(spec: str, stop: threading.Event | None, live: LiveOptions | None) -> Source | None:
    """The camera or stream that a specification names, or None when it names something else."""
    camera = re.fullmatch(r"(?:(camera|picamera2):)?([0-9]{1,3})|(picamera2)", spec)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec)
    device_file = spec.startswith("/dev/")
    if not (camera or scheme or device_file):
        return None
    if scheme and scheme[1].lower() not in _STREAMS:
        raise SourceError(f"{display_url(spec)}: addresses start with {'://, '.join(_STREAMS[:6])}://. {_HELP}")
    from fer_edge_runtime.sources.camera import open_camera, open_picamera2, open_url

    if scheme:
        return open_url(spec, stop=stop, options=live)
    if camera is None:
        return open_camera(Path(spec), stop=stop, options=live)
    if "picamera2" in (camera[1], camera[3]):
        return open_picamera2(int(camera[2] or 0), stop=stop, options=live)
    return open_camera(int(camera[2]), stop=stop, options=live)


def _open_files(spec: str, stop: threading.Event | None) -> Source:
    """Pictures or a video, told apart by their first bytes rather than by their name."""
    from fer_edge_runtime.sources.picture import PictureSource, pictures_in

    path = Path(os.path.expanduser(spec))  # noqa: PTH111 this one never raises
    name = display_name(spec)
    if "\0" in spec or not spec:
        raise SourceError(f"'{display_source(spec)}' is not a file name. {_HELP}")
    try:
        folder, file, exists = path.is_dir(), path.is_file(), path.exists()
    except OSError as error:
        raise SourceError(f"{display_source(spec)}: cannot be read: {error.strerror or error}.") from error
    if folder:
        return PictureSource(pictures_in(path), name=name, stop=stop)
    if file:
        return _open_file(path, name, stop)
    if exists:
        raise SourceError(f"{name}: neither a file nor a folder (a pipe or device?). {_HELP}")
    matches = _glob(path)
    if not matches:
        raise SourceError(f"{display_source(spec)}: no such file or folder, and no file matches it. {_HELP}")
    if len(matches) == 1:
        return _open_file(matches[0], display_name(str(matches[0])), stop)
    return PictureSource(_pictures_of(matches, name), name=name, stop=stop)


def _glob(path: Path) -> list[Path]:
    import glob

    from fer_edge_runtime.sources.picture import natural_key

    found = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 absolute patterns work here
    return sorted((match for match in found if match.is_file()), key=natural_key)


def _pictures_of(matches: list[Path], name: str) -> list[Path]:
    from fer_edge_runtime.sources.picture import PICTURE_SUFFIXES

    pictures = [match for match in matches if match.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise SourceError(f"{name}: matches {len(matches)} files, but no picture. Give one video at a time.")
    return pictures


def _open_file(path: Path, name: str, stop: threading.Event | None) -> Source:
    from fer_edge_runtime.sources.header import read_header
    from fer_edge_runtime.sources.picture import PICTURE_SUFFIXES, PictureSource

    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}.") from error
    if path.suffix.lower() in PICTURE_SUFFIXES or read_header(head).format != "unknown":
        return PictureSource([path], name=name, stop=stop)
    from fer_edge_runtime.sources.video import open_video

    return open_video(path, name=name, stop=stop)
