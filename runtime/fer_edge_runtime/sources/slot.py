"""A place for one item, where a newer one replaces the one that nobody took."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Slot(Generic[Item]):
    """Hands the latest item from one thread to another; the writer never waits.

    Attributes:
        dropped: items replaced before anybody took them.
    """

    def __init__(self) -> None:
        """An empty slot."""
        self.dropped = 0
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._ended = False
        self._error: Exception | None = None

    def put(self, item: Item) -> bool:
        """Store an item in the place of the previous one; False when the slot has ended."""
        with self._changed:
            if self._ended:
                return False
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify_all()
            return True

    def end(self, error: Exception | None = None) -> None:
        """No more items; the reader still gets the last one, then the error if there is one."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop the item that nobody took, if there is one."""
        with self._changed:
            self.dropped += self._item is not None
            self._item = None

    def take(self, timeout_s: float) -> Item | None:
        """The latest item, waiting for one; None when none came in time.

        Raises:
            EOFError: the slot has ended without an error.
            Exception: the one that ``end`` was given.
        """
        until = time.monotonic() + timeout_s
        with self._changed:
            while self._item is None:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise EOFError
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            item, self._item = self._item, None
            return item
