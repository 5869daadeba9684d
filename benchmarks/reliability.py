"""One file for everything that was done to break the program: ``results/reliability.json``, a section per harness."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any

from machine import RESULTS, describe_machine

TARGET = RESULTS / "reliability.json"


def record(section: str, figures: dict[str, Any]) -> None:
    """Put one harness's figures, with the machine they come from, into the file; other sections stay as they are.

    Args:
        section: name of the harness, such as ``kills``.
        figures: what it counted or measured; anything that JSON has.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    # Two harnesses may end at the same moment: whoever has the folder's lock reads, adds and renames.
    folder = os.open(RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        sections: dict[str, Any] = json.loads(TARGET.read_text()) if TARGET.exists() else {}
        sections[section] = {"machine": describe_machine(), **figures}
        temporary = TARGET.with_suffix(".part")
        temporary.write_text(json.dumps(dict(sorted(sections.items())), indent=1) + "\n")
        temporary.replace(TARGET)
    finally:
        os.close(folder)
