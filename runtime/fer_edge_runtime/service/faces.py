"""The picture service: one picture in, its faces out as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import SourceError
from fer_edge_runtime.service.access import Access
from fer_edge_runtime.service.context import Context, Health
from fer_edge_runtime.service.handler import Handler, HealthHandler, MetricsHandler, Problem, ReadyHandler
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.service.metrics import Counters, Histogram, family, info
from fer_edge_runtime.sources.header import read_header
from fer_edge_runtime.sources.picture import decode_image

if TYPE_CHECKING:
    from fer_edge_runtime.recognizer import Recognizer

SCHEMA = 1
# OpenCV reads more, but strangers' files reach only these decoders.
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "GIF", "PNM")
# A picture that takes longer than this hangs.
HUNG_S = 60.0
_OPENAPI = Path(__file__).parent / "openapi.json"


class Answer(NamedTuple):
    """Of one picture: the record, and milliseconds per stage."""

    record: dict[str, Any]
    stages_ms: dict[str, float]


class FacesContext(Context):
    """One recognizer, one thread that uses it, a short queue in front."""

    def __init__(self, access: Access, limits: Limits, recognizer: Recognizer, *, version: str) -> None:
        """Ready at once: the recognizer is loaded."""
        super().__init__(access, limits)
        self.recognizer = recognizer
        self.version = version
        self.buffered = 0
        self._pending = 0
        self._since_s: float | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._pictures = Counters("fer_edge_pictures_total", "Pictures that were looked at.")
        self._faces = Counters("fer_edge_faces_total", "Faces found, by apparent expression.", ("label",))
        self._stages = Histogram("fer_edge_stage_seconds", "Time of each stage of a picture.", "stage")

    async def end(self) -> None:
        """Drop what waits; the picture in work is left to itself."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def look(self, data: bytes, gone: Callable[[], bool]) -> Answer:
        """The faces of a picture file, in the worker's thread.

        Args:
            data: the whole file.
            gone: whether nobody waits for the answer any more.

        Raises:
            Problem: 413, 415 or 422 for the file, 503 when too many wait.
        """
        if self._pending > self.limits.queue:
            raise Problem(503, f"{self.limits.queue} pictures wait already.", Retry_After="1")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._work, data, gone)
        finally:
            self._pending -= 1

    def _work(self, data: bytes, gone: Callable[[], bool]) -> Answer:
        if gone():
            raise Problem(503, "Nobody waits for this picture.")
        self._since_s = time.monotonic()
        try:
            answer = self._find(data)
        finally:
            self._since_s = None
        self._pictures.add()
        for face in answer.record["faces"]:
            self._faces.add(face["label"])
        for stage, cost_ms in answer.stages_ms.items():
            self._stages.observe(stage, cost_ms / 1e3)
        return answer

    def _find(self, data: bytes) -> Answer:
        begin = time.perf_counter()
        check_picture(data, self.limits.pixels)
        try:
            image = decode_image(data, name="The picture")
        except SourceError as error:
            raise Problem(422, str(error)) from error
        decoded = time.perf_counter()
        recognizer = self.recognizer
        detections = recognizer.detect(image)
        detected = time.perf_counter()
        classified = recognizer.classify(image, detections)
        faces = [recognizer.face(d, p) for d, p in zip(detections, classified.probabilities, strict=True)]
        height, width = image.shape[:2]
        record = {
            "schema": SCHEMA, "model": recognizer.bundle.manifest.name, "width": width, "height": height,
            "faces": [face.as_json() for face in faces],
        }  # fmt: skip
        stages_ms = {
            "decode": (decoded - begin) * 1e3, "detect": (detected - decoded) * 1e3,
            "align": classified.align_ms, "classify": classified.classify_ms,
        }  # fmt: skip
        return Answer(record, stages_ms)

    def health(self) -> Health:
        """Ready, unless one picture takes for ever."""
        since_s = self._since_s
        hung = since_s is not None and time.monotonic() - since_s > HUNG_S
        return Health(not hung, not hung, {"model": self.recognizer.bundle.manifest.name, "waiting": self._pending})

    def model(self) -> dict[str, Any]:
        """What runs."""
        manifest, artefact = self.recognizer.bundle.manifest, self.recognizer.artefact
        return {
            "name": manifest.name, "version": manifest.version, "task": manifest.task, "labels": list(manifest.labels),
            "uncertain_below": manifest.uncertain_below, "precision": artefact.precision, "sha256": artefact.sha256,
            "engine": self.recognizer.engine.describe().line(), "detector": self.recognizer.detector.describe(),
            "fer_edge": self.version,
        }  # fmt: skip

    def metrics(self) -> str:
        """The service's and the server's."""
        model = self.model()
        facts = {"version": self.version, "model": model["name"], "engine": model["engine"]}
        return "".join([
            info("fer_edge_info", "What runs.", facts), self._pictures.text(), self._faces.text(), self._stages.text(),
            family("fer_edge_pictures_waiting", "gauge", "Pictures in the queue or in work.", [((), self._pending)]),
            super().metrics(),
        ])  # fmt: skip


