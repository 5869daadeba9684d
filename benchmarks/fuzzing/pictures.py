"""Picture files: PNG with right checksums, JPEG by segments, the others by bytes."""

from __future__ import annotations

import random
import struct
import zlib

import cv2
import numpy as np

from fer_edge_runtime.errors import DataError
from fer_edge_runtime.sources.picture import MAX_PIXELS, decode_image, quiet_opencv
from fer_edge_train.readers import decode_face
from fuzzing.mutation import EDGES, spoiled_bytes

SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".jp2", ".avif")
WORDS = (
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    b"acTL",
    b"fcTL",
    b"Exif\0\0",
    b"ICC_PROFILE\0",
    b"ispe",
    b"VP8X",
    b"ALPH",
    b"#",
    b"\n" * 30,
    b" " * 50 + b"x",
    b"# ",
)
_PNG_START = b"\x89PNG\r\n\x1a\n"


class Pictures:
    """`decode_image` of the runtime and `decode_face` of the training."""

    def __init__(self) -> None:
        quiet_opencv()
        noise = np.random.default_rng(0).integers(0, 256, (17, 24, 3), np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 3)
        self._seeds: list[bytes] = []
        for suffix in SUFFIXES:
            for image in (smooth, smooth[:, :, 0], cv2.cvtColor(smooth, cv2.COLOR_BGR2BGRA)):
                try:
                    written, data = cv2.imencode(suffix, image)
                except cv2.error:  # this build, or this format, does not write it
                    continue
                if written:
                    self._seeds.append(data.tobytes())
        self._seeds.append(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
        self._seeds.append(cv2.imencode(".png", smooth.astype(np.uint16) * 257)[1].tobytes())

    def make(self, dice: random.Random) -> bytes:
        """One format's picture, changed."""
        data = dice.choice(self._seeds)
        way = dice.randrange(3)
        if way and data.startswith(_PNG_START):
            return _png(dice, data)
        if way and data.startswith(b"\xff\xd8"):
            return _jpeg(dice, data)
        end = 40 if dice.random() < 0.5 else len(data)  # most of what is decided is decided in the first bytes
        return spoiled_bytes(dice, data[:end], WORDS) + data[end:]

    def run(self, data: bytes) -> None:
        """Both decoders."""
        face = decode_face(data)
        assert isinstance(face, str) or (face[0].shape, face[0].dtype) == ((48, 48), np.uint8)
        image = decode_image(data, name="picture")
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert 0 < image.size <= 3 * MAX_PIXELS
        if isinstance(face, str):
            raise DataError(face)


def _png(dice: random.Random, data: bytes) -> bytes:
    chunks, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append([kind, data[at + 8 : at + 8 + length]])
        at += 12 + length
    for _ in range(dice.choice((1, 1, 2, 3))):
        chunk = dice.choice(chunks)
        way = dice.randrange(6)
        if way == 0:
            header = bytearray(chunks[0][1].ljust(13, b"\0"))
            struct.pack_into(">I", header, dice.choice((0, 4)), dice.choice((*EDGES, 9_000, 12_000, 20_000)))
            chunks[0][1] = bytes(header)
        elif way == 1:
            header = bytearray(chunks[0][1].ljust(13, b"\0"))
            header[dice.randrange(8, 13)] = dice.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
            chunks[0][1] = bytes(header)
        elif way == 2:
            chunks.insert(
                dice.randrange(len(chunks) + 1),
                [dice.choice(WORDS)[:4].ljust(4, b"x"), dice.randbytes(dice.choice((0, 3, 26)))],
            )
        elif way == 3:
            chunks.insert(dice.randrange(len(chunks) + 1), list(chunk))
        elif way == 4 and len(chunks) > 1:
            chunks.remove(chunk)
        else:
            chunk[1] = spoiled_bytes(dice, chunk[1])
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return _PNG_START + b"".join(parts)


def _jpeg(dice: random.Random, data: bytes) -> bytes:
    segments, at = [], 2
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        segments.append([data[at + 1], data[at + 4 : at + 2 + length]])
        at += 2 + length
    for _ in range(dice.choice((1, 1, 2, 3))):
        segment = dice.choice(segments)
        way = dice.randrange(5)
        if way == 0 and 0xC0 <= segment[0] <= 0xC2:
            frame = bytearray(segment[1])
            struct.pack_into(">H", frame, dice.choice((1, 3)), dice.choice(EDGES) & 0xFFFF)
            segment[1] = bytes(frame)
        elif way == 1:
            segment[0] = dice.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE))
        elif way == 2:
            segments.insert(dice.randrange(len(segments) + 1), list(segment))
        elif way == 3 and len(segments) > 1:
            segments.remove(segment)
        else:
            segment[1] = spoiled_bytes(dice, segment[1])[:65_000]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    scan = data[at:] if dice.random() < 0.5 else spoiled_bytes(dice, data[at:])
    return b"\xff\xd8" + head + scan
