"""``fer-edge serve``: a picture service without a camera."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2

from fer_edge import __version__
from fer_edge.commands.run import Console
from fer_edge.first_run import first_run_notice
from fer_edge.startup import loaded
from fer_edge.stopping import Stopped, Stopper
from fer_edge_runtime.engines.select import default_threads
from fer_edge_runtime.notify import Notifier
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.service.access import Access, read_token, require_token
from fer_edge_runtime.service.address import is_loopback, parse_address
from fer_edge_runtime.service.faces import FACES_ROUTES, FacesContext
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.service.server import Server, tls_context
from fer_edge_runtime.sources.base import quiet_opencv

BEAT_S = 1.0
NOTICE = (
    "Note: labels are apparent expressions, not feelings. Pictures are neither stored nor logged. EU law bans emotion "
    "recognition at work and school."
)


class ServeOptions(NamedTuple):
    """The command's options, as given."""

    address: str
    model: str
    device: str
    engine: str
    detector: str
    threads: int
    min_face: int
    largest: bool
    token_file: Path | None
    certificate: Path | None
    key: Path | None
    max_mib: float
    max_megapixels: float
    queue: int
    rate: float
    require_signature: Path | None
    quiet: bool


def serve_command(options: ServeOptions) -> None:
    """Serve until a signal comes."""
    stop = threading.Event()
    stopper = Stopper(stop)
    console = Console(quiet=options.quiet)
    try:
        _serve(options, console, stop, stopper)
    except Stopped:
        console.say("Stopped before it was ready.")


def _serve(options: ServeOptions, console: Console, stop: threading.Event, stopper: Stopper) -> None:
    host, port = parse_address(options.address)
    token = read_token(options.token_file)
    require_token(token, host, option="--token-file")
    tls = tls_context(options.certificate, options.key)
    quiet_opencv()
    cv2.setNumThreads(1)
    notifier = Notifier.from_environment()
    with stopper.loading():
        recognizer = Recognizer.load(
            options.model, engine=options.engine, device=options.device,
            threads=options.threads or default_threads(spare_cores=0), detector=options.detector,
            min_face=options.min_face, largest=options.largest, require_signature=options.require_signature,
        )  # fmt: skip
    context = FacesContext(Access(token), limits_of(options), recognizer, version=__version__)
    server = Server(host, port, FACES_ROUTES, context, what="The picture service", option="--address", tls=tls)
    try:
        loaded()
        console.say(f"fer-edge {__version__}: {recognizer.describe()}")
        if not options.quiet and (notice := first_run_notice()):
            console.say(notice)
        console.say(NOTICE)
        who = "this machine only" if is_loopback(host) else "the whole network"
        console.say(f"Pictures: POST {server.url}v1/faces ({who}{', with the token' if token else ''})")
        while not stop.wait(BEAT_S):
            # A hung picture is not ready; the service manager then hears nothing and starts us anew.
            if notifier is not None and context.health().live:
                notifier.beat(lambda: "serving pictures")
    finally:
        if notifier is not None:
            notifier.stopping()
            notifier.close()
        server.close()
    console.say("Stopped.")


def limits_of(options: ServeOptions) -> Limits:
    """The service has no camera to protect: more connections a second than the live page."""
    body_bytes = int(options.max_mib * 2**20)
    return replace(
        Limits(), body_bytes=body_bytes, buffered_bytes=max(4 * body_bytes, 64 * 2**20), queue=options.queue,
        pixels=int(options.max_megapixels * 1e6), requests=options.rate, accepts=1000.0,
    )  # fmt: skip
