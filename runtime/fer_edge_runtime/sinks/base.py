"""What every sink can do, and the file that appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.pipes import ClosedPipe, open_for_reader, write_all
from fer_edge_runtime.types import Frame, FrameResult

__all__ = ["ClosedPipe", "PartFile", "Sink", "output_error"]


class Sink(Protocol):
    """Takes results, frame by frame; use it as a context manager."""

    @property
    def needs_drawing(self) -> bool:
        """Whether the frame given to ``write`` should have the faces drawn on it already (``draw.annotate``)."""
        ...

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take one frame and what was found in it.

        Raises:
            OutputError: it cannot be written.
            ClosedPipe: nobody reads it any more.
        """
        ...

    def idle(self) -> None:
        """Called about ten times a second while a live source gives no frame.

        Raises:
            OutputError: what was written cannot be completed.
        """
        return

    def took(self, stages_ms: Mapping[str, float]) -> None:
        """Told after each frame what reading, drawing and writing it took, in milliseconds."""
        return

    def counts(self) -> Mapping[str, int]:
        """What it counts, for metrics."""
        return {}

    @property
    def comeback(self) -> str:
        """When it would be tried again after it failed, as a few words for people; empty for never."""
        return ""

    def tries_again(self, frame: Frame) -> bool:
        """Whether, after it failed, it should be given this frame."""
        return False

    def close(self) -> None:
        """Finish; safe to call twice.

        Raises:
            OutputError: what was written cannot be completed.
        """

    def describe(self) -> str:
        """Where the results are, as a few words for the summary; empty when there is nothing to say."""
        return ""

    def __enter__(self) -> Self:
        """The sink itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


_HINTS = {
    errno.ENOSPC: "the disk is full. Free some space or write somewhere else",
    errno.EDQUOT: "the disk quota is used up. Free some space or write somewhere else",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EACCES: "this user may not write there. Choose another folder",
    errno.EPERM: "this user may not write there. Choose another folder",
    errno.EROFS: "that disk is read-only. Choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "that is a folder. Give a file name",
    errno.ENAMETOOLONG: "the name is too long",
}


def output_error(target: Path | str, error: OSError, *, kept: Path | None = None) -> OutputError:
    """A failed write as a sentence with a remedy.

    Args:
        target: what was to be written.
        error: what the system said.
        kept: the file that holds what was written until then.
    """
    reason = _HINTS.get(error.errno or 0, error.strerror or str(error))
    rest = f" What was written until then is in {kept}." if kept else ""
    return OutputError(f"{target}: cannot be written: {reason}.{rest}")


class PartFile:
    """An output file that is written as ``<name>.part`` and gets its name at ``commit``.

    Devices and pipes (``/dev/null``, a FIFO) are written directly. The part is locked, so that two runs cannot mix
    their output; one left over by a crash is overwritten.

    Attributes:
        target: the final name.
        path: what is being written: the part, or the target when that is no ordinary file.
    """

    def __init__(self, target: Path, *, part: str | None = None, stop: threading.Event | None = None) -> None:
        """Create the part, and the folder when it is missing.

        Args:
            target: the final name.
            part: file name of the part, when the suffix matters; else ``<name>.part``.
            stop: once it is set, a pipe's reader is not waited for.

        Raises:
            OutputError: it cannot be written there, or another run is writing it.
            ClosedPipe: it is a pipe that nobody opened until ``stop`` was set.
        """
        self.target = target
        self._stop = stop
        self._size = 0
        try:
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "")
            self._direct = target.exists() and not target.is_file()
            self.path = target if self._direct else target.with_name(part or f"{target.name}.part")
            if not self._direct:
                target.parent.mkdir(parents=True, exist_ok=True)
            # Appending, so that a part which another run has locked is not emptied; unbuffered, so that an error
            # belongs to the line that caused it.
            opened = open_for_reader(self.path, stop) if self._direct else self.path
            self._file = open(opened, "wb" if self._direct else "ab", buffering=0)  # noqa: PTH123, SIM115 also a descriptor; kept open
        except OSError as error:
            raise output_error(target, error) from error
        if not self._direct:
            self._claim()

    def _claim(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows refuses a second writer by itself
            pass
        else:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise OutputError(f"{self.target}: another run is writing it. Choose another name.") from None
            except OSError:
                pass  # a file system without locks
        self._file.truncate(0)

    def guard(self, source: str) -> None:
        """Refuse to overwrite the file that is being read.

        Raises:
            OutputError: the target is the source.
        """
        with suppress(OSError, ValueError):
            if not self._direct and self.target.samefile(source):
                self.discard()
                raise OutputError(f"{self.target}: this is the file being read. Choose another name for the output.")

    def write(self, data: bytes, *, only_whole: bool = False) -> None:
        """Write all of it, or, to a file, nothing.

        Args:
            data: to append.
            only_whole: what was written before is of no use alone, so an error does not mention it.

        Raises:
            OutputError: the disk is full or gone.
            BrokenPipeError: the target is a pipe without a reader.
            ClosedPipe: the target is a pipe that nobody reads, and ``stop`` was set.
        """
        try:
            write_all(self._file.fileno(), data, self._stop if self._direct else None)
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._direct:
                with suppress(OSError):
                    self._file.truncate(self._size)
            raise output_error(self.target, error, kept=None if self._direct or only_whole else self.path) from error
        self._size += len(data)

    @property
    def closed(self) -> bool:
        """Whether it was committed, kept or discarded."""
        return self._file.closed

    def commit(self) -> None:
        """Give the file its name.

        Raises:
            OutputError: the disk does not take it.
        """
        if self.closed:
            return
        try:
            if not self._direct:
                os.fsync(self._file.fileno())
            self._file.close()
            if not self._direct:
                self.path.replace(self.target)
        except OSError as error:
            self._file.close()
            raise output_error(self.target, error) from error

    def keep(self) -> None:
        """Close it under its part's name: it is not whole, but not worthless."""
        self._file.close()

    def discard(self) -> None:
        """Delete the part."""
        self._file.close()
        if not self._direct:
            self.path.unlink(missing_ok=True)
