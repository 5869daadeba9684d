"""One group of inputs from a worker process into a part, whatever happens to the process on the way.

Pool threads and Ray tasks both end here, so that both treat a file that kills its reader alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.archive.settings import Settings
from fer_edge.worker.process import Worker, WorkerError
from fer_edge_runtime.errors import FerEdgeError

if TYPE_CHECKING:
    from fer_edge.archive.inputs import Input
    from fer_edge.archive.part import PartWriter

COMMAND = (sys.executable, "-P", "-m", "fer_edge.archive.worker")
ATTEMPTS = 2
STARTS = 3
SILENCE_S = 300.0


class Progress(NamedTuple):
    """Something got done: frames of an input, or the last of it.

    Attributes:
        frames: looked at since the last report.
        faces: found since then.
        done: whether the input is finished.
        problem: why it, or its rest, cannot be read.
    """

    frames: int
    faces: int
    done: bool = False
    problem: str | None = None


class WorkerDiedError(Exception):
    """The worker process ended while it had an input; the text says how."""


class Seat:
    """A place at which a worker process sits; when it dies, a new one takes the place."""

    def __init__(self, settings: Settings, buckets: dict[str, str], *, silence_s: float = SILENCE_S) -> None:
        """Remember how to start a worker; none is started yet.

        Args:
            settings: of the annotator.
            buckets: see `fer_edge.archive.inputs.Listing`.
            silence_s: a worker that gives no sign of life for longer is ended.
        """
        self._settings, self._buckets, self._silence_s = settings, buckets, silence_s
        self._worker: Worker | None = None
        self._facts: dict[str, Any] = {}
        self._closed = False

    def facts(self) -> dict[str, Any]:
        """What runs; starts a worker when there is none.

        Raises:
            FerEdgeError: the model cannot be loaded.
        """
        self._ready()
        return self._facts

    def pieces(self, item: Input) -> Iterator[dict[str, Any]]:
        """The pieces of an input, as `fer_edge.archive.annotator.Piece`.

        Raises:
            WorkerDiedError: with the process gone; the next call starts another.
            FerEdgeError: no worker can be started.
        """
        worker = self._ready()
        action: dict[str, Any] = {"action": "begin", "input": item}
        while True:
            try:
                piece = worker.ask(**action)
            except WorkerError as error:
                self._end(worker)
                raise WorkerDiedError(str(error)) from None
            if "end" in piece:
                return
            yield piece
            action = {"action": "more"}

    def kill(self) -> None:
        """End the process at once and for good; from any thread."""
        self._closed = True
        worker = self._worker
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._end(self._worker)

    def _ready(self) -> Worker:
        if self._closed:
            raise FerEdgeError("The worker was told to end.")
        for attempt in range(STARTS):
            if self._worker is not None:
                break
            worker = self._worker = Worker(COMMAND, answer_timeout_s=self._silence_s)
            if self._closed:  # told to end while it started
                worker.kill()
            try:
                self._facts = worker.ask("open", settings=self._settings._asdict(), buckets=self._buckets)
            except WorkerError as error:
                self._end(worker)
                refused = error.exit_code != WorkerError.exit_code
                if refused or self._closed or attempt == STARTS - 1:
                    raise
        assert self._worker is not None  # noqa: S101 the last attempt raised otherwise
        return self._worker

    def _end(self, worker: Worker) -> None:
        self._worker = None
        with suppress(ProcessLookupError):
            worker.kill()
        worker.close()


def annotate_group(
    seat: Seat, group: Sequence[Input], part: PartWriter, *, report: Callable[[Progress], None], stopped: Callable[[], bool]
) -> None:  # fmt: skip
    """Put all rows of a group into a part; of a group that is stopped, the inputs that are finished.

    An input whose process dies gets one more chance, in a process of its own start; then it is listed as bad.

    Raises:
        FerEdgeError: no worker can be started.
    """
    for item in group:
        if stopped() or not _annotate(seat, item, part, report, stopped):
            return


def _annotate(
    seat: Seat, item: Input, part: PartWriter, report: Callable[[Progress], None], stopped: Callable[[], bool]
) -> bool:
    """Whether the input is finished."""
    how = ""
    for _ in range(ATTEMPTS):
        part.begin()
        problem = None
        try:
            for piece in seat.pieces(item):
                part.add(item, piece["rows"], piece["frames"])
                problem = piece["problem"] or problem
                report(Progress(piece["frames"], sum(len(row) > 4 for row in piece["rows"])))
        except WorkerDiedError as died:
            if stopped():
                return False
            how = str(died)
            continue
        except FerEdgeError:
            if stopped():
                return False
            raise
        break
    else:
        part.begin()
        problem = f"{item.source}: {how}, {ATTEMPTS} times. The file may be made to crash its reader."
    part.finish(item, problem)
    report(Progress(0, 0, done=True, problem=problem))
    return True
