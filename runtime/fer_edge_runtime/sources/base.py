"""What every source of frames can do, and the names that are safe to show."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from fer_edge_runtime.sources.health import SourceHealth
from fer_edge_runtime.types import Frame, SourceKind

_AT = r"@|%40"  # one that is written as %40 may be meant as one


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
    """A URL without what may be secret: user name, password, query, fragment, and a path from its first ``=`` on.

    A password may hold ``@``, ``/`` or ``?`` although it should not, and some cameras take it in the path
    (``/user=admin_password=…``); when in doubt more is hidden, never less.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    secret = re.search(_AT, authority) is not None or (":" in authority and "@" in rest)
    shown = re.split(_AT, rest)[-1] if secret else rest
    path = re.split(r"[?#]", shown, maxsplit=1)[0]
    query = "?…" if path != shown else ""
    if "=" in path:
        path, query = path[: path.index("=")].rpartition("/")[0] + "/…", ""
    return display_name(f"{scheme}://{'***@' if secret else ''}{path}{query}")


def display_source(spec: str) -> str:
    """What was given as a source and is nothing that exists: a mistyped address is not repeated, as it may hold a password."""
    if "://" in spec or " ! " in spec or re.search(_AT, spec.partition(":")[2]):
        return "the source given (not repeated here, as it may hold a password)"
    return display_name(spec)


def without_secrets(sentence: str) -> str:
    """The safety net of everything that is printed: addresses in it lose their passwords and queries, if they still have any."""

    def shown(found: re.Match[str]) -> str:
        address = found[0]
        password = re.search(r"://[^/?#@\[\]:]*+:", address.rpartition("@")[0])
        return display_url(address) if password or "=" in address.partition("?")[2] else address

    # From the beginning of a word, and never back: a long word must not be looked at from each of its letters.
    return re.sub(r"(?<![\w+.-])[\w+.-]++://\S+", shown, sentence)


def quiet_opencv() -> None:
    """Stop OpenCV and its FFmpeg from writing to stderr: what matters arrives as an error of ours."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV 5 moved the function; 0 is "silent" in both.
    logging: Any = getattr(cv2.utils, "logging", cv2)
    logging.setLogLevel(0)
