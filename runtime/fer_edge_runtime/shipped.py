"""The bundles inside this package: every folder of ``assets`` with a manifest is one, under the folder's name."""

from __future__ import annotations

import json
from pathlib import Path

from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import MANIFEST_NAME

ASSETS = Path(__file__).parent / "assets"
DEFAULT = "default"
MAX_NAME = 100
DIGESTS_NAME = "digests.json"


def shipped_names() -> tuple[str, ...]:
    """Names of the shipped bundles, the default first and always: where its files are gone, somebody has to hear of it."""
    names = {entry.parent.name for entry in ASSETS.glob(f"*/{MANIFEST_NAME}")} - {DEFAULT}
    return (DEFAULT, *sorted(names))


def shipped_folder(name: str | Path) -> Path | None:
    """The folder of a shipped bundle; ``None`` for anything that is not the name of one, a `Path` among it."""
    if name == DEFAULT:  # without a look at the disk: when its files are gone, loading says which
        return ASSETS / DEFAULT
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or Path(name).name != name:
        return None
    folder = ASSETS / name
    return folder if (folder / MANIFEST_NAME).is_file() else None


def shipped_digest(name: str) -> str:
    """SHA-256 of a shipped bundle's manifest, as it was released; ``scripts/shipped_digests.py`` writes the file.

    Raises:
        BundleError: it cannot be found out.
    """
    try:
        return str(json.loads((ASSETS / DIGESTS_NAME).read_bytes())[name])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(
            f"{ASSETS / DIGESTS_NAME} does not say what the shipped bundle '{name}' has to be. Reinstall fer-edge; whoever added the "
            "bundle runs scripts/shipped_digests.py."
        ) from error


def no_such_bundle(path: str | Path) -> str:
    """What to tell somebody whose ``path`` is neither a shipped name nor a bundle."""
    import difflib

    names = shipped_names()
    close = difflib.get_close_matches(path.casefold(), names, n=1) if isinstance(path, str) else []
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return (
        f"There is no bundle at {path}.{hint} Give a bundle folder, a zip of one, or the name of a shipped bundle: "
        f"{', '.join(names)}."
    )
