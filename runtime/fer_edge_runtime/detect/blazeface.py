"""BlazeFace: a face detector small enough for a Raspberry Pi, on the same LiteRT engine as the classifier.

Two of MediaPipe's networks (Bazarevsky et al., 2019, arXiv 1907.05047; Apache-2.0) ship with the package:

* ``short`` (128x128): about 1 ms; faces from 14 % of the frame's longer side, a person before a webcam;
* ``full`` (192x192, sparse): about 3.5 ms; faces from 7 % of the longer side, 47 px in a 640x480 frame.

**Small faces.** When ``min_face`` asks for smaller faces than ``full`` finds in one look, a second pass runs the same
network over overlapping tiles of the frame, at a scale where a face of ``min_face`` pixels measures 16 pixels.
A tile costs what the first pass does; there are never more than eight (640x480 and ``min_face=24``: six), and
`BlazeFace.smallest_face` tells what that leaves for a given frame (34 px in 1280x720). A stream can spread this cost with
``scan_every=N``: the tiles run on every Nth call, and the calls in between look only at windows around the small faces
found last, with the short-range network (1 ms each, four at most). ``min_face=47`` at 640x480 does without.

**One meaning of a box.** The two networks frame a face differently. On 308 FER2013 training faces the full-range box was
1.08x as large as the short-range one and its centre 5 % of a side higher (medians), so short-range boxes are
brought to the full-range framing: what crops the face never needs to know which network found it.

**Thresholds** were reasoned from a few pictures, not tuned on a data set. On 475 crops of a cat ``full`` scored 0.58 and
``short`` 0.64 at most, on noise 0.47 and 0.58, while faces of the sizes above score more: hence 0.6 and 0.7. The second pass
looks at several times as many places and asks for 0.7.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fer_edge_runtime.detect.candidates import no_candidates, outside, sides, to_detections, weighted_nms
from fer_edge_runtime.detect.letterbox import letterbox
from fer_edge_runtime.engines.litert import allocate, open_interpreter
from fer_edge_runtime.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_edge_runtime.detect.candidates import Candidates
    from fer_edge_runtime.detect.letterbox import Transform
    from fer_edge_runtime.types import Detection, Image

ASSETS = Path(__file__).parents[1] / "assets"
BlazeFaceRange = Literal["short", "full"]

_MAX_CANDIDATES = 512
_SCAN_FACE = 16  # pixels that a face of ``min_face`` measures in the scan; 14 would miss some, and costs as much
_TILE = 192  # side of a tile in the scan's pixels: the full-range network's own input
_TILE_OVERLAP = 40
_MAX_TILES = 8
_SCAN_LARGEST = 2.0  # the second pass reports faces up to this many times the first pass's smallest
_FIRST_SMALLEST = 1.25  # and under this many times the first pass's smallest, the second pass's box is the better one
_WINDOW_FACE = 36  # pixels that a followed face measures in its window; the short-range network likes 18 and more
_SECOND_MIN_SCORE = 0.7  # higher than the first pass's: the second one looks at several times as many places
_MAX_WINDOWS = 4


class _Network(NamedTuple):
    """What distinguishes one BlazeFace network from the other.

    Attributes:
        asset: file in ``fer_edge_runtime/assets``.
        sha256: of that file.
        size: side of the square input it was trained with, in pixels; the unit of its raw boxes.
        layers: (stride, anchors per cell) of each output layer.
        min_score: default threshold.
        smallest: face side, in input pixels, from which it finds faces reliably.
        box_scale: turns its box into the full-range framing.
        box_rise: how far the box's centre moves up for that, in sides of the raw box.
    """

    asset: str
    sha256: str
    size: int
    layers: tuple[tuple[int, int], ...]
    min_score: float
    smallest: float
    box_scale: float = 1.0
    box_rise: float = 0.0


_NETWORKS: dict[BlazeFaceRange, _Network] = {
    "short": _Network(
        asset="face_detection_short_range.tflite",
        sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        size=128,
        layers=((8, 2), (16, 6)),
        min_score=0.7,
        smallest=18.0,
        box_scale=1.08,
        box_rise=0.05,
    ),
    "full": _Network(
        asset="face_detection_full_range_sparse.tflite",
        sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        size=192,
        layers=((4, 1),),
        min_score=0.6,
        smallest=14.0,
    ),
}


class BlazeFace:
    """Finds faces with one BlazeFace network, or with both when small faces are wanted.

    Not safe for use by several threads at once.
    """

    def __init__(
        self,
        reach: BlazeFaceRange = "full",
        *,
        threads: int = 1,
        min_face: int = 24,
        min_score: float | None = None,
        scan_every: int = 1,
    ) -> None:
        """Load and verify the networks.

        Args:
            reach: ``short`` or ``full``; only ``full`` has the second pass for small faces.
            threads: intra-op threads, ≥ 1.
            min_face: faces whose box has a longer side under this many pixels of the frame are dropped, ≥ 1.
            min_score: threshold in (0, 1) for every network used; None takes each network's own.
            scan_every: run the scan for small faces on every Nth call with frames of one size, ≥ 1. Leave it at 1
                for pictures that have nothing to do with one another.

        Raises:
            BundleError: a network's file is missing, altered or unreadable.
            ConfigError: an argument is out of range.
        """
        _check_arguments(min_face=min_face, min_score=min_score, scan_every=scan_every)
        self.name: str = reach
        self._network = _NETWORKS[reach]
        self._threads = threads
        self._min_face = min_face
        self._min_score = min_score
        self._scan_every = scan_every
        self._first = _Pass(self._network, min_score=min_score or self._network.min_score, threads=threads)
        self._small = None
        if reach == "full":
            self._small = _SmallFaces(
                self._first,
                min_face=min_face,
                min_score=min_score,
                threads=threads,
                every=scan_every,
            )

    def detect(self, frame: Image) -> list[Detection]:
        """Faces of one picture.

        Args:
            frame: (H, W, 3) uint8 BGR, H and W ≥ 1.

        Returns:
            The faces, largest first; boxes and landmarks in pixels of ``frame``.

        Raises:
            ConfigError: ``frame`` has another shape or dtype.
        """
        check_frame(frame)
        height, width = frame.shape[:2]
        if max(height, width) < self._min_face:
            return []
        side = self._network.size
        found = self._first.run(frame, scale=side / max(height, width), canvas=(side, side))
        found = weighted_nms(found)
        limit = self._first_smallest(frame.shape)
        if self._small is not None and self._min_face < limit:
            sure = found[sides(found) >= limit * _FIRST_SMALLEST]
            small = self._small.run(frame, largest=limit * _SCAN_LARGEST, known=sure)
            better = np.concatenate([sure, small])
            unsure = outside(found[found[:, 16] >= self._small.min_score], better)
            found = np.concatenate([better, unsure])
        return to_detections(found, self._min_face)

    def smallest_face(self, height: int, width: int) -> float:
        """Side in pixels from which upright, unobstructed faces are found in frames of this size.

        Args:
            height: of the frame, in pixels.
            width: of the frame, in pixels.
        """
        smallest = self._first_smallest((height, width))
        if self._small is not None and self._min_face < smallest:
            smallest = min(smallest, _SCAN_FACE / self._small.scale(height, width))
        return max(smallest, float(self._min_face))

    def describe(self) -> str:
        """One line: what runs, from which size and score on."""
        text = f"BlazeFace {self.name} range ({self._network.size}x{self._network.size}, {self._threads} thread"
        text += f"{'s' * (self._threads != 1)}, score ≥ {self._min_score or self._network.min_score:g}, "
        text += f"faces ≥ {self._min_face} px)"
        if self._small is not None and self._scan_every > 1:
            text += f", small faces every {self._scan_every} detections"
        return text

    def _first_smallest(self, shape: tuple[int, ...]) -> float:
        return self._network.smallest * max(shape[0], shape[1]) / self._network.size


class _SmallFaces:
    """The second pass: tiles of the frame for the first pass's network, windows around what they found in between."""

    def __init__(self, first: _Pass, *, min_face: int, min_score: float | None, threads: int, every: int) -> None:
        self._first = first
        self._min_face = min_face
        self.min_score = min_score or _SECOND_MIN_SCORE
        self._threads = threads
        self._every = every
        self._window_pass: _Pass | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._calls = 0
        self._last: Candidates = no_candidates()

    def run(self, frame: Image, *, largest: float, known: Candidates) -> Candidates:
        """Faces whose side is at most ``largest`` pixels of ``frame`` and whose centre is in none of the known ones."""
        height, width = frame.shape[:2]
        if (height, width) != self._shape:
            self._shape, self._calls = (height, width), 0
        found = self._windows(frame) if self._calls % self._every else self._scan(frame)
        self._calls += 1
        self._last = outside(found[sides(found) <= largest], known)
        return self._last

    def scale(self, height: int, width: int) -> float:
        """Pixels of the scan per pixel of the frame: ``min_face`` is just large enough, or the tiles are used up."""
        scale = min(1.0, _SCAN_FACE / self._min_face)
        while _tiles(width * scale) * _tiles(height * scale) > _MAX_TILES:
            scale *= 0.98
        return scale

    def _scan(self, frame: Image) -> Candidates:
        height, width = frame.shape[:2]
        scale = self.scale(height, width)
        reach = int(_TILE / scale)
        found = [no_candidates()]
        for top in _starts(height, reach, _tiles(height * scale)):
            for left in _starts(width, reach, _tiles(width * scale)):
                found.append(self._look(self._first, frame, left, top, scale=scale, reach=reach))
        return weighted_nms(np.concatenate(found))

    def _windows(self, frame: Image) -> Candidates:
        network = _NETWORKS["short"]
        if self._window_pass is None:
            self._window_pass = _Pass(network, min_score=self.min_score, threads=self._threads)
        found = [no_candidates()]
        for x1, y1, x2, y2 in self._last[:_MAX_WINDOWS, :4]:
            scale = min(1.0, _WINDOW_FACE / max(1.0, x2 - x1))
            reach = int(network.size / scale)
            left, top = max(0, int((x1 + x2 - reach) / 2)), max(0, int((y1 + y2 - reach) / 2))
            found.append(self._look(self._window_pass, frame, left, top, scale=scale, reach=reach))
        return weighted_nms(np.concatenate(found))

    def _look(self, network: _Pass, frame: Image, left: int, top: int, *, scale: float, reach: int) -> Candidates:
        """Candidates in the square of ``reach`` pixels whose corner is given, in pixels of the frame."""
        part = frame[top : top + reach, left : left + reach]
        rows = network.run(part, scale=scale, canvas=(network.size, network.size))
        rows[:, 0:16:2] += left
        rows[:, 1:16:2] += top
        return rows[rows[:, 16] >= self.min_score]


