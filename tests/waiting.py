"""Waiting for what another thread or process does."""

import time


def wait_until(condition, *, timeout_s=180.0, process=None):
    """Look until it holds, no longer than a process runs; what was found."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s, "it does not come"
        time.sleep(0.02)
    return found
