"""``fer-edge models``: which bundles there are, what one says about itself, whether it is whole."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.model_facts import accuracy_words, describe, headline, int8_tflite, megabytes, own_split, printable, table
from fer_edge.verification import FAILED, OK, SKIPPED, Check, verify
from fer_edge_runtime.bundle_files import BundleFolder, BundleZip, entries, open_files, read_manifest, verified
from fer_edge_runtime.errors import BundleError, ConfigError
from fer_edge_runtime.keys import PublicKey, read_public_key
from fer_edge_runtime.manifest import Manifest
from fer_edge_runtime.shipped import shipped_folder, shipped_names

CARD = "README.md"
CHECK_COLUMN = 18
LISTED = 5
_COLOURS = {OK: "32", SKIPPED: "33", FAILED: "31"}
_COLUMNS = ("model", "version", "task", "labels", "input", "int8 TFLite", "PrivateTest, int8", "where")


def list_command(more: list[str], *, as_json: bool) -> None:
    """One row a bundle: the shipped ones, then ``more``; exit code 5 when one is broken, the others are shown all the same."""
    found = [_entry(model) for model in dict.fromkeys((*shipped_names(), *more))]
    if as_json:
        _print_json({"bundles": found})
    else:
        _print_list(found)
    broken = [entry["model"] for entry in found if not entry["ok"]]
    if broken:
        raise BundleError(
            f"{_refused(broken, len(found))} fer-edge models verify NAME or PATH says all that is wrong with one."
        )


def info_command(model: str, *, card: bool, as_json: bool) -> None:
    """Everything a bundle says about itself, or its model card on stdout."""
    if card and as_json:
        raise ConfigError("--card prints the model card as it is, --json everything else; give one of them.")
    files, manifest = _checked(model)
    if card:
        sys.stdout.buffer.write(_card_content(files, manifest))
    elif as_json:
        place = _card_place(files, manifest)
        _print_json(
            {"model": model, "where": _where(files), "card": place or None, "manifest": json.loads(manifest.to_json())}
        )
    else:
        for line in describe(manifest, where=_where(files), card=_card_place(files, manifest)):
            sys.stderr.write(f"{line}\n")


def verify_command(models: list[str], *, key: Path | None, as_json: bool) -> None:
    """Check bundles, the shipped ones when none is given, and whether ``key`` signed them; exit code 5 when one fails."""
    public = read_public_key(key) if key else None
    asked = list(dict.fromkeys(models)) or list(shipped_names())
    results = {model: _verify(model, public, quiet=as_json) for model in asked}
    failed = [model for model, checks in results.items() if any(check.status == FAILED for check in checks)]
    if as_json:
        _print_json({
            "ok": not failed,
            "bundles": [
                {"model": model, "ok": model not in failed, "checks": [check._asdict() for check in checks]}
                for model, checks in results.items()
            ],
        })  # fmt: skip
    if failed:
        raise BundleError(
            f"{_refused(failed, len(asked))} A damaged bundle has to be copied, exported or installed again"
            f"{', an unsigned one signed: fer-edge models sign' if key else ''}."
        )


def _entry(model: str) -> dict[str, Any]:
    """A row of the list, for programs; the table is made from it."""
    entry: dict[str, Any] = {"model": model, "shipped": shipped_folder(model) is not None}
    try:
        files, manifest = _checked(model)
    except BundleError as error:
        return entry | {"ok": False, "where": str(shipped_folder(model) or Path(model).absolute()), "reason": str(error)}  # fmt: skip
    artefact, figure = int8_tflite(manifest), headline(manifest)
    measured = figure and {
        "artefact": figure.artefact, "n": figure.n, "accuracy": figure.accuracy, "interval95": figure.interval,
        "macro_f1": figure.macro_f1, "data_split": own_split(manifest) or "usage",
    }  # fmt: skip
    return entry | {
        "ok": True, "where": _where(files), "name": manifest.name, "version": manifest.version, "task": manifest.task,
        "labels": list(manifest.labels), "input_size": manifest.preprocess.input_size,
        "int8_tflite_bytes": artefact and artefact.size_bytes, "private_test": measured,
    }  # fmt: skip


def _print_list(found: list[dict[str, Any]]) -> None:
    lines = table([_COLUMNS, *map(_row, found)])
    sys.stderr.write(f"{lines[0]}\n")
    for line, entry in zip(lines[1:], found, strict=True):
        reason = "" if entry["ok"] else f"  → refused: {printable(entry['reason'])}\n"
        sys.stderr.write(f"{line}\n{reason}")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    # What --model takes for a shipped bundle; the others are told apart by their place.
    name = entry["model"] if entry["shipped"] else entry.get("name", Path(entry["model"]).name)
    if not entry["ok"]:
        return (printable(name), "", "", "", "", "", "", printable(entry["where"]))
    size, figure, side = entry["int8_tflite_bytes"], entry["private_test"], entry["input_size"]
    split = f", split {figure['data_split']}" if figure and figure["data_split"] != "usage" else ""
    cells = (
        name, entry["version"], entry["task"], str(len(entry["labels"])), f"{side}×{side}", megabytes(size) if size else "",
        f"{accuracy_words(figure['accuracy'], figure['interval95'])}{split}" if figure else "", entry["where"],
    )  # fmt: skip
    return tuple(map(printable, cells))


def _checked(model: str) -> tuple[BundleFolder | BundleZip, Manifest]:
    """A bundle's manifest, believed only when every file is the one it names."""
    files = open_files(model)
    manifest = read_manifest(files)
    for entry in entries(manifest):
        verified(files, entry)
    return files, manifest


def _where(files: BundleFolder | BundleZip) -> str:
    return str(files.path.absolute())


def _card_place(files: BundleFolder | BundleZip, manifest: Manifest) -> str:
    if all(entry.path != CARD for entry in manifest.files):
        return ""
    return str(files.path.absolute() / CARD) if isinstance(files, BundleFolder) else f"{CARD} in {_where(files)}"


def _card_content(files: BundleFolder | BundleZip, manifest: Manifest) -> bytes:
    entry = next((entry for entry in manifest.files if entry.path == CARD), None)
    if entry is None:
        raise BundleError(f"The bundle '{manifest.name}' has no model card: its manifest names no {CARD}.")
    return verified(files, entry)


def _verify(model: str, key: PublicKey | None, *, quiet: bool) -> list[Check]:
    """Checks of one bundle, each printed as soon as it is known."""
    place = shipped_folder(model)
    if not quiet:
        sys.stderr.write(f"{printable(model)}{f' ({place})' if place else ''}\n")
    checks = []
    for check in verify(model, key):
        checks.append(check)
        if not quiet:
            sys.stderr.write(_line(check))
            sys.stderr.flush()
    return checks


def _line(check: Check) -> str:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    status = f"{check.status:<7}"
    status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m" if colour else status
    found = f"\n{'':{CHECK_COLUMN + 13}}".join(map(printable, check.found.splitlines()))
    return f"  {status}  {printable(check.check):<{CHECK_COLUMN}}  {found}\n"


def _refused(models: list[str], asked: int) -> str:
    more = f" and {len(models) - LISTED} more" if len(models) > LISTED else ""
    return f"{len(models)} of {asked} bundle{'s' if asked > 1 else ''} refused: {', '.join(map(printable, models[:LISTED]))}{more}."


def _print_json(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema": 1, "fer_edge": __version__, **record}, indent=1) + "\n")