def check_picture(data: bytes, pixels: int) -> None:
    """Read the header, so that no decoder sees what it should not.

    Raises:
        Problem: 415 for what is no picture of ``FORMATS``, 413 for too many pixels, 422 for a damaged one.
    """
    header = read_header(data)
    if header.format not in FORMATS:
        raise Problem(415, f"This is not a picture that is read here. Send one of: {', '.join(FORMATS)}.")
    if header.damage or not header.width or not header.height:
        raise Problem(422, f"This {header.format} file {header.damage or 'states no size'}.")
    if header.width * header.height > pixels:
        raise Problem(413, f"{header.width}×{header.height} pixels are more than the {pixels / 1e6:g} million allowed.")


class FacesHandler(Handler):
    """``POST /v1/faces``: the raw bytes of a picture file."""

    context: FacesContext
    methods = ("POST",)
    takes_body = True
    path = "/v1/faces"

    def initialize(self) -> None:
        """No body yet."""
        super().initialize()
        self._data = bytearray()
        self._gone = False
        self._timer: asyncio.TimerHandle | None = None

    async def _check(self) -> None:
        await super()._check()
        headers, limits = self.request.headers, self.context.limits
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise Problem(415, "Send the picture's bytes as the body, with Content-Type: image/jpeg or the like.")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(415, "Send the picture without Content-Encoding.")
        length = headers.get("Content-Length", "")
        if length.isdecimal() and int(length[:18]) > limits.body_bytes:
            raise Problem(413, f"A body may have {limits.body_bytes} bytes.")
        self._timer = asyncio.get_running_loop().call_later(limits.body_s, self._too_slow)

    async def take(self, chunk: bytes, so_far: int) -> None:
        """Keep it, if there is room."""
        limits = self.context.limits
        if so_far > limits.body_bytes:
            raise Problem(413, f"A body may have {limits.body_bytes} bytes.")
        if self.context.buffered + len(chunk) > limits.buffered_bytes:
            raise Problem(503, "Too many pictures are being received.", Retry_After="1")
        self._data += chunk
        self.context.buffered += len(chunk)

    async def answer(self) -> None:
        """Look at the picture."""
        self._stop_timer()
        if not self._data:
            raise Problem(400, "The body is empty. Send the bytes of a picture file.")
        answer = await self.context.look(bytes(self._data), lambda: self._gone)
        stages = answer.stages_ms.items()
        self.set_header("Server-Timing", ", ".join(f"{name};dur={cost_ms:.2f}" for name, cost_ms in stages))
        self.write_json(answer.record)

    def _too_slow(self) -> None:
        if not self._finished and not self.refused:
            self.send_error(408, exc_info=(Problem, Problem(408, "The body came too slowly."), None))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_finish(self) -> None:
        """Give the memory back, and count."""
        super().on_finish()
        self._let_go()

    def on_connection_close(self) -> None:
        """Nobody waits for the answer."""
        super().on_connection_close()
        self._gone = True
        self._let_go()

    def _let_go(self) -> None:
        self._stop_timer()
        self.context.buffered -= len(self._data)
        self._data = bytearray()


class ModelHandler(Handler):
    """``/v1/model``: what runs."""

    context: FacesContext
    path = "/v1/model"

    async def answer(self) -> None:
        """Facts of the bundle, its engine and detector."""
        self.write_json(self.context.model())


class OpenApiHandler(Handler):
    """``/openapi.json``: the description for programs."""

    context: FacesContext
    path = "/openapi.json"

    async def answer(self) -> None:
        """With this server's version and limits."""
        text = _OPENAPI.read_text("utf-8")
        limits = self.context.limits
        for name, value in (
            ("VERSION", self.context.version), ("BYTES", str(limits.body_bytes)), ("PIXELS", f"{limits.pixels / 1e6:g}"),
        ):  # fmt: skip
            text = text.replace(f"@{name}@", value)
        self.write_json(json.loads(text))


FACES_ROUTES = [
    ("/v1/faces", FacesHandler), ("/v1/model", ModelHandler), (r"/openapi\.json", OpenApiHandler),
    ("/healthz", HealthHandler), ("/readyz", ReadyHandler), ("/metrics", MetricsHandler),
]  # fmt: skip
