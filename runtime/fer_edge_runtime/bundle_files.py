"""The files of a bundle, in a folder or a zip of one, each checked against the manifest. Nothing of them is run here."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import MANIFEST_NAME, MAX_FILE_BYTES, MAX_MANIFEST_BYTES, SIGNATURE_NAME, parse_manifest
from fer_edge_runtime.shipped import no_such_bundle, shipped_digest, shipped_folder

if TYPE_CHECKING:
    from fer_edge_runtime.keys import PublicKey
    from fer_edge_runtime.manifest import Artefact, FileEntry, Golden, Manifest

# What `zipfile` raises on members that are damaged, encrypted or absent. MemoryError: sizes that nothing could hold.
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, KeyError, MemoryError)
LISTED_STRAYS = 5


def open_files(path: str | Path) -> BundleFolder | BundleZip:
    """The files of a bundle folder, of a zip of one, or of a shipped bundle by its name.

    Raises:
        BundleError: there is no such thing.
    """
    shipped = shipped_folder(path)
    if shipped:
        return BundleFolder(shipped, shipped_digest(shipped.name))
    place = Path(path)
    try:
        folder, file = place.is_dir(), place.is_file()
    except OSError as error:
        raise BundleError(f"{path} cannot be looked at: {error.strerror or error}.") from error
    if folder:
        return BundleFolder(place)
    if file:
        if place.suffix in (".tflite", ".onnx"):
            raise BundleError(
                f"{place} is a lone model. Give the bundle folder that holds it together with {MANIFEST_NAME}."
            )
        return BundleZip(place)
    raise BundleError(no_such_bundle(path))


def manifest_bytes(files: BundleFolder | BundleZip) -> bytes:
    """The manifest as it lies there; one that is too long is cut, and `parse_manifest` refuses it.

    Raises:
        BundleError: it cannot be read, or is not the one that this package was released with.
    """
    content = files.read(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    if files.released and hashlib.sha256(content).hexdigest() != files.released:
        raise BundleError(
            f"{files.path / MANIFEST_NAME} is not the one that fer-edge was released with. Reinstall fer-edge; whoever changed it on "
            "purpose runs scripts/shipped_digests.py."
        )
    return content


def read_manifest(files: BundleFolder | BundleZip, key: PublicKey | None = None) -> Manifest:
    """What the bundle says about itself.

    Args:
        files: the bundle's.
        key: that has to have signed it; None takes it unsigned.

    Raises:
        BundleError: names the key, what was received and what is allowed; or the key did not sign the manifest.
    """
    content = manifest_bytes(files)
    if key:
        from fer_edge_runtime.signature import refuse_unsigned

        refuse_unsigned(files, content, key)
    return parse_manifest(content)


def entries(manifest: Manifest) -> tuple[Artefact | FileEntry | Golden, ...]:
    """Every file that the manifest vouches for."""
    return (*manifest.artefacts, *manifest.files, manifest.golden)


def verified(files: BundleFolder | BundleZip, entry: Artefact | FileEntry | Golden) -> bytes:
    """A file's content, when it is what the manifest says.

    Raises:
        BundleError: it is missing, or its size or SHA-256 differ.
    """
    content = files.read(entry.path, entry.size_bytes)
    if len(content) != entry.size_bytes:
        more = "more than " if len(content) > entry.size_bytes else ""
        raise BundleError(
            f"{entry.path} has {more}{min(len(content), entry.size_bytes)} bytes, the manifest says {entry.size_bytes}: "
            "truncated or changed."
        )
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise BundleError(
            f"{entry.path} is not the file that was exported: SHA-256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…."
        )
    return content


def refuse_strays(folder: Path, manifest: Manifest) -> None:
    """A folder holds what its manifest names, at most a signature, and nothing else.

    Raises:
        BundleError: names what else there is.
    """
    named = {MANIFEST_NAME, SIGNATURE_NAME, *(entry.path for entry in entries(manifest))}
    strays = sorted(entry.name for entry in folder.iterdir() if entry.name not in named)
    if strays:
        more = f" and {len(strays) - LISTED_STRAYS} more" if len(strays) > LISTED_STRAYS else ""
        raise BundleError(
            f"{folder} holds {', '.join(strays[:LISTED_STRAYS])}{more}, which its manifest does not name."
        )


class BundleFolder:
    """Files of a folder; links and anything else that is no plain file are refused."""

    def __init__(self, folder: Path, released: str = "") -> None:
        """Nothing is read yet.

        Args:
            folder: where they are.
            released: SHA-256 that a shipped bundle's manifest has to have; empty for others, which only a signature vouches for.
        """
        self.path = folder
        self.released = released

    def holds(self, name: str) -> bool:
        """Whether something of that name is there."""
        path = self.path / name
        return path.is_symlink() or path.exists()

    def read(self, name: str, limit: int) -> bytes:
        """At most ``limit`` + 1 bytes of a file."""
        path = self.path / name
        if path.is_symlink():
            raise BundleError(f"{path} is a link; a bundle holds plain files only.")
        if path.exists() and not path.is_file():
            raise BundleError(f"{path} is no file; a bundle holds plain files only.")
        try:
            with path.open("rb") as file:
                return file.read(limit + 1)
        except FileNotFoundError as error:
            raise BundleError(f"{path} is missing.") from error
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}.") from error


class BundleZip:
    """Members are read by exact name into memory, never unpacked, so neither links nor paths inside can do harm."""

    released = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            raise BundleError(f"{path} is neither a bundle folder nor a readable zip of one: {error}") from error
        check_members(self._archive, str(path))

    def holds(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self._archive.namelist()

    def read(self, name: str, limit: int) -> bytes:
        """At most ``limit`` + 1 bytes of a member."""
        try:
            with self._archive.open(name) as member:
                return member.read(limit + 1)
        except KeyError as error:
            raise BundleError(f"{self.path}: {name} is missing.") from error
        except UNREADABLE as error:
            raise BundleError(f"{self.path}: {name} cannot be read: {error}") from error


def check_members(archive: zipfile.ZipFile, name: str) -> None:
    """Plain files of sound size under plain names, no two alike, nothing but the two compressions that everybody writes."""
    names = [member.filename.casefold() for member in archive.infolist()]
    if len(set(names)) != len(names):
        raise BundleError(f"{name} holds two members with the same name.")
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{name} holds a member that is not stored or deflated.")
        if {"\0", "\\"} & set(member.orig_filename):
            raise BundleError(f"{name} holds {member.orig_filename!r}, which is no plain file name.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise BundleError(f"{name}: {member.filename} is a link; a bundle holds plain files only.")
        if member.file_size > MAX_FILE_BYTES:
            raise BundleError(
                f"{name}: {member.filename} claims {member.file_size} bytes; at most {MAX_FILE_BYTES} are read."
            )
