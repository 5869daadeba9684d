"""Pictures: one file, a folder or a glob, decoded with limits."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import Source, display_name, quiet_opencv
from fer_edge_runtime.sources.header import PictureHeader, read_header
from fer_edge_runtime.sources.health import Progress, SourceHealth
from fer_edge_runtime.types import Frame, SourceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.types import Image

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
    | {".pbm", ".pgm", ".ppm", ".jp2", ".avif"}
)
MAX_BYTES = 200 * 2**20
MAX_PIXELS = 120_000_000


def decode_image(data: bytes, *, name: str) -> Image:
    """Decode a picture in memory.

    Grey, 16-bit and transparent pictures become ordinary ones, and a camera's EXIF orientation is applied. The size is
    read from the header first, so that a small file cannot ask for gigabytes.

    Args:
        data: the whole file, at most 200 MiB; JPEG, PNG, BMP, GIF (first picture), WebP, TIFF, PNM, JPEG 2000, AVIF.
        name: for the error message.

    Returns:
        (H, W, 3) uint8, BGR, at most 120 million pixels.

    Raises:
        SourceError: it is not a picture, is cut off or too large.
    """
    if not data:
        raise SourceError(f"{name}: the file is empty (0 bytes). Copy or download it again.")
    if len(data) > MAX_BYTES:
        raise SourceError(f"{name}: {len(data) / 2**20:.0f} MiB is more than the {MAX_BYTES // 2**20} MiB allowed.")
    header = read_header(data)
    _check_header(header, data, name)
    image = _decode(data)
    if image is None:
        raise SourceError(
            f"{name}: this {header.format} file ({len(data):,} bytes) cannot be decoded; it is damaged or uses a "
            "variant that OpenCV does not know. Save it again as JPEG or PNG."
        )
    return image


def _check_header(header: PictureHeader, data: bytes, name: str) -> None:
    """Refuse what need not, or must not, reach the decoder."""
    if header.format == "HEIC":
        raise SourceError(f"{name}: HEIC pictures cannot be read. Convert it to JPEG, for example with heif-convert.")
    if header.format == "unknown":
        raise SourceError(
            f"{name}: not a picture: {len(data):,} bytes that start with {data[:8].hex(' ')}. "
            "Give a JPEG, PNG, WebP, BMP, TIFF, GIF or PNM file."
        )
    if header.damage:
        raise SourceError(
            f"{name}: this {header.format} file ({len(data):,} bytes) {header.damage}. Copy or download it again."
        )
    if header.width * header.height > MAX_PIXELS:
        raise SourceError(
            f"{name}: {header.width}×{header.height} pixels is more than the {MAX_PIXELS // 10**6} million allowed. "
            "Make the picture smaller first."
        )


def _decode(data: bytes) -> Image | None:
    import cv2
    import numpy as np

    quiet_opencv()
    try:
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        return None
    if image is None or image.ndim != 3 or image.size == 0 or image.size > 3 * MAX_PIXELS:
        return None
    return as_bgr(image)


def as_bgr(image: NDArray[Any]) -> Image:
    """A picture of any usual kind as (H, W, 3) uint8, BGR, contiguous; the same array when it is one already.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16 (0–65535) or float (0–1).

    Raises:
        SourceError: another shape or dtype, or not a single pixel.
    """
    import numpy as np

    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise SourceError(
            f"A picture must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). Received shape: {image.shape}."
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif np.issubdtype(image.dtype, np.floating):
        image = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise SourceError(f"A picture must be uint8, uint16 or float in 0–1. Received dtype: {image.dtype}.")
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def read_picture(path: Path) -> Image:
    """Read and decode a picture file; see ``decode_image``."""
    name = display_name(str(path))
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SourceError(f"{name}: {size / 2**20:.0f} MiB is more than the {MAX_BYTES // 2**20} MiB allowed.")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}.") from error
    return decode_image(data, name=name)


def natural_key(path: Path) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Sort key that puts ``face2`` before ``face10``."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    # Odd positions are the numbers, so that text is only ever compared with text.
    return tuple((int(part[:4000]), part) if i % 2 else part for i, part in enumerate(parts)), str(path)


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder by suffix, in natural order, not those of its subfolders nor hidden ones.

    Raises:
        SourceError: the folder cannot be listed or holds no picture.
    """
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{display_name(str(folder))}: cannot be listed: {error.strerror or error}.") from error
    pictures = sorted((path for path in found if path.suffix.lower() in PICTURE_SUFFIXES), key=natural_key)
    if not pictures:
        raise SourceError(
            f"{display_name(str(folder))}: no picture in this folder ({len(found)} other files; subfolders are not "
            "searched). Pictures end in .jpg, .png, .webp, .bmp, .tif or .gif."
        )
    return pictures


class PictureSource(Source):
    """Pictures, each a frame at time 0; with several, the unreadable ones are reported and skipped."""

    def __init__(self, paths: Sequence[Path], *, name: str, stop: threading.Event | None = None) -> None:
        """Remember the files; nothing is read yet."""
        self.name = name
        self.kind: SourceKind = "pictures"
        self.fps: float | None = None
        self.total: int | None = len(paths)
        self.dropped = 0
        self.problems: list[str] = []
        self._paths = list(paths)
        self._progress = Progress()
        self._stop = stop or threading.Event()
        self._closed = False

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """Each picture that can be read; ``index`` counts the unreadable ones too."""
        return self._progress.follow(self._read_all())

    def health(self) -> SourceHealth:
        """How far it is."""
        return self._progress.health()

    def _read_all(self) -> Iterator[Frame]:
        readable = 0
        for index, path in enumerate(self._paths):
            if self._closed or self._stop.is_set():
                return
            try:
                image = read_picture(path)
            except SourceError as error:
                if len(self._paths) == 1:
                    raise
                self.problems.append(str(error))
                continue
            readable += 1
            yield Frame(image=image, index=index, time_s=0.0, source=display_name(str(path)))
        if not readable:
            raise SourceError(
                f"{self.name}: none of the {len(self._paths)} pictures can be read. The first: {self.problems[0]}"
            )

    def close(self) -> None:
        """Give no further picture."""
        self._closed = True
