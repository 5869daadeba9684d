"""Outputs of a run without an end: a new file every hour or so, and old ones deleted.

``faces.jsonl`` becomes ``faces-20261125T104500Z.jsonl`` and so on, each with the time of its beginning (UTC), each whole or a
part, as other outputs are. What is deleted is recognised by exactly that form of its name, and only if it is an ordinary file of
this user; links, folders and everything else are left alone, and so are files that a run is writing.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.types import Frame, FrameResult

_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_BYTES = {"M": 2**20, "G": 2**30, "T": 2**40}
# How often old files are looked for; also while a camera is waited for.
LOOK_EVERY_S = 60.0


class Rotation(NamedTuple):
    """How long a file is, and how much is kept; `rotation_options` makes one.

    Attributes:
        every_s: seconds of the source that go into one file.
        keep_s: files whose end is older are deleted; None keeps them.
        keep_bytes: when an output's files are larger together, the oldest are deleted; None keeps them.
    """

    every_s: float
    keep_s: float | None = None
    keep_bytes: int | None = None


def rotation_options(rotate: str | None, *, keep_days: float | None, keep_size: str | None) -> Rotation | None:
    """What was asked for, None without ``--rotate``.

    Raises:
        ConfigError: it cannot be read, or there is a limit but nothing that ends.
    """
    if rotate is None:
        if keep_days is not None or keep_size is not None:
            raise ConfigError(
                "--keep-days and --keep-size delete whole files, so there must be several. Give --rotate 1h as well."
            )
        return None
    every = re.fullmatch(r"([1-9][0-9]{0,3})([mhd])", rotate)
    if every is None:
        raise ConfigError(f"--rotate '{rotate}' is no time. Write it such as 10m, 1h or 1d.")
    size = re.fullmatch(r"([1-9][0-9]{0,5})([MGT])", keep_size or "1M")
    if size is None:
        raise ConfigError(f"--keep-size '{keep_size}' is no size. Write it such as 500M or 20G.")
    return Rotation(
        int(every[1]) * _SECONDS[every[2]],
        None if keep_days is None else keep_days * 86_400,
        None if keep_size is None else int(size[1]) * _BYTES[size[2]],
    )


class RotatingSink(Sink):
    """Puts one file after the other in the place of a sink's single one."""

    def __init__(
        self,
        target: Path,
        make: Callable[[Path], Sink],
        rotation: Rotation,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Delete what is too old, and begin the first file.

        Args:
            target: what the files are named after.
            make: opens the sink that writes a file of a given name.
            rotation: when a file ends, and how much is kept.
            say: takes a sentence for people, when the first file is deleted.
            clock: seconds since 1970; for names and ages.

        Raises:
            OutputError: nothing can be written there.
        """
        self._series = Series(target)
        self._make = make
        self._rotation = rotation
        self._say = say
        self._clock = clock
        self._said = False
        self._files = 0
        self._next_look_s = 0.0
        self._begun_s: float | None = None  # the source's time of the file's first frame
        self._sink: Sink | None = None
        self._delete_old()
        self._begin()

    @property
    def needs_drawing(self) -> bool:
        """As the sink of each file says."""
        return self._needs_drawing

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write one frame into its file."""
        if self._begun_s is not None and frame.time_s - self._begun_s >= self._rotation.every_s:
            self._finish()
        try:
            sink = self._sink or self._begin()
            if self._begun_s is None:
                self._begun_s = frame.time_s
                self._files += 1
            sink.write(frame, result)
        except OutputError:
            self._give_up(frame.time_s)
            raise
        self._look()

    def _give_up(self, now_s: float) -> None:
        """No file until the time of this one is over."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._files -= self._begun_s is not None
            with suppress(OutputError):
                sink.close()
        if self._begun_s is None:
            self._begun_s = now_s

    @property
    def comeback(self) -> str:
        """At the next file."""
        return " until it is time for the next file (--rotate)"

    def tries_again(self, frame: Frame) -> bool:
        """At once when a file could not be finished, or when the time of one that failed is over; old ones go first, which may make room."""
        again = self._begun_s is None or frame.time_s - self._begun_s >= self._rotation.every_s
        if again:
            self._delete_old()
        return again

    def idle(self) -> None:
        """No frame comes; a file whose time is over is finished nevertheless, and old ones are deleted."""
        if self._begun_s is not None and time.monotonic() - self._opened_s >= self._rotation.every_s:
            self._finish()
        self._look()

    def _begin(self) -> Sink:
        self._sink = self._make(self._series.free_name(self._clock()))
        self._needs_drawing = self._sink.needs_drawing
        self._begun_s = None
        self._opened_s = time.monotonic()
        return self._sink

    def _finish(self) -> None:
        sink, self._sink, self._begun_s = self._sink, None, None
        if sink is not None:
            sink.close()

    def _look(self) -> None:
        if time.monotonic() >= self._next_look_s:
            self._delete_old()

    def _delete_old(self) -> None:
        self._next_look_s = time.monotonic() + LOOK_EVERY_S
        keep_s, keep_bytes = self._rotation.keep_s, self._rotation.keep_bytes
        if keep_s is None and keep_bytes is None:
            return
        files = self._series.files()
        total, now_s = sum(file.size for file in files), self._clock()
        for file in files:
            too_old = keep_s is not None and now_s - file.ended_s > keep_s
            too_much = keep_bytes is not None and total > keep_bytes
            if (too_old or too_much) and self._series.delete(file):
                total -= file.size
                self._tell(file.path, "--keep-days" if too_old else "--keep-size")

    def _tell(self, path: Path, option: str) -> None:
        if not self._said:
            self._said = True
            self._say(f"{path}: deleted, as {option} asks. Others will be, without a word.")

    def close(self) -> None:
        """Finish the last file."""
        self._finish()
        self._delete_old()

    def describe(self) -> str:
        """How many files there were, and what they are called."""
        return f"{self._files} file{'s' * (self._files != 1)} {self._series.pattern}" if self._files else ""


class _File(NamedTuple):
    path: Path
    size: int
    ended_s: float
    part: bool


class Series:
    """The files of one output."""

    def __init__(self, target: Path) -> None:
        """Nothing is looked at yet.

        Args:
            target: what the files are named after.
        """
        self._target = target
        stem, suffix = re.escape(target.stem), re.escape(target.suffix)
        # A part is named as its sink does it.
        self._form = re.compile(
            rf"{stem}-[0-9]{{8}}T[0-9]{{6}}Z(-[0-9]+)?((?P<video>\.part)?{suffix}|{suffix}(?P<lines>\.part))"
        )
        self.pattern = str(target.with_name(f"{target.stem}-*{target.suffix}"))

    def free_name(self, now_s: float) -> Path:
        """A name that no file has, nor a part of one."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        number, suffix = 1, self._target.suffix
        while True:
            stem = f"{self._target.stem}-{stamp}{f'-{number}' * (number > 1)}"
            names = (f"{stem}{suffix}", f"{stem}.part{suffix}", f"{stem}{suffix}.part")
            if not any(os.path.lexists(self._target.with_name(name)) for name in names):
                return self._target.with_name(names[0])
            number += 1

    def files(self) -> list[_File]:
        """What this output has written, oldest first."""
        found = []
        with suppress(OSError), os.scandir(self._target.parent) as entries:
            for entry in entries:
                form = self._form.fullmatch(entry.name)
                if form is None:
                    continue
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and status.st_uid == _user(status):
                        part = bool(form["video"] or form["lines"])
                        path = self._target.with_name(entry.name)
                        found.append(_File(path, status.st_size, status.st_mtime, part))
        return sorted(found, key=lambda file: (file.ended_s, file.path))

    def delete(self, file: _File) -> bool:
        """Delete a file, unless it is a part that somebody is writing."""
        if file.part and not _abandoned(file.path):
            return False
        try:
            file.path.unlink()
        except OSError:
            return False
        return True


def _user(status: os.stat_result) -> int:
    """Whose files may be deleted; without users, on Windows, everybody's."""
    return os.geteuid() if hasattr(os, "geteuid") else status.st_uid


def _abandoned(part: Path) -> bool:
    """Whether a part is left over from a crash: nobody holds its lock. When in doubt it is not."""
    try:
        import fcntl

        with part.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
