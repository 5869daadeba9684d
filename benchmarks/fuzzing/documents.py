"""JSON that a bundle brings along: its manifest and its signature."""

from __future__ import annotations

import json
import random

from fer_edge_runtime.manifest import parse_manifest
from fer_edge_runtime.shipped import ASSETS
from fer_edge_runtime.signature import Signature, parse_signature
from fuzzing.mutation import json_text, spoiled_bytes, spoiled_tree


class Manifests:
    """`parse_manifest`."""

    def __init__(self) -> None:
        self._text = (ASSETS / "default" / "manifest.json").read_bytes()
        self._tree = json.loads(self._text)

    def make(self, dice: random.Random) -> bytes:
        """The shipped one, changed as a tree or as bytes."""
        if dice.random() < 0.2:
            return spoiled_bytes(dice, self._text)
        return json_text(dice, spoiled_tree(dice, self._tree))

    def run(self, data: bytes) -> None:
        """What is accepted can be shown to people, and written and read again."""
        manifest = parse_manifest(data)
        for text in (manifest.name, manifest.version, manifest.task, manifest.created, *manifest.labels):
            text.encode()
            assert text.isprintable(), text
        assert parse_manifest(manifest.to_json())._replace(metrics=(), provenance={}) == manifest._replace(
            metrics=(), provenance={}
        )


class Signatures:
    """`parse_signature`."""

    def __init__(self) -> None:
        self._text = Signature("0123456789abcdef", bytes(range(64))).to_json().encode()
        self._tree = json.loads(self._text)

    def make(self, dice: random.Random) -> bytes:
        """A well-formed one, changed."""
        if dice.random() < 0.4:
            return spoiled_bytes(dice, self._text)
        return json_text(dice, spoiled_tree(dice, self._tree))

    def run(self, data: bytes) -> None:
        """What is accepted has 64 bytes."""
        assert len(parse_signature(data).value) == 64
