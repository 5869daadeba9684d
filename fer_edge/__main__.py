"""Entry point of the ``fer-edge`` command and of ``python -m fer_edge``."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any, NoReturn

from fer_edge_runtime.errors import ConfigError, FerEdgeError, OutputError

EXIT_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_UNUSABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP)


def main() -> None:
    """Run the command line; every error we know becomes one sentence and its exit code."""
    _fill_closed_streams()
    arguments = complete(sys.argv[1:])
    if arguments[:1] == ["run"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the command takes over, there is nothing to finish: Ctrl-C ends the process as SIGTERM does, without a
        # traceback out of the middle of an import.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from fer_edge.cli import app_for

        sys.exit(app_for(arguments)(arguments, prog_name="fer-edge", standalone_mode=False))
    except FerEdgeError as error:
        if os.environ.get("FER_EDGE_DEBUG"):
            raise
        _complain(str(error))
        if arguments[:1] == ["run"]:
            from fer_edge.startup import leave

            leave(error.exit_code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from failing once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        known = in_words(error)
        if known is None or os.environ.get("FER_EDGE_DEBUG"):
            raise
        _complain(str(known))
        sys.exit(known.exit_code)
    except Exception as error:
        if not hasattr(error, "show"):  # the class of Typer's own errors is not public
            raise
        _wrong_use(error)


def in_words(error: OSError) -> FerEdgeError | None:
    """The disk is full, wherever; or a file that was named cannot be. None for anything else, which is a bug."""
    if error.errno in _FULL:  # whichever library's scratch file it was
        place = error.filename or os.environ.get("TMPDIR", "the folder of temporary files")
        return OutputError(
            f"{error.strerror}: {place}. Nothing was finished; free some space, or name another folder with TMPDIR."
        )
    if error.errno in _UNUSABLE and error.filename:
        shown = str(error.filename)
        return ConfigError(f"{error.strerror}: {shown if len(shown) <= 200 else f'{shown[:200]}…'}")
    return None


def _fill_closed_streams() -> None:
    """With ``2>&-`` and the like, the next file opened would get the stream's number, and a library's chatter with it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number < 2 else os.O_WRONLY)  # takes the lowest free number
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def complete(arguments: list[str]) -> list[str]:
    """Let ``fer-edge run --json`` and ``--csv`` without a path mean standard output, as ``--json -`` does, and
    ``fer-edge annotate --ray`` without an address this machine's cluster, as ``--ray auto`` does.
    """
    if arguments[:1] == ["annotate"]:
        return _complete_ray(arguments)
    if arguments[:1] != ["run"]:
        return arguments
    completed: list[str] = []
    for position, argument in enumerate(arguments):
        completed.append(argument)
        after = arguments[position + 1 : position + 2]
        if argument in ("--json", "--csv") and (not after or (after[0].startswith("-") and after[0] != "-")):
            completed.append("-")
    return completed


def _complete_ray(arguments: list[str]) -> list[str]:
    import re

    completed: list[str] = []
    for position, argument in enumerate(arguments):
        completed.append(argument)
        after = arguments[position + 1 : position + 2]
        if argument == "--ray" and not (after and re.fullmatch(r"auto|(ray://)?[\w.\[\]:-]+:\d+", after[0])):
            completed.append("auto")
    return completed


def _wrong_use(error: Any) -> NoReturn:
    """Show what Typer says about options, which it quotes, but without their passwords."""
    from fer_edge_runtime.sources.base import without_secrets

    error.message = without_secrets(error.message)
    error.show()
    sys.exit(error.exit_code)


def _complain(sentence: str) -> None:
    from fer_edge_runtime.sources.base import without_secrets

    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    sys.stderr.write(f"{red}fer-edge: {without_secrets(sentence)}{plain}\n")


if __name__ == "__main__":
    main()
