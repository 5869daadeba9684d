"""Find the faces of a picture and name their apparent expressions: detect, align, classify."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fer_edge_runtime.bundle import Bundle, load_bundle
from fer_edge_runtime.calibrate import calibrated
from fer_edge_runtime.detect import Detector, open_detector
from fer_edge_runtime.engines.select import Choice, choose
from fer_edge_runtime.errors import BundleError, ConfigError, DeviceError
from fer_edge_runtime.keys import required_key
from fer_edge_runtime.preprocess import preprocess_faces
from fer_edge_runtime.types import UNCERTAIN, Detection, Face

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fer_edge_runtime.engines import Engine
    from fer_edge_runtime.manifest import Artefact, Framing
    from fer_edge_runtime.types import Image

MAX_FACES = 64
# With ``find_all``, whatever ``min_face`` says: a smaller face is hardly anybody's.
SMALLEST_FACE = 24


class Classified(NamedTuple):
    """Probabilities of the faces of one frame, with the time of each step."""

    probabilities: NDArray[np.float32]
    align_ms: float
    classify_ms: float


class Recognizer:
    """Names the apparent expression of every face in a picture.

    >>> recognizer = Recognizer.load("default")
    >>> faces = recognizer(image)  # image: (H, W, 3) uint8, BGR, as cv2.imread gives it
    """

    def __init__(
        self,
        *,
        bundle: Bundle,
        artefact: Artefact,
        engine: Engine,
        detector: Detector,
        choice: Choice,
        largest: bool = False,
        min_face: int = 0,
    ) -> None:
        self.bundle = bundle
        self.artefact = artefact
        self.engine = engine
        self.detector = detector
        self.choice = choice
        self.largest = largest
        self._min_face = min_face
        self.labels = bundle.manifest.labels
        self.uncertain_below = bundle.manifest.uncertain_below
        self._framing = _framing_for(bundle, detector)

    @classmethod
    def load(
        cls, bundle: str | Path = "default", *, engine: str = "auto", device: str = "auto", threads: int = 0,
        detector: str = "full", min_face: int = 24, largest: bool = False, scan_every: int = 1,
        require_signature: str | Path | None = None, find_all: bool = False,
    ) -> Recognizer:  # fmt: skip
        """Load and verify a bundle and start its engine and a detector.

        Args:
            bundle: ``"default"``, a bundle folder or a zip of one.
            engine: ``auto``, ``litert`` or ``onnx``.
            device: ``cpu``, ``gpu``, or ``auto``: the GPU where it is right and faster, as a trial finds out once.
            threads: intra-op threads of classifier and detector; 0 chooses.
            detector: ``short`` (faces within about 2 m), ``full`` (about 5 m) or ``yunet:PATH``.
            min_face: faces with a smaller box side, in pixels, are left out.
            largest: keep only the largest face.
            scan_every: the costly search for faces under about 50 px runs on every N-th picture; raise it for videos.
            require_signature: public key; the bundle is refused unless this key signed it. Without one, the environment
                variable ``FER_EDGE_REQUIRE_SIGNATURE`` may name it.
            find_all: also look for the faces that ``min_face`` leaves out, from 24 pixels on, for `find`.

        Raises:
            FerEdgeError: see `required_key`, `load_bundle`, `choose` and `open_detector`.
        """
        loaded = load_bundle(bundle, key=required_key(require_signature))
        choice = choose(engine, device, threads, bundle=loaded)
        try:
            running = loaded.open(choice.artefact, threads=choice.threads, device=choice.device)
        except DeviceError as error:
            if device != "auto":
                raise
            why = f"CPU: the GPU worked before, but not now: {error}"
            choice = choose(engine, "cpu", threads, bundle=loaded)
            choice = choice._replace(reasons=(*choice.reasons[:-1], why))
            running = loaded.open(choice.artefact, threads=choice.threads)
        return cls(
            bundle=loaded,
            artefact=choice.artefact,
            engine=running,
            detector=open_detector(
                detector,
                threads=choice.threads,
                scan_every=scan_every,
                min_face=min(min_face, SMALLEST_FACE) if find_all else min_face,
            ),
            choice=choice,
            largest=largest,
            min_face=min_face,
        )

    def __call__(self, image: Image) -> list[Face]:
        """The faces of one picture, largest first.

        Args:
            image: (H, W, 3) uint8, BGR. A grey (H, W) uint8 picture is accepted too.

        Raises:
            ConfigError: the array has another shape or dtype.
        """
        image = as_bgr(image)
        detections = self.detect(image)
        classified = self.classify(image, detections)
        return [
            self.face(detection, probabilities)
            for detection, probabilities in zip(detections, classified.probabilities, strict=True)
        ]

    def detect(self, image: Image) -> list[Detection]:
        """The faces of a (H, W, 3) uint8 BGR picture, largest first; at most 64."""
        return self.find(image)[0]

    def find(self, image: Image) -> tuple[list[Detection], list[Detection]]:
        """What `detect` gives, and the faces that it leaves out: too small, too many, not the largest."""
        found = sorted(self.detector.detect(image), key=_area, reverse=True)
        kept = [detection for detection in found if _longer_side(detection) >= self._min_face]
        kept = kept[: 1 if self.largest else MAX_FACES]
        return kept, [detection for detection in found if detection not in kept]

    def classify(
        self, image: Image, detections: Sequence[Detection], *, clock: Callable[[], float] = time.perf_counter
    ) -> Classified:
        """Calibrated probabilities of all faces in one batch: (N, labels) float32."""
        if not detections:
            return Classified(np.empty((0, len(self.labels)), np.float32), 0.0, 0.0)
        begin = clock()
        batch: NDArray[Any] = preprocess_faces(
            image, detections, spec=self.bundle.manifest.preprocess, framing=self._framing, tensor=self.artefact.input
        )
        middle = clock()
        probabilities = calibrated(self.engine.run(batch), self.bundle.manifest.temperature)
        end = clock()
        return Classified(probabilities, (middle - begin) * 1e3, (end - middle) * 1e3)

    def face(self, detection: Detection, probabilities: NDArray[np.float32]) -> Face:
        """A single picture's face: no history, so the threshold alone decides ``uncertain``."""
        best = int(probabilities.argmax())
        score = float(probabilities[best])
        label = self.labels[best] if score >= self.uncertain_below else UNCERTAIN
        scores = {name: float(value) for name, value in zip(self.labels, probabilities, strict=True)}
        return Face(detection.box, label, score, scores, detection.landmarks, detection.score)

    def describe(self) -> str:
        """One line: what runs."""
        manifest = self.bundle.manifest
        signed = f", signed with key {self.bundle.signed_by}" if self.bundle.signed_by else ""
        return (
            f"model {manifest.name} {manifest.version} ({manifest.task}, {self.artefact.precision}, "
            f"sha256 {self.artefact.sha256[:8]}{signed}) on {self.engine.describe().line()}; detector {self.detector.describe()}; "
            f"{'; '.join(self.choice.reasons)}"
        )


