"""Open a bundle, check every byte against its manifest, start its model, replay its vectors."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fer_edge_runtime.bundle_files import UNREADABLE, check_members, open_files, read_manifest, verified
from fer_edge_runtime.engines import open_engine
from fer_edge_runtime.errors import BundleError, ConfigError, DeviceError
from fer_edge_runtime.manifest import Artefact, Manifest
from fer_edge_runtime.preprocess import to_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fer_edge_runtime.engines import Engine
    from fer_edge_runtime.keys import PublicKey

MAX_GOLDEN_CROPS = 256
MAX_GOLDEN_BYTES = 64_000_000
# A GPU computes an int8 graph in float between its input and output. That alone moves answers of the shipped models by up to
# 0.10, the same on an NVIDIA H200 and in SwiftShader; a driver that computes wrongly moves them by far more.
GPU_SLACK = 3
MAX_GPU_TOLERANCE = 0.5  # the most that a manifest may ask for; three times that would refuse nothing


class Bundle(NamedTuple):
    """A verified bundle, held in memory.

    Attributes:
        manifest: what it says about itself.
        origin: where it came from, for messages.
        contents: file name -> verified bytes of the models.
        crops: (N, face_size, face_size) uint8 golden faces ((…, 3) RGB for colour models).
        expected: artefact path -> (N, classes) float32 golden probabilities.
        signed_by: id of the key whose signature was required; empty when none was.
    """

    manifest: Manifest
    origin: str
    contents: Mapping[str, bytes]
    crops: NDArray[np.uint8]
    expected: Mapping[str, NDArray[np.float32]]
    signed_by: str = ""

    def artefact(self, format: str) -> Artefact:
        """The bundle's model in a format, int8 before float.

        Raises:
            ConfigError: the bundle holds none.
        """
        found = self.artefacts(format)
        if not found:
            have = ", ".join(sorted({a.format for a in self.manifest.artefacts}))
            raise ConfigError(
                f"The bundle '{self.manifest.name}' holds no {format} model (it has: {have}). Choose another --engine."
            )
        return found[0]

    def artefacts(self, format: str) -> list[Artefact]:
        """All models in a format, int8 before float."""
        order = {"int8": 0, "float16": 1, "float32": 2}
        return sorted((a for a in self.manifest.artefacts if a.format == format), key=lambda a: order[a.precision])

    def open(self, artefact: Artefact, *, threads: int = 1, device: str = "cpu") -> Engine:
        """Start an artefact on the CPU, or on the GPU, and prove it with the golden vectors.

        Raises:
            BundleError: the graph does not match the manifest, or its answers differ from the exporter's.
            DeviceError: the GPU cannot run it, or answers differently than the exporter's CPU.
        """
        engine = open_engine(artefact, self.contents[artefact.path], threads=threads, device=device)
        self._replay(artefact, engine)
        return engine

    def _replay(self, artefact: Artefact, engine: Engine) -> None:
        # One face at a time: what a camera does, and the engine then stays prepared for a batch of one.
        inputs = to_input(self.crops, self.manifest.preprocess, artefact.input)
        answers = [engine.run(inputs[i : i + 1]) for i in range(len(inputs))]
        shape = (1, len(self.manifest.labels))
        if any(answer.shape != shape for answer in answers):
            raise BundleError(f"{artefact.path} answers with shape {answers[0].shape}; one face has {shape}.")
        found = np.concatenate(answers)
        worst = float(np.max(np.abs(found - self.expected[artefact.path])))
        info = engine.describe()
        allowed = self.manifest.golden.tolerance
        if info.device != "cpu":
            allowed = min(GPU_SLACK * allowed, MAX_GPU_TOLERANCE)
        if not worst <= allowed:
            differ = f"{artefact.path}: the golden vectors differ by {worst:.4f} on {info.line()}; at most {allowed:.2g} is allowed."
            if info.device != "cpu":
                raise DeviceError(
                    f"{differ} Its driver computes something else than what was exported. Use --device cpu."
                )
            raise BundleError(f"{differ} The model, the preprocessing or the engine is not what was exported.")


def load_bundle(path: str | Path = "default", *, key: PublicKey | None = None) -> Bundle:
    """Read and verify a bundle.

    Sizes, SHA-256, names, tensor shapes and dtypes are checked here; `Bundle.open` checks the engine's answers.

    Args:
        path: a bundle folder, a zip of one, or the name of a bundle inside this package, such as ``"default"``.
        key: refuse the bundle unless this key signed it.

    Raises:
        BundleError: names the file and the reason.
    """
    files = open_files(path)
    manifest = read_manifest(files, key)
    contents = {entry.path: verified(files, entry) for entry in manifest.artefacts}
    for entry in manifest.files:
        verified(files, entry)
    golden = verified(files, manifest.golden)
    crops, expected = _read_golden(golden, manifest)
    return Bundle(manifest, str(path), contents, crops, expected, key.id if key else "")


def _read_golden(content: bytes, manifest: Manifest) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    name, spec = manifest.golden.path, manifest.preprocess
    arrays = _read_npz(content, name)
    crops = arrays.pop("crops", None)
    face = (spec.face_size, spec.face_size, *((3,) if spec.color == "rgb" else ()))
    if crops is None or crops.dtype != np.uint8 or crops.shape[1:] != face or not 1 <= len(crops) <= MAX_GOLDEN_CROPS:
        got = "nothing" if crops is None else f"{crops.dtype} {crops.shape}"
        raise BundleError(
            f"{name}: 'crops' must be uint8 (1 to {MAX_GOLDEN_CROPS}, {', '.join(map(str, face))}), found {got}."
        )
    for artefact in manifest.artefacts:
        expected = arrays.get(artefact.path)
        if expected is None or expected.dtype != np.float32 or expected.shape != (len(crops), len(manifest.labels)):
            raise BundleError(f"{name}: no float32 ({len(crops)}, {len(manifest.labels)}) vectors for {artefact.path}.")
    return crops, arrays


def _read_npz(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz``, without pickles and never more than `MAX_GOLDEN_BYTES` of them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            check_members(members, name)
            size_bytes = sum(member.file_size for member in members.infolist())
        if size_bytes > MAX_GOLDEN_BYTES:
            raise BundleError(f"{name} unpacks to {size_bytes} bytes; at most {MAX_GOLDEN_BYTES} are read.")
    except UNREADABLE as error:
        raise BundleError(f"{name} is not a readable .npz: {error}") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: dict[str, Any] = {key: archive[key] for key in archive.files}
    except Exception as error:  # numpy parses headers as Python, and lets through whatever its tokenizer raises
        raise BundleError(f"{name} is not a readable .npz: {error}") from error
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise BundleError(f"{name} holds something that is not an array.")
    return arrays
