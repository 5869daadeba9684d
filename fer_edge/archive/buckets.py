"""Object storage through Arrow's own file systems, which come with pyarrow: S3 and what speaks like it, Google Cloud, local.

Credentials come from where each library looks for them (environment, configuration, instance role), or from the address.
What is shown, stored or raised never holds them.
"""

from __future__ import annotations

import fnmatch
import re
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any
from urllib.parse import unquote

from fer_edge.archive.inputs import Input, kind_of
from fer_edge_runtime.errors import ConfigError, MissingPackageError, SourceError
from fer_edge_runtime.sources.base import display_name

SCHEMES = ("s3", "gs", "file")
CHUNK_BYTES = 4 * 2**20


class _Address:
    """``scheme://[user:password@]bucket/key[?options]``, taken apart."""

    def __init__(self, url: str) -> None:
        # A password may hold "#" or a key "?" only when they are escaped; "*" and "[" of a pattern are kept as they are.
        self.scheme, rest = url.split("://", 1)
        if self.scheme not in SCHEMES:
            # What is no scheme belongs to a mistyped address, which may hold a password.
            shown = f"{self.scheme}://" if re.fullmatch(r"[A-Za-z][\w+.-]*", self.scheme) else "The address given"
            raise SourceError(
                f"{shown} cannot be annotated; {', '.join(f'{name}://' for name in SCHEMES)}, files "
                "and folders can. Download it first."
            )
        authority, slash, key = rest.partition("/")
        options = ""
        if "endpoint_override=" in rest or re.search(r"\?\w+=", rest):
            authority_or_key, _, options = rest.rpartition("?")
            authority, slash, key = authority_or_key.partition("/")
        self.secrets, at, self.bucket = authority.rpartition("@")
        self.key = slash + key if self.scheme == "file" else key
        self.root = f"{self.scheme}://{self.bucket}"
        self.opens = f"{self.scheme}://{self.secrets}{at}{self.bucket}" + (f"?{options}" if options else "")
        self.options = options

    def shown(self, key: str) -> str:
        """A key of this bucket as an address without credentials."""
        return f"{self.root}{'' if self.scheme == 'file' else '/'}{key}"


def list_bucket(url: str, buckets: dict[str, str]) -> Iterator[Input | None]:
    """The inputs under an address; None for each file that is neither a picture nor a video.

    Args:
        url: a file, a "folder" (everything under it), or a pattern in its last parts, such as ``s3://b/2024/*.jpg``.
        buckets: gets the address that opens the bucket.

    Raises:
        SourceError: it does not exist or cannot be listed.
    """
    address = _Address(url)
    buckets[address.root] = address.opens
    filesystem, root = _open(address.opens)
    from pyarrow.fs import FileSelector, FileType

    fixed, pattern = _split_pattern(address.key)
    top = _join(root, fixed)
    try:
        (info,) = filesystem.get_file_info([top]) if top else (None,)
        if info is not None and info.type == FileType.File and not pattern:
            yield _input(address, root, info, kind_of(top) or "video")
            return
        selector = FileSelector(top, recursive=True, allow_not_found=False)
        found = sorted((entry for entry in filesystem.get_file_info(selector)), key=lambda entry: str(entry.path))
    except (OSError, ValueError) as error:
        raise _failed(address, fixed, error) from None
    for entry in found:
        key = _key(root, entry.path)
        if entry.type != FileType.File or any(part.startswith(".") for part in key.removeprefix(fixed).split("/")):
            continue
        if pattern and not fnmatch.fnmatchcase(key, address.key):
            continue
        kind = kind_of(key)
        yield None if kind is None else _input(address, root, entry, kind)


class Buckets:
    """Opens the files of buckets for one worker, and remembers the connections."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """Take what `list_inputs` found; nothing is opened yet."""
        self._addresses = dict(addresses)
        self._open: dict[str, tuple[Any, str]] = {}
        self._turn = threading.Lock()

    def read(self, path: str, limit: int) -> bytes:
        """A whole file, or its first ``limit`` + 1 bytes.

        Raises:
            SourceError: it cannot be read.
        """
        address = _Address(path)
        try:
            with self._stream(address) as stream:
                return bytes(stream.read(limit + 1))
        except (OSError, ValueError) as error:
            raise _failed(self._secret(address), address.key, error) from None

    def download(self, path: str, into: IO[bytes]) -> Iterator[int]:
        """Copy a file; gives the bytes of each piece.

        Raises:
            SourceError: it cannot be read.
        """
        address = _Address(path)
        try:
            with self._stream(address) as stream:
                while piece := stream.read(CHUNK_BYTES):
                    into.write(piece)
                    yield len(piece)
        except (OSError, ValueError) as error:
            raise _failed(self._secret(address), address.key, error) from None
        into.flush()

    def _stream(self, address: _Address) -> Any:
        with self._turn:
            if address.root not in self._open:
                self._open[address.root] = _open(self._addresses[address.root])
        filesystem, root = self._open[address.root]
        return filesystem.open_input_stream(_join(root, address.key))

    def _secret(self, address: _Address) -> _Address:
        return _Address(self._addresses.get(address.root, address.root))


def _open(url: str) -> tuple[Any, str]:
    """File system and the bucket's path in it."""
    try:
        from pyarrow import fs
    except ImportError:
        raise MissingPackageError("pyarrow", "annotate", "buckets are read through it") from None
    if url.startswith("file://"):
        return fs.LocalFileSystem(), ""
    address = _Address(url)
    if not address.bucket:
        raise ConfigError(f"{address.root}: no bucket in this address. Give {address.scheme}://BUCKET/FOLDER.")
    try:
        filesystem, path = fs.FileSystem.from_uri(url)
    except (OSError, ValueError, NotImplementedError) as error:
        raise _failed(address, "", error) from None
    return filesystem, str(path)


def _input(address: _Address, root: str, info: Any, kind: Any) -> Input:
    shown = address.shown(_key(root, info.path))
    return Input(display_name(shown), shown, kind, int(info.size or 0), int(info.mtime_ns or 0))


def _join(root: str, key: str) -> str:
    return f"{root.rstrip('/')}/{key.strip('/')}".rstrip("/") if root else key.rstrip("/")


def _key(root: str, path: str) -> str:
    return path[len(root) :].lstrip("/") if root else path


def _split_pattern(key: str) -> tuple[str, bool]:
    """The part in front of the first wildcard, up to its last slash, and whether there is one."""
    wildcard = re.search(r"[*?\[]", key)
    return (key[: wildcard.start()].rpartition("/")[0], True) if wildcard else (key, False)


def _failed(address: _Address, key: str, error: Exception) -> SourceError:
    """One line about what went wrong, without anything secret."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    user, _, password = address.secrets.partition(":")
    for secret in (address.opens, address.secrets, password, user, unquote(password), unquote(user), address.options):
        if secret:
            text = text.replace(secret, "***")
    text = re.sub(r"(Detail|X-Amz-[A-Za-z-]+=)[^ ]*", "", text)
    return SourceError(f"{display_name(address.shown(key))}: cannot be read: {display_name(text)[:300].rstrip('.: ')}.")
