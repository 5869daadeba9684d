"""The folder beside the results in which finished work waits: it makes an interrupted run go on, and every input count once.

Only the process that holds the folder's lock writes in it. A part says itself which inputs it covers; it counts while all of
them are still there and unchanged, and what no part covers is done (again).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from fer_edge.archive.inputs import Input
from fer_edge.archive.part import Covered, covered_by
from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.sinks.base import output_error

SETTINGS = "settings.json"
# What a difference in the settings is called.
_NAMES = {
    "fer_edge": "fer-edge", "model": "model", "model_version": "model version", "manifest_sha256": "model",
    "artefact": "engine", "artefact_sha256": "model",
}  # fmt: skip


class Parts:
    """The open folder; use it as a context manager."""

    def __init__(self, target: Path) -> None:
        """Create or take over the folder of the results ``target``.

        Raises:
            OutputError: it cannot be written, or another process is at it.
        """
        self.folder = target.with_name(target.name + ".parts")
        self._target = target
        self._lock: IO[bytes] | None = None
        try:
            self._lock = self._locked()
        except BlockingIOError:
            raise OutputError(
                f"{target}: another fer-edge annotate is writing it. Wait for it, or choose another --out."
            ) from None
        except OSError as error:
            raise output_error(self.folder, error) from error

    def __enter__(self) -> Self:
        """The folder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it, and remove it when nothing of worth is in it."""
        if self._lock is not None:
            if not any(self._files()):
                self.remove()
            self._lock.close()

    def claim(self, settings: dict[str, Any], *, fresh: bool) -> bool:
        """Remember what makes rows, or make sure that it is what the parts here were made with; True when there were any.

        Args:
            settings: options and model; rows of different ones do not belong into one table.
            fresh: throw parts of other settings away.

        Raises:
            ConfigError: the parts were made with other settings.
        """
        before = self._settings()
        if before == settings:
            return any(self._files())
        if before is not None and any(self._files()) and not fresh:
            names = {
                _NAMES.get(name, "--" + name.replace("_", "-"))
                for name in settings
                if before.get(name) != settings[name]
            }
            raise ConfigError(
                f"{self.folder} holds the unfinished work of other settings ({', '.join(sorted(names))}). Give the same ones to "
                "go on, or --overwrite to throw it away."
            )
        for path in self._files():
            path.unlink()
        self._write(self.folder / SETTINGS, json.dumps(settings, indent=1).encode())
        return False

    def covered(self, inputs: Sequence[Input]) -> tuple[dict[Path, list[Covered]], int]:
        """The parts that count, and how many do not and were deleted: an input is gone or changed, or the file is damaged."""
        for path in self.folder.glob("*.tmp"):
            path.unlink()
        known, taken = set(inputs), set[Input]()
        parts: dict[Path, list[Covered]] = {}
        dropped = 0
        for path in sorted(self._files()):
            try:
                covers = covered_by(path)
            except ValueError:
                covers = []
            items = {one.item for one in covers}
            if items and items <= known and not items & taken:
                parts[path] = covers
                taken |= items
            else:
                path.unlink()
                dropped += 1
        return parts, dropped

    def temporary(self, name: str) -> Path:
        """Where a part is written before it counts."""
        return self.folder / f"{name}.tmp"

    def commit(self, temporary: Path, covered: Iterable[Covered]) -> Path:
        """Let a complete part count. The same inputs always get the same name, so that a repetition replaces.

        Raises:
            OutputError: it cannot be written.
        """
        key = hashlib.sha256(json.dumps([one.item for one in covered]).encode()).hexdigest()
        path = self.folder / f"part-{key[:32]}.parquet"
        try:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise output_error(path, error) from error
        return path

    def receive(self, name: str, content: bytes) -> Path:
        """A part that another machine made, as a temporary file."""
        temporary = self.temporary(name)
        self._write(temporary, content)
        return temporary

    def remove(self) -> None:
        """The results are complete: nothing here is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self, settings: dict[str, Any]) -> None:
        """Remove what is left of a finished table of these settings; the unfinished work of others stays."""
        if self._settings() == settings:
            self.remove()

    def _settings(self) -> Any:
        with suppress(OSError, ValueError):
            return json.loads((self.folder / SETTINGS).read_text())
        return None

    def _locked(self) -> IO[bytes]:
        """The lock, of a folder that is still there: whoever held it before may have removed it."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name)):  # noqa: PTH116
                    return lock
            except FileNotFoundError:
                pass
            except OSError:
                lock.close()
                raise
            lock.close()

    def _files(self) -> Iterable[Path]:
        return self.folder.glob("part-*.parquet")

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(path.name + ".tmp") if path.suffix != ".tmp" else path
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise output_error(path, error) from error
