"""What every source of frames can do, and the names that are safe to show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from fer_edge_runtime.sources.health import SourceHealth
from fer_edge_runtime.types import Frame, SourceKind


class Source(Protocol):
    """Gives frames one after the other; use it as a context manager.

    Attributes:
        name: for people and logs; never holds a password.
        kind: ``pictures`` and ``video`` lose no frame (they wait for the reader); ``live`` drops old ones.
        fps: frames per second that the source states, or None.
        total: number of frames when it is known.
        dropped: frames that a live source delivered and nobody read.
        problems: sentences about what could not be read although the source as a whole could.
    """

    name: str
    kind: SourceKind
    fps: float | None
    total: int | None
    dropped: int
    problems: list[str]

    def frames(self, *, on_idle: Callable[[], None] | None = None) -> Iterator[Frame]:
        """The frames, until the source ends, the stop event is set or ``close`` is called.

        Args:
            on_idle: called about ten times a second, in the reader's thread, while it waits for a live source.

        Raises:
            SourceError: nothing can be read, or a live source stopped delivering and is not opened again.
        """
        ...

    def health(self) -> SourceHealth:
        """State and counters at this moment; safe from any thread."""
        ...

    def close(self) -> None:
        """Let go of the device or file; safe to call twice and from another thread."""

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def display_name(text: str) -> str:
    """A path or specification as one printable line: no control characters, no broken Unicode."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in readable)


def display_url(url: str) -> str:
    """A URL without what may be secret: user name, password, query and fragment.

    A password may hold ``@``, ``/`` or ``?`` although it should not; when in doubt more is hidden, never less.
    """
    scheme, _, rest = url.partition("://")
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    secret = "@" in authority or (":" in authority and "@" in rest)
    shown = rest.rpartition("@")[2] if secret else rest
    path = shown.split("?", 1)[0].split("#", 1)[0]
    query = "?…" if path != shown else ""
    return display_name(f"{scheme}://{'***@' if secret else ''}{path}{query}")


def quiet_opencv() -> None:
    """Stop OpenCV and its FFmpeg from writing to stderr: what matters arrives as an error of ours."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV 5 moved the function; 0 is "silent" in both.
    logging: Any = getattr(cv2.utils, "logging", cv2)
    logging.setLogLevel(0)
