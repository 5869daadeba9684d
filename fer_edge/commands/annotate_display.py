"""What an annotation shows while it works: a bar with rate and time left, or a line now and then where no terminal is."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from fer_edge.commands.display import stop_if_asked

if TYPE_CHECKING:
    from fer_edge.archive.group import Progress

LINE_EVERY_S = 30.0
KEPT = 100


def counted(number: int, noun: str) -> str:
    """Such as ``1 video`` or ``1,200 videos``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


class AnnotateDisplay:
    """Sentences and a bar on stderr.

    Attributes:
        done: inputs finished in this run.
        problems: the first 100 reasons why inputs cannot be read.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self.done = 0
        self.problems: list[str] = []
        self._bad = self._frames = self._faces = 0
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar: Any = None
        self._task: Any = None
        self._title = ""
        self._total = 0
        self._begin_s = self._line_s = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(), console=self._console, transient=True,
            disable=not self._console.is_terminal,
        )  # fmt: skip
        self._title = ""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def say(self, sentence: str) -> None:
        """Print a line, above the bar if there is one."""
        stop_if_asked()
        self._console.print(sentence, soft_wrap=True, markup=False)

    def start(self, total: int) -> None:
        """Begin to count inputs."""
        self._total = total
        self._begin_s = self._line_s = time.monotonic()
        self.bar("annotating", 0, total)

    def show(self, progress: Progress) -> None:
        """Count what got done."""
        self._frames += progress.frames
        self._faces += progress.faces
        self.done += progress.done
        if progress.problem is not None:
            self._bad += 1
            self.problems += [progress.problem] if len(self.problems) < KEPT else []
        self.bar("annotating", self.done, self._total)
        self.tick()

    def tick(self) -> None:
        """Keep the display true; ends with KeyboardInterrupt once a signal asked for it."""
        stop_if_asked()
        now_s = time.monotonic()
        if not self._console.is_terminal and now_s - self._line_s > LINE_EVERY_S:
            self._line_s = now_s
            self._console.print(
                f"{self.done:,} of {self._total:,} inputs; {self._note()}", soft_wrap=True, markup=False
            )

    def bar(self, title: str, done: int, total: int) -> None:
        """Show how far a step is."""
        stop_if_asked()
        if title != self._title:
            if self._task is not None and self._title:
                self._bar.remove_task(self._task)
            self._task, self._title = self._bar.add_task(title, total=total, note=""), title
        self._bar.update(self._task, completed=done, note=self._note() if title == "annotating" else "")

    def _note(self) -> str:
        seconds = time.monotonic() - self._begin_s
        rate = f"{self.done / seconds:.1f} inputs/s, {self._frames / seconds:.1f} frames/s, " if seconds > 0 else ""
        bad = f", {self._bad:,} unreadable" if self._bad else ""
        return f"{rate}{counted(self._faces, 'face')}{bad}"
