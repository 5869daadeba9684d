"""Annotated pictures and videos, complete under their name or not there at all."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import PartFile, Sink, output_error
from fer_edge_runtime.types import Frame, FrameResult, SourceKind

if TYPE_CHECKING:
    import cv2

    from fer_edge_runtime.types import Image

VIDEO_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
FALLBACK_FPS = 30.0
LIVE_FPS = 15.0
# A pause longer than this is not filled up with repeated frames.
LONGEST_GAP_S = 10.0
SPARE_BYTES = 8 * 2**20

logger = logging.getLogger(__name__)


def open_media(target: str, *, kind: SourceKind, total: int | None = None, fps: float | None = None) -> Sink:
    """The sink for ``--save``: what it writes follows from the source and the name.

    Args:
        target: a picture file for one picture; a folder for several (they keep their names); a video file for a video
            or live source, or a folder, which gets ``annotated.mp4``.
        kind: of the source.
        total: number of pictures.
        fps: of the source, if it states one.

    Raises:
        OutputError: the name does not fit, or nothing can be written there.
    """
    path = Path(os.path.expanduser(target))  # noqa: PTH111 this one never raises
    suffix = path.suffix.lower()
    folder = _is_folder(path, target)
    if kind == "pictures":
        if folder:
            return PictureSink(path, folder=True)
        if suffix not in PICTURE_SUFFIXES:
            raise OutputError(f"{target}: pictures are saved as {', '.join(PICTURE_SUFFIXES)} or into a folder.")
        if total != 1:
            raise OutputError(f"{target}: several pictures need a folder. Give a folder's name, such as annotated/")
        return PictureSink(path, folder=False)
    path = video_path(target)
    suffix = path.suffix.lower()
    if suffix not in VIDEO_CODECS:
        raise OutputError(f"{target}: videos are saved as {', '.join(VIDEO_CODECS)}. Change the end of the name.")
    return VideoSink(path, fps=fps, live=kind == "live")


def video_path(target: str) -> Path:
    """Where a video goes: ``annotated.mp4`` in it, when the target is a folder."""
    path = Path(os.path.expanduser(target))  # noqa: PTH111 this one never raises
    return path / "annotated.mp4" if _is_folder(path, target) else path


def _is_folder(path: Path, target: str) -> bool:
    return os.path.isdir(path) or target.endswith(("/", os.sep)) or not path.suffix  # noqa: PTH112 never raises


class PictureSink(Sink):
    """Writes each frame as a picture, in a file or in a folder under the name it came with."""

    needs_drawing = True

    def __init__(self, target: Path, *, folder: bool) -> None:
        """Check that it can be written there."""
        self._target = target
        self._folder = folder
        self._written: set[Path] = set()
        self._part: PartFile | None = None
        if folder:
            try:
                target.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise output_error(target, error) from error
            if not os.access(target, os.W_OK | os.X_OK):
                raise output_error(target, PermissionError(13, ""))
        else:
            self._part = PartFile(target)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write one picture, whole or not at all."""
        part = self._part or PartFile(self._path_for(frame.source) if self._folder else self._target)
        self._part = None
        part.guard(frame.source)
        try:
            part.write(_encode(frame.image, part.target), only_whole=True)
            part.commit()
        except BaseException:
            part.discard()
            raise
        self._written.add(part.target)

    def _path_for(self, source: str) -> Path:
        """The picture's own name; numbered when two folders hold the same one, PNG when its format cannot be written."""
        name = Path(source).name or "picture.png"
        path = self._target / name
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            path = path.with_name(f"{name}.png")
        number = 2
        while path in self._written:
            path = self._target / f"{Path(name).stem}-{number}{path.suffix}"
            number += 1
        return path

    def close(self) -> None:
        """Leave no empty file behind when no picture came."""
        if self._part is not None:
            self._part.discard()
            self._part = None

    def describe(self) -> str:
        """The file, or how many in which folder."""
        if self._folder:
            return f"{len(self._written)} picture{'s' * (len(self._written) != 1)} in {self._target}"
        return str(self._target) if self._written else ""


def _encode(image: Image, target: Path) -> bytes:
    import cv2

    suffix = target.suffix.lower()
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix in (".jpg", ".jpeg") else []
    try:
        ok, data = cv2.imencode(suffix, image, options)
    except cv2.error as error:
        raise OutputError(f"{target}: OpenCV cannot write this format here. Save it as .png.") from error
    if not ok:
        raise OutputError(f"{target}: OpenCV cannot encode this picture as {suffix}. Save it as .png.")
    return data.tobytes()