def _tiles(length: float) -> int:
    """Tiles that cover a length in scan pixels, overlapping by the largest face they look for."""
    return 1 + max(0, math.ceil((length - _TILE) / (_TILE - _TILE_OVERLAP)))


def _starts(length: int, reach: int, count: int) -> list[int]:
    """Where ``count`` tiles of ``reach`` pixels begin, evenly spread over a length."""
    room = max(0, length - reach)
    return [round(room * index / max(1, count - 1)) for index in range(count)]


class _Pass:
    """One network with its anchors, input buffer and interpreter, for one input size at a time."""

    def __init__(self, network: _Network, *, min_score: float, threads: int) -> None:
        self.size = network.size
        self._network = network
        self._min_logit = np.float32(np.log(min_score / (1 - min_score)))
        self._interpreter = open_interpreter(_read_asset(network), name=network.asset, threads=threads)
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        outputs = {int(o["shape"][-1]): int(o["index"]) for o in self._interpreter.get_output_details()}
        self._boxes, self._scores = outputs[16], outputs[1]
        self._canvas = (0, 0)
        self._anchors = np.zeros((0, 2), np.float32)

    def run(self, frame: Image, *, scale: float, canvas: tuple[int, int]) -> Candidates:
        """Candidates above the threshold, before suppression.

        Args:
            frame: (H, W, 3) uint8 BGR.
            scale: input pixels per frame pixel; the scaled frame must fit the canvas but for rounding.
            canvas: height and width of the network's input.

        Returns:
            (N, 17) float32: box xyxy and six keypoints in pixels of ``frame``, score in [0, 1].
        """
        if self._canvas != canvas:
            self._prepare(canvas)
        # Tensors are read and written in place; no view of one may be alive when the interpreter is invoked.
        transform = letterbox(frame, self._interpreter.tensor(self._input)()[0], scale)
        self._interpreter.invoke()
        logits = self._interpreter.tensor(self._scores)()[0, :, 0]
        chosen = np.flatnonzero(logits > self._min_logit)
        if not len(chosen):
            return no_candidates()
        if len(chosen) > _MAX_CANDIDATES:
            chosen = chosen[np.argsort(-logits[chosen], kind="stable")[:_MAX_CANDIDATES]]
        raw = self._interpreter.tensor(self._boxes)()[0, chosen]
        return self._decode(raw, logits[chosen], self._anchors[chosen], transform)

    def _prepare(self, canvas: tuple[int, int]) -> None:
        height, width = canvas
        shape = [1, height, width, 3]
        if list(map(int, self._interpreter.get_input_details()[0]["shape"])) != shape:
            self._interpreter.resize_tensor_input(self._input, shape)
        allocate(self._interpreter)
        self._canvas = canvas
        self._anchors = anchor_centres(height, width, self._network.layers)

    def _decode(
        self, raw: NDArray[np.float32], logits: NDArray[np.float32], anchors: NDArray[np.float32], transform: Transform
    ) -> Candidates:
        network = self._network
        points = raw.reshape(-1, 8, 2).copy()  # centre, size, six keypoints; in input pixels
        half = points[:, 1] * (network.box_scale / 2)
        centre = points[:, 0].copy()
        centre[:, 1] -= network.box_rise * points[:, 1, 1]
        points[:, 0], points[:, 1] = centre - half, centre + half
        points += anchors[:, np.newaxis]
        points -= (transform.left, transform.top)
        points /= (transform.scale_x, transform.scale_y)
        rows = np.empty((len(points), 17), np.float32)
        rows[:, :16] = points.reshape(-1, 16)
        rows[:, 16] = 1 / (1 + np.exp(-np.minimum(logits, 80)))  # logits are above the threshold
        return rows if np.isfinite(rows).all() else rows[np.isfinite(rows).all(axis=1)]


