"""Where results go: JSON Lines, CSV, annotated pictures and videos, a window, a live page, an MQTT broker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fer_edge_runtime.anonymize import Anonymizer
from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.sinks.base import ClosedPipe, Sink
from fer_edge_runtime.sources.base import display_url
from fer_edge_runtime.types import Frame, FrameResult, SourceKind

if TYPE_CHECKING:
    from fer_edge_runtime.sinks.broker import MqttOptions
    from fer_edge_runtime.sinks.page import PageOptions
    from fer_edge_runtime.sinks.rotation import Rotation
    from fer_edge_runtime.sources.health import SourceHealth

__all__ = ["ClosedPipe", "Sink", "Sinks", "open_sinks"]


def open_sinks(
    *,
    labels: Sequence[str],
    kind: SourceKind,
    total: int | None = None,
    fps: float | None = None,
    json: str | None = None,
    csv: str | None = None,
    save: str | None = None,
    show: bool = False,
    serve: PageOptions | None = None,
    health: Callable[[], SourceHealth] | None = None,
    mqtt: MqttOptions | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] | None = None,
    anonymize: bool = False,
    rotation: Rotation | None = None,
) -> Sinks:
    """Open the sinks that were asked for; their modules are imported only then.

    Args:
        labels: of the bundle, for the columns of the CSV file.
        kind: of the source; with ``total`` and ``fps`` it decides what ``save`` writes.
        total: number of frames of the source, when known.
        fps: of the source, when it states one.
        json: path of a JSON Lines file, or ``-``.
        csv: path of a CSV file, or ``-``.
        save: path of an annotated picture or video, or a folder.
        show: a window.
        serve: where and for whom the live page is.
        health: of the source, for the page.
        mqtt: which broker, as whom, what.
        stop: ends the waiting for a key in the window, for the broker or for a pipe's reader.
        say: takes what a sink has to tell people while it runs, from any thread.
        anonymize: cover all heads before any sink gets the picture.
        rotation: write ``json``, ``csv`` and a video as a series of files, and delete old ones.

    Raises:
        OutputError: one of them cannot be opened; those opened before are closed again.
        ConfigError: two of them write to the same place, or an address cannot be read.
        DeviceError: the MQTT broker is not there; MissingPackageError: its client is not installed.
    """
    targets = [target for target in (json, csv, save) if target is not None]
    for target in targets:
        if "://" in target:
            raise ConfigError(f"{display_url(target)}: results are written into files. Give a path.")
    if len(set(targets)) < len(targets):
        raise ConfigError(f"Two outputs go to the same place ({', '.join(targets)}). Give each its own name.")
    files = [target for target in targets if target != "-"]
    if rotation is not None and (not files or kind == "pictures"):
        raise ConfigError(
            "--rotate is for files of a video or camera. Give --save, --json FILE or --csv FILE, or leave it out."
        )

    def series(target: str, make: Callable[[str], Sink]) -> Sink:
        if rotation is None or target == "-":
            return make(target)
        from fer_edge_runtime.sinks.rotation import RotatingSink

        path = Path(os.path.expanduser(target))  # noqa: PTH111 this one never raises
        return RotatingSink(path, lambda name: make(str(name)), rotation, say=say or (lambda _: None))

    sinks = Sinks(anonymizer=Anonymizer(stream=kind != "pictures") if anonymize else None)
    try:
        if serve is not None:
            from fer_edge_runtime.sinks.page import PageSink

            sinks.add(PageSink(serve, health=health))
        if mqtt is not None:
            from fer_edge_runtime.sinks.mqtt import MqttSink

            sinks.add(MqttSink(mqtt, labels=labels, stop=stop, say=say))
        if show:
            from fer_edge_runtime.sinks.window import WindowSink

            sinks.add(WindowSink(hold=kind == "pictures", stop=stop))
        if save is not None:
            from fer_edge_runtime.sinks.media import open_media, video_path

            video = save if rotation is None else str(video_path(save))
            sinks.add(series(video, lambda name: open_media(name, kind=kind, total=total, fps=fps)))
        if csv is not None:
            from fer_edge_runtime.sinks.csv_rows import CsvSink

            sinks.add(series(csv, lambda name: CsvSink(name, labels=labels, stop=stop)))
        if json is not None:
            from fer_edge_runtime.sinks.jsonl import JsonLinesSink

            sinks.add(series(json, lambda name: JsonLinesSink(name, stop=stop)))
    except BaseException:
        sinks.close()
        raise
    return sinks


class Sinks:
    """Several sinks as one; draws each frame once, and only when one of them needs it.

    With an anonymizer, this is where heads are covered: no sink is ever given another picture.

    Attributes:
        draw_ms: milliseconds that covering and drawing the last frame took; 0 when nothing needed it.
    """

    def __init__(self, sinks: Sequence[Sink] = (), *, anonymizer: Anonymizer | None = None) -> None:
        """Start with these sinks."""
        self._anonymizer = anonymizer
        self.draw_ms = 0.0
        self._sinks = list(sinks)

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
            OutputError: one of them failed.
            ClosedPipe: nobody wants more.
        """
        started_s = time.perf_counter()
        if self._anonymizer is not None:
            frame = self._anonymizer.cover(frame, result)
        wants = [sink.needs_drawing for sink in self._sinks]
        drawn = self._draw(frame, result) if any(wants) else frame
        needed = any(wants) or self._anonymizer is not None
        self.draw_ms = (time.perf_counter() - started_s) * 1000 if needed else 0.0
        for sink, wanted in zip(self._sinks, wants, strict=True):
            sink.write(drawn if wanted else frame, result)

    def _draw(self, frame: Frame, result: FrameResult) -> Frame:
        from fer_edge_runtime.draw import annotate

        # Dots would show where on a covered face its features are.
        landmarks = self._anonymizer is None
        return replace(frame, image=annotate(frame.image, result.faces, landmarks=landmarks))

    def idle(self) -> None:
        """No frame comes for the moment."""
        for sink in self._sinks:
            sink.idle()

    def describe(self) -> list[str]:
        """Where the results are."""
        return [text for sink in self._sinks if (text := sink.describe())]

    def close(self) -> None:
        """Close all of them, then raise the first error."""
        first: Exception | None = None
        for sink in self._sinks:
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