class VideoSink(Sink):
    """Writes an annotated video.

    A file's frames are written one for one. A live source's are placed by their time, repeated or left out, so that
    the video runs as fast as life did however slow the processing was; only a long pause is cut short.
    """

    needs_drawing = True

    def __init__(self, target: Path, *, fps: float | None, live: bool) -> None:
        """Create the temporary file ``<stem>.part<suffix>``; the encoder opens with the first frame, which has its size."""
        self.frames = 0
        fallback = LIVE_FPS if live else FALLBACK_FPS
        self._fps = min(max(fps or fallback, 1.0), 30.0 if live else 240.0)
        self._live = live
        self._part = PartFile(target, part=f"{target.stem}.part{target.suffix}")
        if self._part.path == target:
            self._part.keep()
            raise OutputError(f"{target}: a video needs an ordinary file, which can be rewound.")
        self._writer: cv2.VideoWriter | None = None
        self._backend = 0
        self._size = (0, 0)
        self._latest: Image | None = None
        self._left_out = 0
        self._failed = False

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Encode one frame; one of another size than the first is scaled to fit, with black borders."""
        if self._writer is None:
            self._part.guard(frame.source)
            self._open(frame.image)
        if self.frames % 30 == 0:
            self._check_space()
        if self._writer is None:
            return
        image, repeats = _fit(frame.image, self._size), self._repeats(frame.time_s)
        for left in range(repeats, 0, -1):
            # Until a picture's own time comes, the one before it stays.
            self._writer.write(image if left == 1 or self._latest is None else self._latest)
            self.frames += 1
        self._latest = image if self._live else None

    def _repeats(self, time_s: float) -> int:
        if not self._live:
            return 1
        due = int(time_s * self._fps) + 1 - self._left_out - self.frames
        if due > LONGEST_GAP_S * self._fps or not self.frames:
            self._left_out += due - 1
            return 1
        return max(due, 0)

    def _open(self, image: Image) -> None:
        import cv2

        from fer_edge_runtime.sources.base import quiet_opencv

        quiet_opencv()
        # mp4v stores even sizes only; OpenCV would cut the odd line off without a word.
        self._size = (max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2))
        code = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self._part.target.suffix.lower()])
        self._backend = cv2.CAP_FFMPEG
        writer = cv2.VideoWriter(str(self._part.path.absolute()), self._backend, code, self._fps, self._size)
        if not writer.isOpened():
            writer.release()
            # OpenCV's own AVI writer, for builds without FFmpeg.
            self._backend = cv2.CAP_ANY
            writer = cv2.VideoWriter(str(self._part.path.absolute()), code, self._fps, self._size)
        if not writer.isOpened():
            self._abort()
            raise OutputError(
                f"{self._part.target}: this OpenCV has no encoder for a {self._size[0]}×{self._size[1]} "
                f"{self._part.target.suffix} video. Try a name that ends in .avi."
            )
        self._writer = writer

    def _check_space(self) -> None:
        """The encoder says nothing about a full disk, so look before it is full."""
        if shutil.disk_usage(self._part.path.parent).free < SPARE_BYTES:
            # Hours of a camera cannot be had again, and there is room to finish them.
            keep = self._live and self.frames > 0
            self._abort(keep=keep)
            raise output_error(self._part.target, OSError(28, ""), kept=self._part.path if keep else None)

    def _abort(self, *, keep: bool = False) -> None:
        self._failed = True
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if keep:
            self._part.keep()
        else:
            self._part.discard()

    def close(self) -> None:
        """Finish the video, look whether it can be read, and give it its name."""
        if self._part.closed:
            return
        if self._writer is None:
            self._part.discard()
            return
        self._writer.release()
        self._writer = None
        if self.frames and not _readable(self._part.path, self.frames, self._backend):
            self._part.discard()
            raise OutputError(
                f"{self._part.target}: the video was written but cannot be read back, so it was removed. Is the disk "
                "full? Otherwise try a name that ends in .avi."
            )
        self._part.commit()

    def describe(self) -> str:
        """The file."""
        return str(self._part.target) if self.frames and not self._failed else ""


def _fit(image: Image, size: tuple[int, int]) -> Image:
    """A picture at the video's (width, height), its own shape kept: a face that was wide stays as wide as it was."""
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    # An odd size lost its last line to the encoder; that is no border.
    fitted = [min(side, round(length * scale) + 1) for side, length in zip(size, (width, height), strict=True)]
    small = cv2.resize(image, (fitted[0], fitted[1]), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if tuple(fitted) == size:
        return np.asarray(small, np.uint8)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2
    canvas[top : top + fitted[1], left : left + fitted[0]] = small
    return canvas


def _readable(path: Path, frames: int, backend: int) -> bool:
    """Whether a video opens, has about the frames written and shows the first one.

    By the backend that wrote it: another one prints what it finds in a broken file.
    """
    import cv2

    capture = cv2.VideoCapture(str(path.absolute()), backend)
    try:
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return path.stat().st_size > 0 and capture.isOpened() and count >= 0.9 * frames - 1 and capture.read()[0]
    finally:
        capture.release()
