"""What a picture file says about itself, read before any decoder sees it: format, size, whether it is whole."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

CUT_OFF = "is cut off: its end is missing"
DAMAGED = "is damaged: its header makes no sense"
# Every JPEG start-of-frame marker; C4, C8 and CC mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A real file has some hundred chunks at most; a made-up one must not keep us busy.
_MAX_PARTS = 200_000
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


class PictureHeader(NamedTuple):
    """The outside of a picture file.

    Attributes:
        format: such as ``JPEG``; ``unknown`` when no picture format starts like this.
        width: pixels as stored; 0 when unknown.
        height: pixels as stored; 0 when unknown.
        damage: what is wrong with the file, as the end of a sentence; empty when nothing is known to be.
    """

    format: str
    width: int = 0
    height: int = 0
    damage: str = ""


def read_header(data: bytes) -> PictureHeader:
    """Recognise a picture by its first bytes and read its size; never raises."""
    for name, magic, parse in _FORMATS:
        if re.match(magic, data, re.DOTALL):
            try:
                return parse(name, data)
            except (struct.error, IndexError, OverflowError):  # it points behind the end of the file
                return PictureHeader(name, damage=CUT_OFF)
    return PictureHeader("unknown")


def _png(name: str, data: bytes) -> PictureHeader:
    """Walk the chunks: a wrong checksum is found here, where libpng would write to stderr."""
    width, height = struct.unpack_from(">II", data, 16)
    at, view = 8, memoryview(data)
    for _ in range(_MAX_PARTS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return PictureHeader(name, width, height, "is damaged: a checksum is wrong")
        if kind == b"IEND":
            return PictureHeader(name, width, height)
        at = end
    return PictureHeader(name, width, height, CUT_OFF)


def _jpeg(name: str, data: bytes) -> PictureHeader:
    """Walk the segments to the scan; a thumbnail inside EXIF has its own end marker, so look behind the scan."""
    at, width, height = 2, 0, 0
    for _ in range(_MAX_PARTS):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker in (0x01, *range(0xD0, 0xD9)):
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
        if marker == 0xDA:
            whole = data.rfind(b"\xff\xd9", at) != -1
            return PictureHeader(name, width, height, "" if whole else CUT_OFF)
        at += 2 + length
    return PictureHeader(name, width, height, DAMAGED)


def _bmp(name: str, data: bytes) -> PictureHeader:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return PictureHeader(name, abs(width), abs(height))


def _gif(name: str, data: bytes) -> PictureHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return PictureHeader(name, width, height)


def _webp(name: str, data: bytes) -> PictureHeader:
    stored = struct.unpack_from("<I", data, 4)[0] + 8
    damage = CUT_OFF if stored > len(data) + 1 else ""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    return PictureHeader(name, width, height, damage)


def _tiff(name: str, data: bytes) -> PictureHeader:
    """Width (tag 256) and height (tag 257) of the first picture; classic and Big TIFF."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    entries = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
    at += 8 if big else 2
    size = {256: 0, 257: 0}
    for _ in range(min(entries, 4096)):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in size:
            size[tag] = struct.unpack_from(order + _TIFF_TYPES.get(kind, "I"), data, at + (12 if big else 8))[0]
        at += 20 if big else 12
    return PictureHeader(name, size[256], size[257])


def _pnm(name: str, data: bytes) -> PictureHeader:
    found = re.match(rb"P[1-6](?:\s|#[^\n]*\n)++(\d{1,9})(?:\s|#[^\n]*\n)++(\d{1,9})\s", data[:65536])
    if found is None:
        return PictureHeader(name, damage=DAMAGED)
    return PictureHeader(name, int(found[1]), int(found[2]))


def _jp2(name: str, data: bytes) -> PictureHeader:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return PictureHeader(name, damage=CUT_OFF)
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return PictureHeader(name, max(right - left, 0), max(bottom - top, 0))


def _avif(name: str, data: bytes) -> PictureHeader:
    """The largest of the sizes that its ``ispe`` boxes state."""
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(rb"ispe", data[:65536])]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return PictureHeader(name, width, height)


def _size_unknown(name: str, _data: bytes) -> PictureHeader:
    return PictureHeader(name)


_FORMATS: tuple[tuple[str, bytes, Callable[[str, bytes], PictureHeader]], ...] = (
    ("JPEG", rb"\xff\xd8\xff", _jpeg),
    ("PNG", rb"\x89PNG\r\n\x1a\n", _png),
    ("WebP", rb"RIFF....WEBP", _webp),
    ("GIF", rb"GIF8[79]a", _gif),
    ("TIFF", rb"II[*+]\x00|MM\x00[*+]", _tiff),
    ("PNM", rb"P[1-6][\s#]", _pnm),
    ("JPEG 2000", rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", _jp2),
    ("AVIF", rb"....ftypavi[fs]", _avif),
    ("HEIC", rb"....ftyp(?:hei[cx]|hev[cx]|mif1|msf1)", _size_unknown),
    ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", _bmp),
)
