"""The installed command line, run to its end or watched, and what it says when it fails."""

import signal
import subprocess
import sys
from pathlib import Path

from places import hear_interrupts

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))


def fer_edge(*arguments, **options):
    """Run to the end; text output."""
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False, **options}
    return subprocess.run([FER_EDGE, *map(str, arguments)], **options)


def start(*arguments, **options):
    """A process whose text outputs are there to read."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([FER_EDGE, *map(str, arguments)], **options)


def interrupted(*arguments, at, number=signal.SIGINT):
    """Lines of stderr and text on stdout of a process that gets a signal when it writes a line with ``at``, and ends of it."""
    with start(*arguments, preexec_fn=hear_interrupts) as process:
        said = []
        for line in process.stderr:
            if at in line and line not in said:  # a line whose writing is interrupted comes twice
                process.send_signal(number)
            said.append(line)
        printed = process.stdout.read()
    text = "".join(said)
    assert process.returncode == 130, text
    assert "Traceback" not in text, text
    assert "\x1b" not in text, "no colours where no terminal is"
    return said, printed


def one_sentence(text):
    """An error as a person should see it: one line, no traceback."""
    assert "Traceback" not in text, text
    lines = [line for line in text.splitlines() if line.startswith("fer-edge: ")]
    assert len(lines) == 1, text
    return lines[0]


def line_with(process, text):
    """Read stderr up to a line that holds a text."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}")
