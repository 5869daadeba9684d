"""Text lines to a file or to standard output, each written whole."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import ClosedPipe, PartFile, output_error
from fer_edge_runtime.sinks.pipes import write_all


class LineOutput:
    """Where JSON Lines and CSV go: a path, or ``-`` for standard output."""

    def __init__(self, target: str, *, stop: threading.Event | None = None) -> None:
        """Open it.

        Args:
            target: a path, or ``-``.
            stop: once it is set, a reader who does not read is not waited for.

        Raises:
            OutputError: it cannot be written there.
            ClosedPipe: it is a pipe that nobody opened until ``stop`` was set.
        """
        self.target = target
        self._stop = stop
        self._part = None if target == "-" else PartFile(Path(os.path.expanduser(target)), stop=stop)  # noqa: PTH111 this one never raises
        self._failed = False

    def guard(self, source: str) -> None:
        """Refuse to overwrite the file that is being read."""
        if self._part is not None:
            self._part.guard(source)

    def write(self, line: str) -> None:
        """Write one or more whole lines, at once and flushed.

        Raises:
            OutputError: the disk is full or gone.
            ClosedPipe: the reader has gone.
        """
        try:
            if self._part is None:
                self._write_stdout(line)
            else:
                self._part.write(line.encode("utf-8", "backslashreplace"))
        except BrokenPipeError:
            self._fail()
            raise ClosedPipe(f"{self.target}: the reader has gone") from None
        except (OutputError, ClosedPipe):
            self._fail()
            raise

    def _fail(self) -> None:
        """Keep the lines so far under the part's name."""
        self._failed = True
        if self._part is not None:
            self._part.keep()

    def _write_stdout(self, line: str) -> None:
        if sys.stdout is None:
            raise OutputError("Standard output is closed. Give --json or --csv a path.")
        try:
            sys.stdout.flush()
            descriptor = _descriptor(sys.stdout)
            if descriptor is None:
                sys.stdout.write(line)
            else:
                write_all(descriptor, line.encode("utf-8", "backslashreplace"), self._stop)
        except OSError as error:
            # Python flushes once more when it ends and would complain then; nobody reads it, so let it go nowhere.
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, sys.stdout.fileno())
                os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise
            raise output_error("standard output", error) from error

    def close(self) -> None:
        """Give the file its name; after a failure it stays under its part's name."""
        if self._part is not None and not self._failed:
            self._part.commit()

    def describe(self) -> str:
        """The path; nothing for standard output, and when it failed."""
        return "" if self._part is None or self._failed else str(self._part.target)


def _descriptor(stream: TextIO) -> int | None:
    """The file behind a stream; None when there is none, as in a notebook."""
    with suppress(OSError, ValueError):
        return stream.fileno()
    return None
