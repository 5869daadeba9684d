"""A window on the screen, where the OpenCV build has one."""

from __future__ import annotations

import os
import re
import sys
import threading

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import ClosedPipe, Sink
from fer_edge_runtime.types import Frame, FrameResult

TITLE = "fer-edge"


def missing_window() -> str:
    """Why no window can be shown here, as a sentence; empty when one can."""
    import cv2

    found = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if found is None or found[1] == "NONE":
        return (
            "This OpenCV was built without windows (opencv-python-headless). Watch in a browser with "
            "--serve 127.0.0.1:8080, or install opencv-python in its place."
        )
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        # Qt ends the whole process when it finds no display, so it must not be asked.
        return "There is no display (DISPLAY is not set). Watch in a browser with --serve 127.0.0.1:8080."
    return ""


class WindowSink(Sink):
    """Shows the annotated frames; Q, Escape or closing the window ends the run."""

    needs_drawing = True

    def __init__(self, *, hold: bool = False, stop: threading.Event | None = None) -> None:
        """Open the window.

        Args:
            hold: keep each picture until a key is pressed, for pictures.
            stop: ends the waiting.

        Raises:
            OutputError: there can be no window here.
        """
        import cv2

        reason = missing_window()
        if reason:
            raise OutputError(reason)
        self._hold = hold
        self._stop = stop or threading.Event()
        self._open = True
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Show one frame."""
        import cv2

        cv2.imshow(TITLE, frame.image)
        while not self._stop.is_set():
            key = cv2.waitKey(50 if self._hold else 1) & 0xFF
            if key in (ord("q"), 27) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                raise ClosedPipe("the window was closed")
            if not self._hold or key != 0xFF:
                return

    def close(self) -> None:
        """Close the window."""
        import cv2

        if self._open:
            self._open = False
            cv2.destroyWindow(TITLE)
