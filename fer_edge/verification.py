"""Checks of a bundle to the last byte, each group with a verdict, so that all that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fer_edge_runtime.bundle_files import (
    BundleFolder,
    BundleZip,
    entries,
    manifest_bytes,
    open_files,
    refuse_strays,
    verified,
)
from fer_edge_runtime.errors import BundleError, MissingPackageError
from fer_edge_runtime.keys import PublicKey
from fer_edge_runtime.manifest import SIGNATURE_NAME, Manifest, parse_manifest
from fer_edge_runtime.signature import SIGNED, judge

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


class Check(NamedTuple):
    """One group of checks.

    Attributes:
        check: ``manifest``, ``signature``, ``files``, ``stray files``, ``golden vectors``, or the name of a model.
        status: ``ok``, ``failed`` or ``skipped``.
        found: for people: what agrees, what is wrong, or why it was skipped.
    """

    check: str
    status: str
    found: str


def verify(model: str, key: PublicKey | None = None) -> Iterator[Check]:
    """Check a bundle, cheap checks first; no model of one with a broken file or without the required signature is opened.

    Args:
        model: the name of a shipped bundle, a bundle folder or a zip of one.
        key: that has to have signed it; without one, no signature is checked.
    """
    try:
        files = open_files(model)
        signed = manifest_bytes(files)
        manifest = parse_manifest(signed)
    except BundleError as error:
        yield Check("manifest", FAILED, str(error))
        return
    about = f"{manifest.task}, {len(manifest.labels)} labels, {len(manifest.artefacts)} models"
    yield Check("manifest", OK, f"{manifest.name} {manifest.version}: {about}")
    signature = _signature(files, signed, key)
    if signature:
        yield signature
    content = _content(files, manifest)
    yield content
    if isinstance(files, BundleFolder):
        yield _strays(files, manifest)
    lacking = "with a broken file" if content.status != OK else "without the required signature"
    if content.status == OK and (signature is None or signature.status != FAILED):
        yield from _answers(model, key)
    else:
        yield from (
            Check(a.path, SKIPPED, f"not opened: no model of a bundle {lacking} is") for a in manifest.artefacts
        )


def _signature(files: BundleFolder | BundleZip, signed: bytes, key: PublicKey | None) -> Check | None:
    """Nothing when there is neither a signature nor somebody who asks for it."""
    if key is None:
        return Check("signature", SKIPPED, "present, not checked (no --key)") if files.holds(SIGNATURE_NAME) else None
    verdict = judge(files, signed, key)
    if verdict.state == SIGNED:
        return Check("signature", OK, verdict.found)
    return Check("signature", FAILED, f"{verdict.state}: {verdict.found}")


def _content(files: BundleFolder | BundleZip, manifest: Manifest) -> Check:
    wrong = []
    for entry in entries(manifest):
        try:
            verified(files, entry)
        except BundleError as error:
            wrong.append(str(error))
    if wrong:
        return Check("files", FAILED, "\n".join(wrong))
    return Check("files", OK, f"sizes and SHA-256 of {len(entries(manifest))} files agree with the manifest")


def _strays(files: BundleFolder, manifest: Manifest) -> Check:
    try:
        refuse_strays(files.path, manifest)
    except BundleError as error:
        return Check("stray files", FAILED, str(error))
    return Check("stray files", OK, "none")


def _answers(model: str, key: PublicKey | None) -> Iterator[Check]:
    from fer_edge_runtime.bundle import load_bundle

    try:
        bundle = load_bundle(model, key=key)
    except BundleError as error:
        yield Check("golden vectors", FAILED, str(error))
        return
    faces = len(bundle.crops)
    yield Check("golden vectors", OK, f"{faces} faces, answers of each model to them")
    for artefact in bundle.manifest.artefacts:
        try:
            engine = bundle.open(artefact)
        except MissingPackageError as error:
            yield Check(artefact.path, SKIPPED, f"engine package not installed. {error}")
        except BundleError as error:
            yield Check(artefact.path, FAILED, str(error))
        else:
            yield Check(artefact.path, OK, f"{faces} golden vectors agree on {engine.describe().line()}")
