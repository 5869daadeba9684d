"""A virtual environment per peer: made once, used again while its requirements and its Python stay the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.benchmark.peers.catalogue import Peer
from fer_edge.benchmark.peers.checkout import find_checkout, source_digest
from fer_edge_runtime.errors import MissingPackageError, OutputError

MARKER = "fer-edge-peer.json"
INSTALL_TIMEOUT_S = 3600.0


class InstallError(MissingPackageError):
    """A peer cannot be installed here; the message has pip's own last words."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is ready.

    Attributes:
        python: its interpreter.
        facts: ``python`` (version), ``packages`` (name to version), ``size_bytes`` on disk, ``install_s``, ``reused``.
    """

    python: Path
    facts: dict[str, Any]


def prepare(peer: Peer, cache: Path, *, say: Callable[[str], None]) -> Environment:
    """Make a peer's environment, or find it made.

    Args:
        peer: what goes into it.
        cache: folder of all environments; this one's is ``cache/NAME``.
        say: told what is installed where, and how large it became.

    Raises:
        InstallError: pip failed.
        OutputError: the folder cannot be written, or holds something else.
    """
    folder = cache / peer.name
    requirements, digest = _requirements(peer)
    found = _marker(folder)
    python = folder / "bin" / "python"
    begin = time.monotonic()
    if found.get("digest") == digest and found.get("ready") and python.exists():
        say(f"{peer.name}: {folder}, made before: {_size(found['size_bytes'])} on disk.")
        return Environment(python, _facts(found, reused=True))
    _clear(folder)
    pinned = sum("==" in line for line in requirements.splitlines())
    what = f"{pinned} pinned packages" if pinned else "it"
    say(f"{peer.name}, {peer.version}: installing {what} into {folder} …")
    _run([sys.executable, "-m", "venv", str(folder)], folder, "Python's venv")
    _install(peer, folder, python, requirements)
    marker: dict[str, Any] = {
        "digest": digest, "ready": True, "python": sys.version.split()[0], "size_bytes": size_bytes(folder),
        "install_s": round(time.monotonic() - begin, 1), "packages": _packages(python),
    }  # fmt: skip
    _write_marker(folder, marker)
    say(
        f"{peer.name}: {_size(marker['size_bytes'])} on disk, {len(marker['packages'])} packages, {marker['install_s']:.0f} s."
    )
    return Environment(python, _facts(marker, reused=False))


def size_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, links not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _requirements(peer: Peer) -> tuple[str, str]:
    """The text for pip, and a digest of all that decides what gets installed."""
    text = peer.requirements.read_text(encoding="utf-8")
    source = ""
    if "{checkout}" in text:
        checkout = find_checkout()
        text, source = text.replace("{checkout}", str(checkout)), source_digest(checkout)
    return text, hashlib.sha256(f"{sys.version}\n{text}\n{source}".encode()).hexdigest()


def _clear(folder: Path) -> None:
    """An empty folder but for the marker, which stays so that an interruption leaves nothing that the next run would refuse."""
    if folder.exists() and not (folder / MARKER).is_file():
        raise OutputError(
            f"{folder} exists and is no environment of this command. Move it away, or choose another --cache."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}. Choose another --cache.") from error
    _write_marker(folder, {"ready": False})
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def _install(peer: Peer, folder: Path, python: Path, requirements: str) -> None:
    pins = folder / "requirements.txt"
    pins.write_text(requirements, encoding="utf-8")
    # From the peer's own folder, so that a requirement may be a file beside its description.
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", str(pins)]
    _run(command, folder, f"pip, installing {peer.name} {peer.version},", place=peer.requirements.parent)


def _run(command: Sequence[str], folder: Path, who: str, place: Path | None = None) -> None:
    """Run to the end, its output in ``install.log``; nothing of it stays behind when this process is interrupted."""
    log = folder / "install.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 the commands are above
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=place, start_new_session=True,
            env=clean_environment(),
        )  # fmt: skip
        try:
            code = process.wait(INSTALL_TIMEOUT_S)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise InstallError(f"{who} did not end within {INSTALL_TIMEOUT_S:g} s; see {log}") from None
            raise
    if code:
        raise InstallError(f"{who} failed: {_last_words(log)} (all of it: {log})")


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1][:500]


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would lead a peer's Python to other packages."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def _packages(python: Path) -> dict[str, str]:
    """What is installed, as the environment itself says it."""
    ask = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    done = subprocess.run(  # noqa: S603
        [python, "-s", "-c", ask], capture_output=True, text=True, check=False, env=clean_environment()
    )
    return dict(sorted(json.loads(done.stdout).items())) if done.returncode == 0 else {}


def _marker(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_marker(folder: Path, values: dict[str, Any]) -> None:
    temporary = folder / f".{MARKER}.tmp{os.getpid()}"
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / MARKER)


def _facts(marker: dict[str, Any], *, reused: bool) -> dict[str, Any]:
    return {name: marker[name] for name in ("python", "packages", "size_bytes", "install_s")} | {"reused": reused}


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
