"""A recipe as TOML text: the one thing that the standard library reads and does not write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(values: Mapping[str, Any]) -> str:
    """Plain values as TOML: tables of the first level as ``[table]``, deeper ones inline.

    Args:
        values: text, numbers, booleans, lists or tuples of them, and mappings of those; floats are finite.
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    blocks = ["".join(_line(key, value) for key, value in plain.items())]
    blocks += [
        f"[{_key(name)}]\n" + "".join(_line(key, value) for key, value in inner.items())
        for name, inner in tables.items()
    ]  # fmt: skip
    return "\n".join(block for block in blocks if block)


def _line(key: str, value: Any) -> str:
    return f"{_key(key)} = {_value(value)}\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for DEL and for the pairs that JSON makes of characters beyond 16 bits.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
