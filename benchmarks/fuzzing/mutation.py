"""Ways to spoil bytes, texts and trees of values."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Sequence
from typing import Any

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
ODD_TEXTS = (
    "", " ", "\0", "\n", "\u202e", "\ud800", "é", "e\u0301", "İ", "ß", "\x1b[31m", "..", "../../etc/passwd", "/etc/passwd",
    "C:\\x", "a\\b", "con", "%00", "%2e%2e", "${HOME}", "{0}", "%s%n", "-", "--help", "nan", "inf", "-0", "1e999", "0x10", "١",
    "a" * 1001, "x" * 100_000, "😀" * 40, "default", "null", "true", "[]", "{}", "=", "a=b", "[[", '"""', "'",
)  # fmt: skip


class Raw(str):
    """Text that `json_text` writes as it is."""

    __slots__ = ()


ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.0, -0.0, 1e-320, 1e308, 0.5,
    [], {}, [[]], {"": {}}, [None], [1, 2, 3], {"path": "x"},
    Raw("9" * 5000), Raw("-1" + "0" * 400), Raw("1e400"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity"),
    Raw("[" * 3000 + "]" * 3000), Raw("[" * 100_000), Raw('{"a":' * 2000 + "1" + "}" * 2000), Raw(""), Raw("01"), Raw("'x'"),
)  # fmt: skip


def odd_value(dice: random.Random) -> Any:
    """Something that may stand in a JSON text, or may not."""
    return dice.choice(ODD_TEXTS) if dice.random() < 0.4 else copy.deepcopy(dice.choice(ODD_VALUES))


def spoiled_tree(dice: random.Random, tree: Any) -> Any:
    """A copy of a tree of plain values with one to four changes anywhere in it."""
    box = {"": copy.deepcopy(tree)}
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        places = [(box, "")]
        for holder, key in places:  # grows while it is walked
            value = holder[key]
            keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
            places += [(value, each) for each in keys]
        holder, key = dice.choice(places[1:] or places)
        _spoil(dice, holder, key)
    return box[""]


def _spoil(dice: random.Random, holder: Any, key: Any) -> None:
    value, way = holder[key], dice.randrange(7)
    if way == 0 and key != "":
        del holder[key]
    elif way == 1 and isinstance(value, str) and value:
        at = dice.randrange(len(value))
        holder[key] = value[:at] + dice.choice(ODD_TEXTS) + value[at + dice.randrange(2) :]
    elif way == 2 and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**200:
        holder[key] = dice.choice((value + 1, -value, value * 2, str(value)[:4000], [value], dice.choice(EDGES)))
    elif way == 3 and isinstance(value, list):
        holder[key] = value * dice.choice((0, 2, 200)) if len(value) < 50 else value[::-1]
    elif way == 4 and isinstance(value, dict):
        value[dice.choice((*ODD_TEXTS, *map(str.upper, value)))] = odd_value(dice)
    else:
        holder[key] = odd_value(dice)


def json_text(dice: random.Random, tree: Any) -> bytes:
    """A tree as JSON; now and then with a key twice, in another encoding, or not in ASCII."""
    text = _written(dice, tree)
    style = dice.randrange(20)
    if style == 0:
        return text.encode("utf-16", "surrogatepass")
    if style == 1:
        return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
    return text.encode("utf-8", "surrogatepass")


def _written(dice: random.Random, value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)}: {_written(dice, item)}" for key, item in value.items()]
        if pairs and dice.random() < 0.01:
            pairs.append(dice.choice(pairs))
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(dice, item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=dice.random() < 0.9)


def spoiled_bytes(dice: random.Random, data: bytes, words: Sequence[bytes] = ()) -> bytes:
    """A copy with one to eight places changed, cut, doubled or filled with one of ``words``."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        at = dice.randrange(len(changed) + 1)
        way = dice.randrange(9)
        if way == 0:
            del changed[at : at + dice.choice((1, 2, 4, 16, 1000))]
        elif way == 1:
            changed[at:at] = changed[at : at + dice.choice((1, 4, 32, 500))] * dice.choice((1, 2, 20))
        elif way == 2:
            del changed[at:]
        elif way == 3:
            changed[at:at] = dice.randbytes(dice.choice((1, 4, 100)))
        elif way == 4 and words:
            word = dice.choice(words)
            changed[at : at + dice.choice((0, len(word)))] = word
        elif way == 5:
            shape = dice.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
            size = struct.calcsize(shape)
            changed[at : at + size] = struct.pack(shape, dice.choice(EDGES) % 2 ** (8 * size))
        elif at < len(changed):
            changed[at] = changed[at] ^ 1 << dice.randrange(8) if way < 8 else dice.randrange(256)
    return bytes(changed)


def spoiled_text(dice: random.Random, text: str, words: Sequence[str] = ()) -> str:
    """As `spoiled_bytes`, by characters."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(text) + 1)
        end = at + dice.choice((0, 0, 1, 2, 10))
        new = dice.choice((*ODD_TEXTS, *words, *words, *words, text[at : at + 20]))
        text = text[:at] + dice.choice((new, new, "")) + text[end:]
    return text
