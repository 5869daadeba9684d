"""Several sinks as one, and what becomes of the others when one of them fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from fer_edge_runtime.anonymize import Anonymizer
from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import Sink, output_error
from fer_edge_runtime.types import Frame, FrameResult


class Sinks:
    """Several sinks as one; draws each frame once, and only when one of them needs it.

    With an anonymizer, this is where heads are covered: no sink is ever given another picture.

    Attributes:
        draw_ms: milliseconds that covering and drawing the last frame took; 0 when nothing needed it.
        failures: times that a sink failed and the others went on without it.
        first_error: of the first of them.
    """

    def __init__(
        self, sinks: Sequence[Sink] = (), *, anonymizer: Anonymizer | None = None, lenient: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        """Start with these sinks.

        Args:
            sinks: the first ones.
            anonymizer: covers heads before any sink gets the picture.
            lenient: go on without a sink that fails, as long as another one is left: for a run without an end.
            say: takes the sentence about it.
        """
        self._anonymizer = anonymizer
        self.draw_ms = 0.0
        self.failures = 0
        self.first_error: OutputError | None = None
        self._sinks = list(sinks)
        self._failed: list[Sink] = []
        self._lenient = lenient
        self._say = say or (lambda _sentence: None)
        self._said: set[int] = set()

    def add(self, sink: Sink) -> None:
        """Add one."""
        self._sinks.append(sink)

    def __len__(self) -> int:
        """How many."""
        return len(self._sinks)

    @property
    def needs_drawing(self) -> bool:
        """Whether one of them does, now."""
        return any(sink.needs_drawing for sink in self._sinks)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Give a clean frame and its result to every sink.

        Raises:
            OutputError: one of them failed, and none is left or none may fail.
            ClosedPipe: nobody wants more.
        """
        started_s = time.perf_counter()
        self._take_back(frame)
        if self._anonymizer is not None:
            frame = self._anonymizer.cover(frame, result)
        wants = [sink.needs_drawing for sink in self._sinks]
        drawn = self._draw(frame, result) if any(wants) else frame
        needed = any(wants) or self._anonymizer is not None
        self.draw_ms = (time.perf_counter() - started_s) * 1000 if needed else 0.0
        for sink, wanted in zip(list(self._sinks), wants, strict=True):
            try:
                sink.write(drawn if wanted else frame, result)
            except (OutputError, OSError) as error:
                self._go_on_without(sink, error)

    def _draw(self, frame: Frame, result: FrameResult) -> Frame:
        from fer_edge_runtime.draw import annotate

        # Dots would show where on a covered face its features are.
        landmarks = self._anonymizer is None
        return replace(frame, image=annotate(frame.image, result.faces, landmarks=landmarks))

    def _take_back(self, frame: Frame) -> None:
        """Sinks that have failed and want to be tried again."""
        for sink in [sink for sink in self._failed if sink.tries_again(frame)]:
            self._failed.remove(sink)
            self._sinks.append(sink)

    def _go_on_without(self, sink: Sink, error: OutputError | OSError) -> None:
        """Leave a sink out, if that is allowed and another one is left.

        Raises:
            OutputError, OSError: otherwise what it raised.
        """
        if not self._lenient or len(self._sinks) < 2 or isinstance(error, BrokenPipeError):
            raise error
        if isinstance(error, OSError):
            error = output_error(sink.describe() or "An output", error)
        self._sinks.remove(sink)
        self._failed.append(sink)
        self.failures += 1
        self.first_error = self.first_error or error.with_traceback(None)  # whose frames hold pictures
        if id(sink) not in self._said:
            self._said.add(id(sink))
            self._say(
                f"{error} The run goes on without it{sink.comeback}; it will end with exit code {error.exit_code}."
            )

    def idle(self) -> None:
        """No frame comes for the moment.

        Raises:
            OutputError: as ``write``.
        """
        for sink in list(self._sinks):
            try:
                sink.idle()
            except (OutputError, OSError) as error:
                self._go_on_without(sink, error)

    def took(self, stages_ms: Mapping[str, float]) -> None:
        """Tell all what reading, drawing and writing the last frame took."""
        for sink in self._sinks:
            sink.took(stages_ms)

    def counts(self) -> dict[str, int]:
        """Counter -> value, for metrics: the failures, and what the sinks count."""
        counted = {"output_failures": self.failures}
        for sink in (*self._sinks, *self._failed):
            counted.update(sink.counts())
        return counted

    def describe(self) -> list[str]:
        """Where the results are."""
        return [text for sink in (*self._sinks, *self._failed) if (text := sink.describe())]

    def close(self) -> None:
        """Close all of them, then raise the first error."""
        first: Exception | None = None
        for sink in (*self._sinks, *self._failed):
            try:
                sink.close()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def __enter__(self) -> Self:
        """The sinks themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