def anchor_centres(height: int, width: int, layers: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """Centres of the anchors, in the order of the network's outputs.

    Args:
        height: of the network's input, in pixels.
        width: of the network's input, in pixels.
        layers: (stride in pixels, anchors per cell) of each layer.

    Returns:
        (anchors, 2) float32, x and y in input pixels.
    """
    centres = []
    for stride, per_cell in layers:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        cells = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
        centres.append(np.repeat(cells * stride, per_cell, axis=0))
    return np.concatenate(centres).astype(np.float32)


def check_frame(frame: Image) -> None:
    """Refuse what is not a picture.

    Raises:
        ConfigError: ``frame`` is not (H, W, 3) uint8 with at least one pixel.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ConfigError(
            f"A frame must be a (height, width, 3) uint8 BGR array with at least one pixel; "
            f"received shape {frame.shape}, dtype {frame.dtype}."
        )


def _read_asset(network: _Network) -> bytes:
    try:
        content = (ASSETS / network.asset).read_bytes()
    except OSError as error:
        raise BundleError(f"The face detector {network.asset} is missing; reinstall fer-edge ({error}).") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != network.sha256:
        raise BundleError(
            f"The face detector {network.asset} was altered: sha256 is {digest[:16]}…, expected "
            f"{network.sha256[:16]}…; reinstall fer-edge."
        )
    return content


def _check_arguments(*, min_face: int, min_score: float | None, scan_every: int) -> None:
    given: tuple[tuple[str, Any, bool, str], ...] = (
        ("min_face", min_face, min_face >= 1, "at least 1 pixel"),
        ("min_score", min_score, min_score is None or 0 < min_score < 1, "between 0 and 1, both excluded"),
        ("scan_every", scan_every, scan_every >= 1, "at least 1"),
    )
    for name, value, valid, expected in given:
        if not valid:
            raise ConfigError(f"The detector's {name} must be {expected}; received {value}.")
