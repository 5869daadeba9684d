"""What there is to annotate: every picture and video of files, folders, patterns and buckets, each once, in a stable order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.sources.base import display_name, display_source, display_url
from fer_edge_runtime.sources.header import read_header
from fer_edge_runtime.sources.picture import PICTURE_SUFFIXES, natural_key

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv"}
)  # fmt: skip
Kind = Literal["picture", "video"]


class _NotAFileError(Exception):
    """A pipe or device with the name of a picture."""


class Input(NamedTuple):
    """One file. Equal inputs are the same file with, by size and time, the same content.

    Attributes:
        source: its name in the results: as it was given, printable, without credentials.
        path: where a worker finds it: an absolute path, or ``scheme://bucket/key`` without credentials.
        kind: ``picture`` or ``video``; by suffix, else by the first bytes.
        size: bytes.
        modified_ns: nanoseconds since 1970; 0 when unknown.
    """

    source: str
    path: str
    kind: Kind
    size: int
    modified_ns: int


class Listing(NamedTuple):
    """What was found.

    Attributes:
        inputs: each file once, in the order of the sources and, inside a folder, in natural order.
        left_out: files of folders and patterns that are neither pictures nor videos by their suffix.
        buckets: ``scheme://bucket`` -> the address that opens it, credentials included; never to be shown.
    """

    inputs: list[Input]
    left_out: int
    buckets: dict[str, str]


def list_inputs(sources: Sequence[str]) -> Listing:
    """Find every input.

    Args:
        sources: pictures, videos, folders (searched with all subfolders, hidden files left out), patterns such as
            ``'photos/**/*.jpg'``, ``s3://``, ``gs://`` and ``file://`` addresses of any of them.

    Raises:
        SourceError: a source does not exist, cannot be listed or holds nothing.
    """
    listing = Listing([], 0, {})
    seen: set[str] = set()
    left_out = 0
    for source in sources:
        matched = others = 0
        for found in _found(source, listing.buckets):
            if found is None:
                others += 1
                continue
            matched += 1
            if found.path not in seen:
                seen.add(found.path)
                listing.inputs.append(found)
        left_out += others
        if not matched:
            shown = display_url(source) if "://" in source else display_name(source)
            raise SourceError(f"{shown}: no picture and no video in it ({others} other files).")
    return listing._replace(left_out=left_out)


def kind_of(name: str) -> Kind | None:
    """By the suffix; None for neither."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 also keys of buckets
    return "picture" if suffix in PICTURE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _found(source: str, buckets: dict[str, str]) -> Iterator[Input | None]:
    if "://" in source:
        from fer_edge.archive.buckets import list_bucket

        yield from list_bucket(source, buckets)
        return
    if not source or "\0" in source:
        raise SourceError(f"{display_source(source)} is not a file name.")
    path = Path(source)
    try:
        folder, file, exists = path.is_dir(), path.is_file(), path.exists()
    except OSError as error:
        raise SourceError(f"{display_source(source)}: cannot be read: {error.strerror or error}.") from error
    if folder:
        yield from _files(_walk(path))
    elif file:
        yield _input(path, kind_of(source) or _kind_by_content(path))
    elif exists:
        raise SourceError(f"{display_name(source)}: neither a file nor a folder.")
    else:
        yield from _files(_matches(source))


def _files(paths: Iterable[Path]) -> Iterator[Input | None]:
    for path in paths:
        kind = kind_of(path.name)
        try:
            yield None if kind is None else _input(path, kind)
        except FileNotFoundError:
            continue  # deleted since it was listed, or a link to nothing
        except _NotAFileError:
            yield None


def _input(path: Path, kind: Kind) -> Input:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except OSError:  # the worker will say what is wrong with it
        return Input(display_name(str(path)), str(path.absolute()), kind, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        raise _NotAFileError
    # Without "..", so that the same file given twice is one input; links stay, they may be two names on purpose.
    absolute = os.path.abspath(path)  # noqa: PTH100
    return Input(display_name(str(path)), absolute, kind, status.st_size, status.st_mtime_ns)


def _kind_by_content(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            return "picture" if read_header(file.read(64)).format != "unknown" else "video"
    except OSError as error:
        raise SourceError(f"{display_name(str(path))}: cannot be read: {error.strerror or error}.") from error


def _walk(folder: Path) -> Iterator[Path]:
    """Files of a folder, then of its subfolders, in natural order; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        name = display_name(str(error.filename or folder))
        raise SourceError(f"{name}: cannot be listed: {error.strerror or error}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_natural)
        for name in sorted((name for name in files if not name.startswith(".")), key=_natural):
            yield Path(place, name)


def _natural(name: str) -> Any:
    return natural_key(Path(name))


def _matches(pattern: str) -> list[Path]:
    import glob

    matches = sorted(
        (Path(match) for match in glob.glob(pattern, recursive=True)),  # noqa: PTH207 absolute patterns work here
        key=lambda path: (str(path.parent), natural_key(path)),
    )
    if not matches:
        raise SourceError(f"{display_source(pattern)}: no such file or folder, and no file matches it.")
    return [path for path in matches if path.is_file()]
