"""``fer-edge run``: put source, recognizer and sinks together, show what happens, end cleanly."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2

from fer_edge import __version__
from fer_edge.first_run import first_run_notice
from fer_edge.pulse import Pulse
from fer_edge.startup import loaded
from fer_edge.stopping import Stopped, Stopper
from fer_edge.throttle_watch import ThrottleWatch
from fer_edge_runtime.engines.select import default_threads
from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.loop import Summary, run_loop
from fer_edge_runtime.notify import Notifier
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.sinks import ClosedPipe, open_sinks
from fer_edge_runtime.sources import display_name, open_source
from fer_edge_runtime.sources.base import without_secrets
from fer_edge_runtime.stream import STREAM_SCAN_EVERY, StreamRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fer_edge_runtime.sinks.broker import MqttOptions
    from fer_edge_runtime.sinks.page import PageOptions
    from fer_edge_runtime.sinks.rotation import Rotation
    from fer_edge_runtime.sources import LiveOptions, Source, SourceHealth
    from fer_edge_runtime.types import FrameResult

STATUS_EVERY_S = 0.25
NOTICE = (
    "Note: labels are apparent expressions, not feelings. Tell people that they are filmed; EU law bans emotion recognition "
    "at work and school. Frames are neither stored nor sent unless you ask for it."
)


class RunOptions(NamedTuple):
    """The command's options, as given."""

    camera: str | None
    source: str | None
    model: str
    device: str
    engine: str
    detector: str
    threads: int
    detect_every: int
    min_face: int
    largest: bool
    save: str | None
    json: str | None
    csv: str | None
    show: bool
    serve: PageOptions | None
    mqtt: MqttOptions | None
    require_signature: Path | None
    live: LiveOptions
    anonymize: bool
    rotation: Rotation | None
    max_frames: int | None
    quiet: bool


