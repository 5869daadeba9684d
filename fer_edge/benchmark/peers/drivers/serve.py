"""What every driver shares: answer requests, one JSON object a line, about a peer that is imported when the first one asks for it.

Runs in the peer's own virtual environment and needs nothing but the standard library; pictures are read with the peer's own OpenCV.
A peer is an object with ``faces(frame)`` (boxes with labels) and ``classify(face)`` (a label).
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Found = list[tuple[Iterable[float], str]]  # boxes with labels


def serve(
    open_peer: Callable[..., Any],
    read: Callable[[str], Any] | None = None,
    as_face: Callable[[bytes], Any] | None = None,
) -> None:
    """Answer until standard input ends.

    Args:
        open_peer: imports and builds the peer; takes the case's options.
        read: path of a picture to what ``faces`` takes; (H, W, 3) uint8 BGR by OpenCV without one.
        as_face: 48 times 48 bytes to what ``classify`` takes; (48, 48) uint8 by numpy without one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a peer prints is no answer
    session = Session(open_peer, read or read_bgr, as_face or grey)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(session, "do_" + request.pop("do"))(**request)
        except Exception as error:  # a peer may fail in any way; the one who asked is told
            answer = {"error": f"{type(error).__name__}: {error}"[:2000], "exit_code": 1}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Session:
    """The requests."""

    def __init__(
        self, open_peer: Callable[..., Any], read: Callable[[str], Any], as_face: Callable[[bytes], Any]
    ) -> None:
        self._open_peer, self._read, self._as_face = open_peer, read, as_face
        self._peer: Any = None

    def do_open(self, options: dict[str, Any], core: int | None = None) -> dict[str, Any]:
        """Import and build, on one core where a number is given."""
        if core is not None:
            os.sched_setaffinity(0, {core})
        self._peer = self._open_peer(**options)
        return {}

    def do_picture(self, path: str) -> dict[str, Any]:
        """The faces of one picture."""
        return {"faces": plain(self._peer.faces(self._read(path)))}

    def do_frames(self, paths: list[str]) -> dict[str, Any]:
        """Milliseconds and faces of every frame, decoding left out."""
        times: list[float] = []
        faces: list[Any] = []
        for path in paths:
            frame = self._read(path)
            begin = time.perf_counter()
            found = self._peer.faces(frame)
            times.append((time.perf_counter() - begin) * 1e3)
            faces.append(plain(found))
        return {"ms": times, "faces": faces}

    def do_classify(self, path: str, first: int, count: int) -> dict[str, Any]:
        """Labels of faces of a file of 48 by 48 bytes each."""
        size = 48 * 48
        with Path(path).open("rb") as file:
            file.seek(first * size)
            content = file.read(count * size)
        faces = [content[i : i + size] for i in range(0, len(content), size)]
        return {"labels": [self._peer.classify(self._as_face(face)) for face in faces]}


def read_bgr(path: str) -> Any:
    """(H, W, 3) uint8, BGR."""
    import cv2

    return cv2.imread(path)


def grey(content: bytes) -> Any:
    """(48, 48) uint8."""
    import numpy as np

    return np.frombuffer(content, np.uint8).reshape(48, 48)


def plain(faces: Found) -> list[dict[str, Any]]:
    """Boxes as x1, y1, x2, y2 in pixels, with their labels, as JSON can hold them."""
    return [{"box": [float(value) for value in box], "label": str(label)} for box, label in faces]
