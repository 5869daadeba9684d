"""What a peer is: a TOML file that names its pinned packages, the script that speaks for it, and the cases to measure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import ConfigError

FOLDER = Path(__file__).parent
REFERENCE = "fer-edge"
_KEYS = {"name", "version", "requirements", "driver", "cases"}
_CASE_KEYS = {"name", "words", "options", "classifier_of"}


@dataclass(frozen=True, slots=True)
class PeerCase:
    """A way to use a peer.

    Attributes:
        name: unique among all peers.
        words: what the driver builds.
        options: what the driver is given.
        classifier_of: a case of the same peer that has the same classifier, whose accuracy is this one's too.
        core: the only core it may use; None for all.
    """

    name: str
    words: str
    options: Mapping[str, Any]
    classifier_of: str | None = None
    core: int | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A package to measure.

    Attributes:
        name: also of the folder that holds its environment.
        version: in words.
        requirements: pip's requirement file, every package pinned; ``{checkout}`` stands for this repository.
        driver: script that runs in the peer's environment; it may import ``serve`` (see ``drivers/serve.py``).
        cases: at least one.
    """

    name: str
    version: str
    requirements: Path
    driver: Path
    cases: tuple[PeerCase, ...]


def shipped_peers() -> list[str]:
    """Names of the peers that this package describes, the reference first."""
    return [REFERENCE, *sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != REFERENCE)]


def read_peer(name: str) -> Peer:
    """A shipped peer by its name, or one of your own by the path of its TOML file; paths in it are relative to it.

    Raises:
        ConfigError: there is none, or the file says something that cannot be used.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"There is no peer '{name}'. Known: {', '.join(shipped_peers())}; or give a .toml file.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return _peer(path.parent, values)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path} describes no peer: {reason}.") from error


def _peer(folder: Path, values: dict[str, Any]) -> Peer:
    _known(values, _KEYS)
    cases = tuple(_case(case) for case in values["cases"])
    if not cases:
        raise ValueError("it has no cases")
    peer = Peer(
        values["name"], values["version"], folder / values["requirements"], folder / values["driver"],
        cases,
    )  # fmt: skip
    if not peer.name or Path(peer.name).name != peer.name or peer.name in (".", ".."):
        raise ValueError(f"the name {peer.name!r} cannot be that of a folder")
    missing = next((path for path in (peer.requirements, peer.driver) if not path.is_file()), None)
    if missing is not None:
        raise ValueError(f"there is no file {missing}")
    return peer


def _case(values: dict[str, Any]) -> PeerCase:
    _known(values, _CASE_KEYS)
    return PeerCase(values["name"], values["words"], values.get("options", {}), values.get("classifier_of"))


def _known(values: dict[str, Any], keys: set[str]) -> None:
    unknown = sorted(set(values) - keys)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; allowed: {', '.join(sorted(keys))}")


def check_names(peers: list[Peer]) -> None:
    """Refuse two peers of one name and two cases of one name.

    Raises:
        ConfigError: which ones.
    """
    for what, names in (("peers", [peer.name for peer in peers]), ("cases", [case.name for peer in peers for case in peer.cases])):  # fmt: skip
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"Two {what} are named '{twice}'. Give each peer once, and each a name of its own.")
