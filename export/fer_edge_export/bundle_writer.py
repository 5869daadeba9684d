"""Write a bundle whole or not at all: into a folder beside the target, verified as a device would, then renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.bundle_files import refuse_strays
from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.manifest import MANIFEST_NAME, Artefact, FileEntry, Golden, Manifest, TensorSpec, parse_manifest


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse a target early, before minutes of work.

    Raises:
        ConfigError: ``out`` exists and is not an empty folder, and ``overwrite`` is off or it holds no bundle.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out} is not a folder, so no bundle can be written there. Name another --out.")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise ConfigError(f"{out} is not empty and holds no bundle, so it is left alone. Name another --out.")
    if not overwrite:
        raise ConfigError(f"{out} already holds a bundle. Name another --out, or replace it with --overwrite.")


def describe_artefact(name: str, content: bytes, *, precision: str, input: TensorSpec, output: TensorSpec) -> Artefact:
    """The manifest entry of a model file; its format follows from the suffix."""
    return Artefact(name, Path(name).suffix.removeprefix("."), precision, len(content), _sha256(content), input, output)


def describe_file(name: str, content: bytes) -> FileEntry:
    """The manifest entry of any other file."""
    return FileEntry(name, len(content), _sha256(content))


def describe_golden(name: str, content: bytes, *, tolerance: float) -> Golden:
    """The manifest entry of the golden vectors."""
    return Golden(name, len(content), _sha256(content), tolerance)


def write_bundle(out: Path, manifest: Manifest, contents: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write, verify, rename.

    Args:
        out: the bundle folder.
        manifest: describes every file of ``contents``.
        contents: file name -> bytes, without the manifest itself.
        overwrite: replace the bundle that ``out`` holds; it stays in place until the new one is verified.

    Raises:
        BundleError: the new bundle does not verify; ``out`` is untouched.
        ConfigError: see `check_target`.
        OutputError: the disk refused.
    """
    check_target(out, overwrite=overwrite)
    text = manifest.to_json()
    parse_manifest(text)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir(mode=0o755)
            for name, content in {**contents, MANIFEST_NAME: text.encode()}.items():
                _write(fresh / name, content)
            verify_bundle(fresh)
            _swap(fresh, out, Path(scratch) / "old")
    except OSError as error:
        free = shutil.disk_usage(out.parent).free // 2**20 if out.parent.is_dir() else 0
        raise OutputError(
            f"The bundle {out} cannot be written: {error.strerror or error} ({free} MiB free)."
        ) from error


def verify_bundle(folder: Path) -> None:
    """Load a bundle and prove each of its models with its golden vectors.

    Raises:
        BundleError: names the file and the reason.
    """
    bundle = load_bundle(folder)
    refuse_strays(folder, bundle.manifest)
    for artefact in bundle.manifest.artefacts:
        bundle.open(artefact)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(fresh: Path, out: Path, aside: Path) -> None:
    """Rename ``fresh`` to ``out``; an earlier ``out`` is moved aside first and comes back if that fails."""
    if not out.exists():
        fresh.rename(out)
        return
    out.rename(aside)
    try:
        fresh.rename(out)
    except OSError:
        aside.rename(out)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
