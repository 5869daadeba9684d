"""What a target is, and which there are."""

from __future__ import annotations

import importlib
import random
import tempfile
from pathlib import Path
from typing import Protocol

# name -> module, class, and cases of a thousand. Cheap ones get more; at a million none gets under 20,000.
TARGETS = {
    "pictures": ("pictures", "Pictures", 130),
    "manifests": ("documents", "Manifests", 190),
    "signatures": ("documents", "Signatures", 80),
    "addresses": ("settings", "Addresses", 180),
    "recipes": ("settings", "Recipes", 60),
    "maps": ("settings", "Maps", 80),
    "baselines": ("settings", "Baselines", 60),
    "keys": ("settings", "Keys", 40),
    "bundles": ("bundles", "Bundles", 40),
    "golden": ("bundles", "GoldenVectors", 30),
    "csv": ("tables", "Csv", 25),
    "votes": ("tables", "Votes", 25),
    "parquet": ("tables", "Parquet", 20),
    "commands": ("commands", "Commands", 20),
    "http": ("http", "Http", 20),
}


class Target(Protocol):
    """One reader and how to make inputs for it."""

    def make(self, dice: random.Random) -> bytes:
        """An input; the same dice make the same one."""
        ...

    def run(self, data: bytes) -> None:
        """Give it to the reader: returns when it is accepted.

        Raises:
            FerEdgeError: it is refused, which is as good. Anything else is a bug.
        """
        ...


def open_target(name: str) -> Target:
    """Import and prepare a target."""
    module, kind, _ = TARGETS[name]
    target: Target = getattr(importlib.import_module(f"fuzzing.{module}"), kind)()
    return target


class InFile:
    """For readers that want a path: one file in a folder of its own."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fer-edge-fuzz-"))
        self.path = self.folder / name

    def put(self, data: bytes, suffix: str = "") -> Path:
        """Write it, under another suffix where one is given."""
        path = self.path.with_suffix(suffix) if suffix else self.path
        path.write_bytes(data)
        return path
