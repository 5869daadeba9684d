"""What everybody should have read once: said at a user's first run on a machine, remembered by an empty file."""

from __future__ import annotations

import os
from pathlib import Path

_NOTICE = """\
Your first run on this machine. In short, and no legal advice:
  - The label names an apparent expression, not what a person feels. Do not decide about people with it.
  - You who run it are responsible for it. Tell the people before the camera, and ask them.
  - European Union: inferring emotions at work and in education is prohibited, except for medical or safety reasons (AI Act,
    Art. 5(1)(f)); elsewhere people must be told (Art. 50(3)). Pictures of people, and what is computed from them, are personal data
    wherever somebody can tell who it is (GDPR); data that identifies people by their faces has special protection. fer-edge identifies nobody.
  - Nothing is stored and nothing leaves this machine unless you ask for it (--save, --json, --csv, --serve, --mqtt). --anonymize
    covers the heads that are found, --keep-days and --keep-size delete old files."""


def first_run_notice() -> str:
    """The notice, at this user's first run; empty when it was shown before.

    Where the file that remembers it cannot be written, it is shown again.
    """
    try:
        file = state_folder() / "first-run"
        if os.path.lexists(file):
            return ""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x"):
            pass
    except FileExistsError:  # another run was faster
        return ""
    except (OSError, RuntimeError):
        return f"{_NOTICE}\nIt is shown again next time, because no file can be written that remembers it."
    return f"{_NOTICE}\nIt is shown once; the empty file {file} remembers that."


def state_folder() -> Path:
    """``$XDG_STATE_HOME/fer-edge``, or ``~/.local/state/fer-edge``.

    Raises:
        RuntimeError: this user has no home folder.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".local" / "state") / "fer-edge"
