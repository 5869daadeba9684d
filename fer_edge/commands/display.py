"""What the long commands share: a progress bar, sentences on stderr, early refusal when a package is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import ConfigError, MissingPackageError

BACKENDS = ("tensorflow", "jax", "torch")
EXIT_INTERRUPTED = 130
_asked_to_stop = threading.Event()


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """End on Ctrl-C and SIGTERM alike with one sentence, ``advice`` being its second half, and exit code 130."""
    _asked_to_stop.clear()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell sets it for what runs in its background
        signal.signal(signal.SIGINT, _stop)
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"fer-edge: interrupted; {advice}\n")
        sys.exit(EXIT_INTERRUPTED)


def _stop(*_: object) -> None:
    _asked_to_stop.set()
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """A signal that came inside a library's callback, where Python ignores exceptions, counts at the next step."""
    if _asked_to_stop.is_set():
        raise KeyboardInterrupt


def need(packages: tuple[str, ...], extra: str) -> None:
    """Refuse early, with the pip command, when a package of an extra is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, extra)


def need_backend() -> None:
    """Refuse early when the library that Keras is to compute with is missing."""
    backend = os.environ.get("KERAS_BACKEND") or _backend_of_settings()
    if backend not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND is '{backend}', which cannot train; choose {', '.join(BACKENDS)}.")
    if importlib.util.find_spec(backend) is not None:
        return
    if backend == "tensorflow":
        raise MissingPackageError(backend, "train", "Keras's backend; KERAS_BACKEND=jax or torch chooses another")
    raise ConfigError(
        f"Keras is to compute with '{backend}' (KERAS_BACKEND), which is not installed. Install it with: pip install {backend}"
    )


def _backend_of_settings() -> str:
    settings = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    try:
        return str(json.loads(settings.read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


class Display:
    """A progress bar and sentences on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task: Any = None
        self._title = ""

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        stop_if_asked()
        self._console.print(sentence, soft_wrap=True, markup=False)

    def start(self, title: str, steps: int) -> None:
        """Begin a bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=steps, note="")
        self._title = title

    def step(self, loss: float, accuracy: float) -> None:
        """Advance it."""
        stop_if_asked()
        self._progress.update(self._task, advance=1, note=f"loss {loss:.3f} accuracy {accuracy:.1%}")

    def progress(self, title: str, done: int, total: int) -> None:
        """Show how far a step is."""
        stop_if_asked()
        if title != self._title:
            self.start(title, total)
        self._progress.update(self._task, completed=done)
