"""Text lines to a file or to standard output, each written whole."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import ClosedPipe, PartFile, output_error


class LineOutput:
    """Where JSON Lines and CSV go: a path, or ``-`` for standard output."""

    def __init__(self, target: str) -> None:
        """Open it.

        Raises:
            OutputError: it cannot be written there.
        """
        self.target = target
        self._part = None if target == "-" else PartFile(Path(os.path.expanduser(target)))  # noqa: PTH111 this one never raises
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
        except OutputError:
            self._fail()
            raise

    def _fail(self) -> None:
        """Keep the lines so far under the part's name."""
        self._failed = True
        if self._part is not None:
            self._part.keep()

    def _write_stdout(self, line: str) -> None:
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
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
        """The path, or nothing for standard output."""
        return "" if self._part is None else str(self._part.target)
