"""Pictures: every format, every kind of damage, folders and globs."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import picture

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.sources import picture as picture_module
from fer_edge_runtime.sources.header import read_header
from fer_edge_runtime.sources.picture import as_bgr, decode_image


def encode(image, suffix=".png"):
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


# Pictures


@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".jpg", "JPEG"), (".png", "PNG"), (".bmp", "BMP"), (".webp", "WebP"), (".tiff", "TIFF"), (".ppm", "PNM")],
)
def test_decode_reads_the_size_of_each_format_before_decoding(suffix, name):
    data = encode(picture(), suffix)
    header = read_header(data)
    assert (header.format, header.width, header.height, header.damage) == (name, 32, 24, "")
    assert decode_image(data, name="x").shape == (24, 32, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.full((5, 7), 100, np.uint8),
        np.full((5, 7, 3), 100 * 257, np.uint16),
        np.full((5, 7, 4), 100, np.uint8),
        np.full((5, 7), 100 * 257, np.uint16),
    ],
)
def test_decode_brings_grey_16_bit_and_transparent_pictures_to_bgr(image):
    decoded = decode_image(encode(image), name="x")
    assert decoded.shape == (5, 7, 3)
    assert decoded.dtype == np.uint8
    assert (decoded == 100).all()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), 7),
        (np.full((2, 3, 1), 7, np.uint8), 7),
        (np.full((2, 3, 4), 7, np.uint8), 7),
        (np.full((2, 3, 3), 7 * 257, np.uint16), 7),
        (np.full((2, 3, 3), 1.5, np.float32), 255),
        (np.full((2, 3, 3), np.nan, np.float64), 0),
        (np.full((4, 6, 3), 7, np.uint8)[::2, ::2], 7),
    ],
)
def test_as_bgr_normalises(image, expected):
    found = as_bgr(image)
    assert found.shape == (2, 3, 3)
    assert found.flags.c_contiguous
    assert (found == expected).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(5, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2, 3), np.int32),
    ],
)
def test_as_bgr_refuses_what_is_no_picture(image):
    with pytest.raises(SourceError, match="Received"):
        as_bgr(image)


def test_decode_honours_the_exif_orientation():
    data = encode(picture(20, 40), ".jpg")
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert decode_image(turned, name="x").shape == (40, 20, 3)


def test_decode_is_not_fooled_by_a_thumbnail_in_a_truncated_jpeg():
    data = encode(picture(200, 200), ".jpg")
    thumbnail = b"thumb\xff\xd9"
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with pytest.raises(SourceError, match="cut off"):
        decode_image(data[:2] + segment + data[2:-20], name="x")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_decode_says_that_a_truncated_picture_is_damaged(suffix, share, capfd):
    data = encode(picture(64, 64), suffix)
    with pytest.raises(SourceError, match=r"cut off|damaged|not a picture"):
        decode_image(data[: int(len(data) * share)], name="half.jpg")
    if suffix in (".jpg", ".png"):
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.jpg: the file is empty \(0 bytes\)"),
        (b"hello world, this is text", r"not a picture: 25 bytes that start with 68 65 6c"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 90, "HEIC"),
        (b"\xff\xd8\xff\xe0", "cut off"),
    ],
)
def test_decode_names_what_it_found(data, message):
    with pytest.raises(SourceError, match=message):
        decode_image(data, name="x.jpg")


def test_decode_refuses_a_png_that_declares_ten_gigabytes():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with pytest.raises(SourceError, match="60000×60000"):
        decode_image(data, name="bomb.png")


def test_decode_refuses_too_many_bytes(monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_BYTES", 100)
    with pytest.raises(SourceError, match="MiB"):
        decode_image(encode(picture()), name="x")


_SEEDS = [encode(picture(), suffix) for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm")]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from(_SEEDS).flatmap(
            lambda seed: st.tuples(st.integers(0, len(seed) - 1), st.binary(min_size=1, max_size=8), st.booleans()).map(
                lambda change: (
                    seed[: change[0]] + change[1] + (b"" if change[2] else seed[change[0] + len(change[1]) :])
                )
            )
        ),
    )
)
def test_decode_gives_a_picture_or_a_source_error_for_any_bytes(data):
    try:
        image = decode_image(data, name="x")
    except SourceError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.uint8


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"II*\0",
            b"MM\0+",
            b"P6 ",
            b"\0\0\0\x0cjP  ",
            b"\0\0\0\x20ftypavif",
            b"BM",
        ]
    ),
)
def test_read_header_never_raises(rest, magic):
    header = read_header(magic + rest)
    assert header.width >= 0
    assert header.height >= 0


# Folders and globs


def test_folder_gives_its_pictures_in_natural_order_and_reports_bad_ones(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"face{number}.png").write_bytes(encode(picture(seed=number)))
    (tmp_path / "face3.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub").mkdir()
    with open_source(str(tmp_path)) as source:
        frames = list(source.frames())
    assert [Path(frame.source).name for frame in frames] == ["face1.png", "face2.png", "face10.png"]
    assert [frame.index for frame in frames] == [0, 1, 3]
    assert (source.kind, source.total) == ("pictures", 4)
    assert len(source.problems) == 1
    assert "face3.jpg: the file is empty" in source.problems[0]


def test_folder_in_which_nothing_can_be_read_is_an_error(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match="none of the 2 pictures"):
        list(open_source(str(tmp_path)).frames())


def test_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no picture in this folder"):
        open_source(str(tmp_path))


def test_glob_and_brackets_in_a_real_name(tmp_path):
    for name in ("a1.png", "a2.png", "b1.png", "odd[1].png"):
        (tmp_path / name).write_bytes(encode(picture()))
    assert len(list(open_source(str(tmp_path / "a*.png")).frames())) == 2
    assert len(list(open_source(str(tmp_path / "odd[1].png")).frames())) == 1


def test_picture_with_a_wrong_suffix_is_recognised_by_its_bytes(tmp_path):
    path = tmp_path / "photo.dat"
    path.write_bytes(encode(picture()))
    assert open_source(str(path)).kind == "pictures"


def test_stop_ends_a_folder_early(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode(picture()))
    stop = threading.Event()
    frames = open_source(str(tmp_path), stop=stop).frames()
    next(frames)
    stop.set()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no/such/file.jpg", "no such file"),
        ("", "not a file name"),
        ("a\0b", "not a file name"),
        ("gopher://host/x", "addresses start with"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("~nobody-here/x.jpg", "no such file"),
        ("/dev/null/x.jpg", "no such"),
    ],
)
def test_unusable_specification_is_explained(spec, message):
    with pytest.raises(SourceError, match=message):
        open_source(spec)


def test_named_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(str(tmp_path / "pipe"))
