"""The installed command line, run to its end or watched, and what it says when it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


def fer_edge(*arguments, **options):
    """Run to the end; text output."""
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False, **options}
    return subprocess.run([FER_EDGE, *map(str, arguments)], **options)


def one_sentence(text):
    """An error as a person should see it: one line, no traceback."""
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("fer-edge: ")]
    assert len(lines) == 1, text
    return lines[0]


def line_with(process, text):
    """Read stderr up to a line that holds a text."""
    for line in process.stderr:
        if text in line:
            return line
    return pytest.fail(f"it ended without saying {text!r}")
