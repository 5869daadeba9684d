"""Bundles as zips, and the golden vectors inside, with sizes and SHA-256 that agree: a forger's."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.shipped import ASSETS
from fuzzing.mutation import EDGES, spoiled_bytes
from fuzzing.target import InFile

MODELS = {"model.int8.tflite": b"t" * 300, "model.int8.onnx": b"o" * 300}
NAMES = (
    "manifest.json", "MANIFEST.JSON", "manifest.sig", "../manifest.json", "/etc/passwd", "a\\b", "golden.npz", "golden.npz/", "x\0y", "",
    "model.int8.tflite", "é" * 100, "n" * 60_000,
)  # fmt: skip
NPY_HEADS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 48, 48), }", "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 48, 48), }",
    "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (2,), }", "{'descr': '|V0', 'fortran_order': 1, 'shape': (9,), }",
    "{'descr': '<U99999999', 'fortran_order': False, 'shape': (2,), }", "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 2.0)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2,2**62,2**62)}", "{1: 2, 'a': 3, None: 4}", "(" * 200, "[" * 5000, "__import__('os')", "",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296)}", "{'descr': 'M8[ns]', 'fortran_order': False, 'shape': ()}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 48L, 48L), }", "{'descr': None, 'fortran_order': None, 'shape': None}",
)  # fmt: skip


def golden_arrays(classes: int) -> dict[str, Any]:
    """Two faces and an answer of each model."""
    vectors = np.full((2, classes), 1 / classes, np.float32)
    return {"crops": np.zeros((2, 48, 48), np.uint8), **dict.fromkeys(MODELS, vectors)}


def packed(arrays: dict[str, Any]) -> bytes:
    """As ``.npz``."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


