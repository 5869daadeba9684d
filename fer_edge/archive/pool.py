"""One machine: a thread a worker process. The threads write parts, the processes compute."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.archive.group import Progress, Seat, annotate_group
from fer_edge.archive.inputs import Input
from fer_edge.archive.part import Covered, PartWriter
from fer_edge.archive.parts import Parts

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_EVERY_S = 0.2


def run_pool(
    seats: Sequence[Seat], groups: Sequence[Sequence[Input]], parts: Parts, schema: pa.Schema, *,
    show: Callable[[Progress], None], tick: Callable[[], None],
) -> dict[Path, list[Covered]]:  # fmt: skip
    """Annotate all groups.

    Args:
        seats: one for each process that works at a time; closed here.
        groups: in the order in which to begin them.
        parts: gets a part a group.
        schema: of the table.
        show: called in this thread with each bit of progress.
        tick: called in this thread a few times a second; what it raises stops everything.

    Returns:
        The new parts.

    Raises:
        FerEdgeError: no worker can be started, or a part cannot be written.
        KeyboardInterrupt: the user stopped it; the inputs finished by then are in parts.
    """
    pool = _Pool(seats, groups, parts, schema)
    try:
        pool.start()
        pool.wait(show, tick)
    finally:
        pool.end()
    return pool.made


class _Pool:
    def __init__(
        self, seats: Sequence[Seat], groups: Sequence[Sequence[Input]], parts: Parts, schema: pa.Schema
    ) -> None:
        self.made: dict[Path, list[Covered]] = {}
        self._seats, self._parts, self._schema = seats, parts, schema
        self._stop = threading.Event()
        self._groups: queue.SimpleQueue[tuple[int, Sequence[Input]]] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for numbered in enumerate(groups):
            self._groups.put(numbered)
        self._threads = [threading.Thread(target=self._work, args=(seat,)) for seat in seats]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, show: Callable[[Progress], None], tick: Callable[[], None]) -> None:
        working = len(self._threads)
        while working:
            tick()
            try:
                news = self._news.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(news, Progress):
                show(news)
            elif isinstance(news, BaseException):
                raise news
            else:
                working -= 1

    def end(self) -> None:
        """Wait for the threads; those that are not done keep what they have finished."""
        self._stop.set()
        if any(thread.is_alive() for thread in self._threads):
            for seat in self._seats:
                seat.kill()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        for seat in self._seats:
            seat.close()

    def _work(self, seat: Seat) -> None:
        try:
            while not self._stop.is_set():
                try:
                    number, group = self._groups.get_nowait()
                except queue.Empty:
                    break
                self._make(seat, number, group)
        except BaseException as error:  # noqa: BLE001 raised again in the main thread
            self._news.put(error)
        else:
            self._news.put(None)

    def _make(self, seat: Seat, number: int, group: Sequence[Input]) -> None:
        temporary = self._parts.temporary(f"group-{number}")
        part = PartWriter(temporary, self._schema)
        try:
            annotate_group(seat, group, part, report=self._news.put, stopped=self._stop.is_set)
        finally:
            if part.close():
                self.made[self._parts.commit(temporary, part.covered)] = part.covered
