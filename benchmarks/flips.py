#!/usr/bin/env python3
"""Change one byte of each shipped model file, at many places, and see that no bundle and no detector loads.

    python benchmarks/flips.py [--positions 10000] [--seed 0]

A bundle is opened by its name, as `fer-edge run` does, from a copy of the assets, in memory (/dev/shm) where there is one.
Places are random, first and last byte among them; a file with fewer bytes has all of them changed.
Exit code 1 when anything loads, or is refused by another error than `BundleError`.
The figures go to results/reliability.json, section `flips`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fer_edge_runtime import shipped
from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.detect import blazeface
from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.manifest import parse_manifest


def flips(positions: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Counts by file, and what loaded although it was changed."""
    memory = Path("/dev/shm")  # noqa: S108 the files are ours, in a folder that is
    place = Path(tempfile.mkdtemp(prefix="fer-edge-flips-", dir=memory if memory.is_dir() else None))
    original = shipped.ASSETS
    counts: dict[str, Any] = {}
    loaded: list[str] = []
    try:
        assets = place / "assets"
        shutil.copytree(original, assets)
        shipped.ASSETS = blazeface.ASSETS = assets
        for file, opened in shipped_files(assets):
            opened()  # unchanged it loads
            tried = _flip(file, opened, positions, random.Random(f"{seed}/{file.name}"), loaded)
            counts[str(file.relative_to(assets))] = {"bytes": file.stat().st_size, "positions": tried}
    finally:
        shipped.ASSETS = blazeface.ASSETS = original
        shutil.rmtree(place)
    return counts, loaded


def shipped_files(assets: Path) -> list[tuple[Path, Callable[[], Any]]]:
    """Every file that a run reads or a bundle vouches for, and how the program opens it."""
    files: list[tuple[Path, Callable[[], Any]]] = []
    for name in shipped.shipped_names():
        manifest = parse_manifest((assets / name / "manifest.json").read_bytes())
        entries = ["manifest.json", *(entry.path for entry in (*manifest.artefacts, manifest.golden, *manifest.files))]
        files += [(assets / name / entry, lambda name=name: load_bundle(name)) for entry in entries]
    files.append((assets / shipped.DIGESTS_NAME, _all_bundles))
    for network in blazeface._NETWORKS.values():
        files.append((assets / network.asset, lambda network=network: blazeface._read_asset(network)))
    return files


def _all_bundles() -> None:
    for name in shipped.shipped_names():
        load_bundle(name)


def _flip(file: Path, opened: Callable[[], Any], positions: int, dice: random.Random, loaded: list[str]) -> int:
    size = file.stat().st_size
    count = min(size, positions)
    places = sorted({0, size - 1, *dice.sample(range(1, size - 1), max(count - 2, 0))})
    with file.open("r+b", buffering=0) as handle:
        for at in places:
            handle.seek(at)
            right = handle.read(1)
            handle.seek(at)
            handle.write(bytes((right[0] ^ 1 << dice.randrange(8),)))
            try:
                opened()
                loaded.append(f"{file.name}, byte {at}: it loads")
            except BundleError:
                pass
            except Exception as error:
                loaded.append(f"{file.name}, byte {at}: {type(error).__name__}: {error}")
            handle.seek(at)
            handle.write(right)
    return len(places)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=10_000, help="of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="do not write results/reliability.json")
    options = parser.parse_args()
    counts, loaded = flips(options.positions, options.seed)
    if not options.dry_run:
        from reliability import record

        record("flips", {"seed": options.seed, "files": counts, "loaded": loaded})
    print(json.dumps(counts, indent=1))
    for problem in loaded:
        print(f"Broken: {problem}")
    return bool(loaded)


if __name__ == "__main__":
    sys.exit(main())