class _Maker:
    """Members of a small bundle, whose manifest vouches for whatever they are."""

    def __init__(self) -> None:
        self._file = InFile("bundle.zip")
        self._manifest = json.loads((ASSETS / "default" / "manifest.json").read_text())
        self._golden = packed(golden_arrays(len(self._manifest["labels"])))

    def members(self, golden: bytes) -> dict[str, bytes]:
        contents = {**MODELS, "golden.npz": golden}
        manifest = {**self._manifest, "files": []}
        for entry in (*manifest["artefacts"], manifest["golden"]):
            content = contents[entry["path"]]
            entry["size_bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        return {"manifest.json": json.dumps(manifest).encode(), **contents}

    def run(self, data: bytes) -> None:
        """As ``--model bundle.zip`` does, short of starting the model."""
        bundle = load_bundle(self._file.put(data))
        assert len(bundle.crops) == 2


class Bundles(_Maker):
    """Zips with odd members, or damaged as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._members = self.members(self._golden)

    def make(self, dice: random.Random) -> bytes:
        """A bundle's zip with one to three things wrong."""
        way = dice.randrange(4)
        data = _zip(dice, self._members, odd=way > 0)
        if way in (0, 1):
            end = data.rfind(b"PK\5\6")
            start = data.find(b"PK\1\2")
            at = dice.choice((0, start, start, end))
            data = data[:at] + spoiled_bytes(
                dice, data[at:] or b"x", (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7")
            )
        return data


def _zip(dice: random.Random, members: dict[str, bytes], *, odd: bool) -> bytes:
    """A zip written by hand, so that it can lie."""
    entries = [[name.encode(), body] for name, body in members.items()]
    if odd and dice.random() < 0.5:
        entries.insert(
            dice.randrange(len(entries) + 1),
            [dice.choice(NAMES).encode(), dice.choice((b"", b"/etc/passwd", *members.values()))],
        )
    if odd and dice.random() < 0.1:
        entries += [[f"{number}".encode(), b""] for number in range(dice.choice((300, 3000)))]
    liar = dice.randrange(len(entries)) if odd else -1
    locals_, central = bytearray(), bytearray()
    for position, (name, body) in enumerate(entries):
        method = dice.choice((0, 8))
        stored = body
        if method:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            stored = packer.compress(body) + packer.flush()
        head = {
            "made": 20, "need": 20, "flags": 0, "method": method, "time": 0, "date": 33, "crc": zlib.crc32(body), "stored": len(stored),
            "size": len(body), "name": len(name), "extra": 0, "comment": 0, "disk": 0, "inner": 0, "outer": 0, "at": len(locals_),
        }  # fmt: skip
        extra = b""
        if position == liar:
            way = dice.randrange(6)
            if way == 0:
                head["outer"] = 0o120777 << 16
            elif way == 1:
                head["flags"] = dice.choice((1, 0x41, 0x800, 0x2000, 8))
            elif way == 2:
                extra = struct.pack(
                    "<HHQQQ", 1, 24, *(dice.choice((*EDGES, 10**10, 2**63, 2**64 - 1)) for _ in range(3))
                )
                head |= {
                    "size": 0xFFFFFFFF,
                    "stored": 0xFFFFFFFF,
                    "at": dice.choice((0xFFFFFFFF, head["at"])),
                    "extra": len(extra),
                }
            elif way == 3:
                body = b"\0" * 3_000_000
                packer = zlib.compressobj(9, zlib.DEFLATED, -15)
                stored = packer.compress(body) + packer.flush()
                head |= {
                    "method": 8,
                    "stored": len(stored),
                    "crc": zlib.crc32(body),
                    "size": dice.choice((len(body), head["size"])),
                }
            else:
                key = dice.choice(list(head))
                head[key] = dice.choice(EDGES) % (2**32 if key in ("crc", "stored", "size", "outer", "at") else 2**16)
        local = [head[key] for key in ("need", "flags", "method", "time", "date", "crc", "stored", "size", "name")]
        locals_ += struct.pack("<4s5H3I2H", b"PK\3\4", *local, 0) + name + stored
        central += struct.pack("<4s6H3I5H2I", b"PK\1\2", *head.values()) + name + extra
    count = len(entries) % 2**16
    return bytes(
        locals_ + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(central), len(locals_), 0)
    )


class GoldenVectors(_Maker):
    """``golden.npz`` with odd arrays, in a bundle that vouches for it."""

    def make(self, dice: random.Random) -> bytes:
        """The whole bundle as a zip."""
        arrays = golden_arrays(len(self._manifest["labels"]))
        name = dice.choice(list(arrays))
        way = dice.randrange(5)
        if way == 0:
            arrays[name] = dice.choice((
                np.zeros((2, 48, 48, 3), np.uint8), np.zeros((0, 48, 48), np.uint8), np.zeros(7), np.array("x"), np.zeros((2, 0)),
                np.full((2, 7), np.nan, np.float32), np.zeros((300, 48, 48), np.uint8), np.zeros((2, 48, 48), np.complex64),
            ))  # fmt: skip
            golden = packed(arrays)
        elif way == 1:
            golden = spoiled_bytes(dice, packed(arrays))
        else:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
                for key, array in arrays.items():
                    part = io.BytesIO()
                    np.save(part, array)
                    body = part.getvalue()
                    if key == name:
                        body = spoiled_bytes(dice, body[:128]) + body[128:] if way == 2 else _npy(dice, body[128:])
                    archive.writestr(f"{key}.npy", body)
            golden = stream.getvalue()
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for key, body in self.members(golden).items():
                archive.writestr(key, body)
        return stream.getvalue()


def _npy(dice: random.Random, body: bytes) -> bytes:
    head = dice.choice(NPY_HEADS).encode() + b"\n"
    version = dice.choice((1, 1, 2, 3, 9))
    length = struct.pack("<H" if version == 1 else "<I", dice.choice((len(head), len(head), 0, 65535)))
    return b"\x93NUMPY" + bytes((version, 0)) + length + head + body
