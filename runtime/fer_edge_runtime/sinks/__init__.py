"""Where results go: JSON Lines, CSV, annotated pictures and videos, a window, a live page, an MQTT broker."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_runtime.anonymize import Anonymizer
from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.sinks.base import ClosedPipe, Sink
from fer_edge_runtime.sinks.group import Sinks
from fer_edge_runtime.sources.base import display_url
from fer_edge_runtime.types import SourceKind

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
        health: of the source, for the page and the broker.
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

    anonymizer = Anonymizer(stream=kind != "pictures") if anonymize else None
    sinks = Sinks(anonymizer=anonymizer, lenient=kind == "live", say=say)
    try:
        if serve is not None:
            from fer_edge_runtime.sinks.page import PageSink

            sinks.add(PageSink(serve, health=health, counts=sinks.counts))
        if mqtt is not None:
            from fer_edge_runtime.sinks.mqtt import MqttSink

            sinks.add(MqttSink(mqtt, labels=labels, stop=stop, say=say, health=health))
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