def as_bgr(image: Any) -> Image:
    """Check a caller's picture: (H, W, 3) uint8 BGR, or (H, W) uint8 grey, which is repeated.

    Raises:
        ConfigError: says what was received.
    """
    if not isinstance(image, np.ndarray):
        raise ConfigError(
            f"The picture must be a numpy array, received {type(image).__name__}. Read files with cv2.imread."
        )
    if image.dtype == np.uint8 and image.ndim == 2 and image.size:
        image = np.repeat(image[..., None], 3, axis=-1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ConfigError(
            f"The picture must be uint8 of shape (H, W, 3) in BGR order, received {image.dtype} {image.shape}."
        )
    return np.ascontiguousarray(image)


def _framing_for(bundle: Bundle, detector: Detector) -> Framing:
    framing = bundle.manifest.preprocess.framing
    if detector.name not in framing:
        raise BundleError(
            f"The bundle '{bundle.manifest.name}' says how to frame the faces of: {', '.join(framing)}; not of the detector "
            f"'{detector.name}'. Choose another --detector, or export the bundle again with this one."
        )
    return framing[detector.name]


def _longer_side(detection: Detection) -> float:
    x1, y1, x2, y2 = detection.box
    return max(x2 - x1, y2 - y1)


def _area(detection: Detection) -> float:
    x1, y1, x2, y2 = detection.box
    return (x2 - x1) * (y2 - y1)