class Console:
    """Human text on stderr: sentences, and one status line that is overwritten when stderr is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._status_shown = False
        self._next_status_s = 0.0
        self._turn = threading.Lock()

    def say(self, sentence: str) -> None:
        """Print a line, unless quiet; from any thread."""
        if not self._quiet:
            self.warn(sentence)

    def warn(self, sentence: str) -> None:
        """Print a line even when quiet; from any thread."""
        # Words are not what a run is for: it goes on when nobody reads them any more.
        with self._turn, suppress(OSError, ValueError):
            self._clear()
            sys.stderr.write(f"{without_secrets(sentence)}\n")
            sys.stderr.flush()

    def status(self, result: FrameResult) -> None:
        """Refresh the status line, a few times a second at most."""
        now_s = time.monotonic()
        if not self._live or now_s < self._next_status_s:
            return
        self._next_status_s = now_s + STATUS_EVERY_S
        with self._turn, suppress(OSError, ValueError):
            sys.stderr.write(f"\r\x1b[2K{status_line(result)}")
            sys.stderr.flush()
            self._status_shown = True

    def _clear(self) -> None:
        if self._status_shown:
            sys.stderr.write("\r\x1b[2K")
            self._status_shown = False


def run_command(options: RunOptions) -> None:
    """Run until the source ends or a signal comes."""
    stop = threading.Event()
    stopper = Stopper(stop)
    console = Console(quiet=options.quiet)
    try:
        _run(options, console, stop, stopper)
    except (Stopped, ClosedPipe):
        console.say("Stopped before the first frame.")


def _run(options: RunOptions, console: Console, stop: threading.Event, stopper: Stopper) -> None:
    cv2.setNumThreads(1)  # pictures this small gain nothing from OpenCV's pool, and it takes cores from the engine
    spec = _what_to_look_at(options)
    notifier = Notifier.from_environment()
    with open_source(spec, stop=stop, live=options.live._replace(say=console.warn)) as source:
        pictures = source.kind == "pictures"
        threads = options.threads or (default_threads(spare_cores=0) if pictures else 0)
        with stopper.loading():
            recognizer = Recognizer.load(
                options.model, engine=options.engine, device=options.device, threads=threads,
                detector=options.detector, min_face=options.min_face, largest=options.largest,
                scan_every=1 if pictures or options.anonymize else STREAM_SCAN_EVERY,
                require_signature=options.require_signature, find_all=options.anonymize,
            )  # fmt: skip
        if not options.quiet:
            console.say(f"fer-edge {__version__}: {source.name}: {recognizer.describe()}")
            if notice := first_run_notice() or (NOTICE if source.kind == "live" else ""):
                console.say(notice)
        if options.anonymize and options.detect_every > 1 and not pictures:
            console.say(
                f"Note: with --detect-every {options.detect_every} a face that appears is seen, and covered, up to "
                f"{options.detect_every - 1} frame{'s' * (options.detect_every > 2)} later."
            )
        stream = StreamRecognizer(recognizer, source.kind, detect_every=options.detect_every)
        with open_sinks(
            labels=recognizer.labels, kind=source.kind, total=source.total, fps=source.fps, json=options.json,
            csv=options.csv, save=options.save, show=options.show, serve=options.serve,
            health=source.health, mqtt=patient(options.mqtt, options.live.wait or notifier is not None), stop=stop, say=console.warn, anonymize=options.anonymize,
            rotation=options.rotation,
        ) as sinks:  # fmt: skip
            loaded()
            places = sinks.describe()
            if options.serve:
                console.say(f"Live page: {places[0]}")
            if options.mqtt:
                console.say(f"MQTT: {places[1 if options.serve else 0]}")
            show = _picture_line(console) if pictures else console.status

            def idle() -> None:
                pulse.idle()
                sinks.idle()

            # A film's results do not depend on the weather, and nobody is covered later because of it.
            eases = source.kind == "live" and not options.anonymize
            throttling = ThrottleWatch(console.warn, ease=stream.ease if eases else None)
            with Pulse(source, show, notifier, throttling) as pulse:
                summary = run_loop(
                    source, stream, sinks, stop=stop, max_frames=options.max_frames, on_result=pulse.frame,
                    on_idle=idle,
                )  # fmt: skip
            places = sinks.describe()
    for line in summary_lines(source, summary, places):
        console.say(line)
    if sinks.first_error is not None:
        raise sinks.first_error


def serve_options(address: str | None, **others: Path | None) -> PageOptions | None:
    """What was asked of the live page; looked at before the camera is.

    Raises:
        ConfigError: the address, the token or the certificate cannot be used, or options came without an address.
    """
    if address is None:
        if any(others.values()):
            raise ConfigError("There are options for the live page but no address. Give --serve HOST:PORT as well.")
        return None
    from fer_edge_runtime.sinks.page import page_options

    return page_options(address, **others)


def mqtt_options(url: str | None, **others: Any) -> MqttOptions | None:
    """What was asked of MQTT; the address is read at once, so that a mistake in it does not wait for the camera.

    Raises:
        ConfigError: the address cannot be read, or its options came without it.
    """
    if url is None:
        if any(others[name] not in (None, False) for name in ("name", "ca", "cert", "key", "every_frame")):
            raise ConfigError("There are options for MQTT but no broker. Give --mqtt mqtt://HOST as well.")
        return None
    from fer_edge_runtime.sinks.broker import MqttOptions, parse_broker

    options = MqttOptions(address_of(url, "mqtt"), version=__version__, **others)
    parse_broker(options)
    return options


def patient(options: MqttOptions | None, wait: bool) -> MqttOptions | None:
    """Also wait for the broker in a run that waits for its camera or is a service: after a power cut all start together."""
    return None if options is None else replace(options, patient=wait)


def _what_to_look_at(options: RunOptions) -> str:
    if (options.camera is None) == (options.source is None):
        problem = "Both --camera and --source were given" if options.camera is not None else "Nothing to look at"
        raise ConfigError(f"{problem}. Give one of: --camera 0, --source FILE, --source demo.")
    if options.camera is not None:
        return address_of(options.camera, "camera")
    return address_of(str(options.source), "source")


def address_of(value: str, option: str) -> str:
    """What was given, or for ``env:NAME`` what that environment variable holds: other users can read options, not that.

    Raises:
        ConfigError: it is not set.
    """
    if not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    found = os.environ.get(name, "")
    if not found:
        raise ConfigError(
            f"--{option} {display_name(value)}: there is no environment variable {display_name(name)}, or it is empty."
        )
    return found


def _picture_line(console: Console) -> Callable[[FrameResult], None]:
    def show(result: FrameResult) -> None:
        console.say(f"{result.source}: {describe_faces(result)}")

    return show


def describe_faces(result: FrameResult) -> str:
    """Such as ``2 faces: happy 97 %, uncertain (sad 31 %)``."""
    if not result.faces:
        return "no face found"
    names = []
    for face in result.faces:
        best = max(face.scores, key=lambda name: face.scores[name])
        percent = f"{face.score:.0%}".replace("%", " %")
        names.append(
            f"{face.label} {percent}" if face.label == best else f"{face.label} ({best} {face.scores[best]:.0%})"
        )
    return f"{len(names)} face{'s' * (len(names) != 1)}: {', '.join(names)}"


def status_line(result: FrameResult) -> str:
    """Frame rate, faces and milliseconds per stage on one line."""
    stages = " ".join(f"{name} {cost:.1f}" for name, cost in result.stages_ms.items() if name != "total")
    return f"{result.fps:5.1f} fps | {describe_faces(result)} | ms: {stages}"[:160]


def summary_lines(source: Source, summary: Summary, places: list[str]) -> list[str]:
    """What a run did, for a person."""
    if summary.frames == 0:
        lines = [f"{source.name}: {summary.ended} before the first frame."]
    else:
        rate = (
            f", {summary.frames / summary.seconds:.1f} frames/s"
            if source.kind != "pictures" and summary.seconds
            else ""
        )
        dropped = f", {summary.dropped} dropped while busy" if summary.dropped else ""
        lines = [
            f"{summary.frames} frame{'s' * (summary.frames != 1)} in {summary.seconds:.2f} s{rate}{dropped}; {summary.ended}.",
            "Median ms per stage: " + ", ".join(f"{name} {cost:.2f}" for name, cost in summary.stages_ms.items()),
        ]
        if summary.labels:
            total = sum(summary.labels.values())
            shares = ", ".join(f"{name} {count / total:.0%}" for name, count in summary.labels.most_common())
            tracks = f" of {summary.tracks} track{'s' * (summary.tracks != 1)}" if summary.tracks else ""
            lines.append(f"Faces in {summary.frames_with_faces} of {summary.frames} frames{tracks}: {shares}.")
        else:
            lines.append(
                "No face was found. Faces should be upright, lit and at least --min-face pixels wide; for far faces use --detector full."
            )
    if summary.source is not None and (troubles := _troubles(summary.source)):
        lines.append(f"{source.name}: {troubles}.")
    if summary.output_failures:
        lines.append(
            f"Outputs failed {summary.output_failures} time{'s' * (summary.output_failures != 1)}; the run went on without them."
        )
    lines += [f"Could not be read: {problem}" for problem in source.problems]
    lines += [f"Written: {place}" for place in places]
    return lines


def _troubles(health: SourceHealth) -> str:
    """What a camera or stream went through, as a list in words; empty when there was nothing."""
    counts = (
        (health.stalls, "stall"), (health.reconnects, "reconnect"), (health.frozen, "frozen picture"),
        (health.resized, "change of size"), (health.odd, "unusable picture"), (health.abandoned, "thread hanging in the driver"),
    )  # fmt: skip
    plurals = {"change of size": "changes of size", "thread hanging in the driver": "threads hanging in the driver"}
    return ", ".join(f"{n} {word if n == 1 else plurals.get(word, word + 's')}" for n, word in counts if n)
