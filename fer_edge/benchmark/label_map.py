"""Which class of a data set is which label of a model: names that agree, and names that the user maps."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge_runtime.errors import ConfigError, DataError

UNKNOWN, LEFT_OUT = -1, -2
_FORMS = "Write CLASS=LABEL, such as happiness=happy (CLASS= leaves the class out), or name a .toml or .json file of such pairs."


def read_map(given: Sequence[str]) -> dict[str, str]:
    """Pairs and files of pairs as one map: class of the data -> label of the model, empty to leave the class out.

    Raises:
        ConfigError: neither form, a file that cannot be read, or a class that is mapped twice.
    """
    pairs: list[tuple[str, str]] = []
    for text in given:
        if "=" in text:
            name, _, label = text.partition("=")
            pairs.append((name.strip(), label.strip()))
        elif Path(text).suffix.lower() in (".toml", ".json"):
            pairs += _read_file(Path(text))
        else:
            raise ConfigError(f"--map {text!r} cannot be used. {_FORMS}")
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"--map gives the class '{twice}' more than one label.")
    if "" in names:
        raise ConfigError(f"--map has a pair without a class. {_FORMS}")
    return dict(pairs)


def _read_file(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"--map {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # both decoders' errors are the former
        raise ConfigError(f"--map {path} cannot be read: {error}.") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(f"--map {path} must hold pairs of texts, class to label. {_FORMS}")
    return list(found.items())


def label_numbers(
    names: Sequence[str], labels: Sequence[str], mapping: Mapping[str, str], *, may_be_unknown: Sequence[str] = ()
) -> NDArray[np.int64]:
    """The model's label number of every class of the data.

    Args:
        names: classes of the data.
        labels: of the model.
        mapping: from `read_map`; a class that is not in it must have a label's name.
        may_be_unknown: classes that the model need not know; they become `UNKNOWN`.

    Returns:
        (len(names),) int64: a label's number, `UNKNOWN` or `LEFT_OUT`.

    Raises:
        ConfigError: the map names a class or a label that there is not.
        DataError: a class has no label.
    """
    for what, given, known in (("class", mapping, names), ("label", [v for v in mapping.values() if v], labels)):
        wrong = next((name for name in given if name not in known), None)
        if wrong is not None:
            close = difflib.get_close_matches(wrong, known, 1, cutoff=0.5)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            owner = "the data has" if what == "class" else "the model has"
            raise ConfigError(f"--map names the {what} '{wrong}'; {owner} {', '.join(known)}.{hint}")
    lost = [name for name in names if name not in mapping and name not in labels and name not in may_be_unknown]
    if lost:
        raise DataError(
            f"The data's classes {', '.join(lost)} are no labels of the model, which knows {', '.join(labels)}. Map them, such as "
            f"--map {lost[0]}={labels[0]}, or leave them out with --map {lost[0]}=."
        )
    return np.array([_number(mapping.get(name, name), labels) for name in names], np.int64)


def _number(label: str, labels: Sequence[str]) -> int:
    if not label:
        return LEFT_OUT
    return list(labels).index(label) if label in labels else UNKNOWN
