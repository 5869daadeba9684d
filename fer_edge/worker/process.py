"""A worker process, seen from outside: ask it, and know when it died and of what.

A worker leads a process group of its own: whatever it started ends with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from fer_edge_runtime.errors import FerEdgeError

ANSWER_TIMEOUT_S = 120.0
END_TIMEOUT_S = 5.0


class WorkerError(FerEdgeError):
    """A worker refused, died or does not answer; ``exit_code`` is that of the reason."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Worker:
    """A worker process; always end it with `close`."""

    def __init__(
        self, command: Sequence[str], *, answer_timeout_s: float = ANSWER_TIMEOUT_S, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Start the process; it does nothing until it is asked.

        Args:
            command: of the process.
            answer_timeout_s: a worker that is silent for longer is ended.
            environment: its variables; those of this process without any.
        """
        self._timeout_s = answer_timeout_s
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed in close()
        self._process = subprocess.Popen(  # noqa: S603 the command is ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: says what happened to the worker.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 both are pipes
        assert stdout is not None  # noqa: S101
        try:
            stdin.write(json.dumps({"do": action, **arguments}).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise WorkerError(self._how_it_ended()) from None
        if not select.select([stdout], [], [], self._timeout_s)[0]:
            self.kill()
            raise WorkerError(f"its process did not answer within {self._timeout_s:g} s and was ended")
        line = stdout.readline()
        if not line:
            raise WorkerError(self._how_it_ended())
        answer = _parsed(line)
        if answer is None:
            self.kill()
            raise WorkerError(f"its process was ended, because it answered something else than JSON: {line[:80]!r}")
        if "error" in answer:
            raise WorkerError(answer["error"], answer["exit_code"])
        return answer

    def close(self) -> None:
        """End the process, by its own will if it has any."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was not sent yet cannot be sent any more
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
        self.kill()
        self._process.wait()
        self._errors.close()

    def kill(self) -> None:
        """End the process and all that it started at once; `close` still has to follow."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        if code < 0:
            hint = "; perhaps memory ran out" if -code == signal.SIGKILL else ""
            return f"its process was ended by {signal.Signals(-code).name}{hint}{last}"
        return f"its process ended with exit code {code}{last}"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
