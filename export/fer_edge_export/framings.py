"""Framing of every detector, measured on the data set's own training faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge_runtime.detect import open_detector
from fer_edge_runtime.errors import DataError
from fer_edge_runtime.manifest import Framing
from fer_edge_train.data import FaceDataset
from fer_edge_train.framing import FER2013_FRAMING, MIN_SCORE, fit_framing

_MIN_FACE = 64  # the canvas shows faces of about 170 pixels; smaller hits are not what is measured


def fit_framings(
    data: FaceDataset, *, sample: int, seed: int, yunet: Path | None, say: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> tuple[dict[str, Framing], dict[str, Any]]:  # fmt: skip
    """Measure what turns each detector's box into the framing of the training faces.

    A detector that finds too few faces (drawn faces, another domain) gets the framing measured on FER2013; so does YuNet
    when its file is not given.

    Args:
        data: the data set; only its ``Training`` rows are looked at.
        sample: faces shown to each detector.
        seed: of the draw.
        yunet: YuNet's file, or None.
        say: receives a sentence a detector.
        progress: receives a title, faces done and faces in all.

    Returns:
        ``(framing, facts)``, each by detector name; facts say where a framing comes from and how far it spreads.
    """
    faces, _ = data.part("Training")
    framing: dict[str, Framing] = {}
    facts: dict[str, Any] = {}
    for name, spec in {"full": "full", "short": "short", "yunet": f"yunet:{yunet}" if yunet else ""}.items():
        framing[name], facts[name] = FER2013_FRAMING[name], {"measured_on": "FER2013"}
        if not spec:
            continue

        def show(done: int, total: int, title: str = f"framing of {name}") -> None:
            progress(title, done, total)

        detector = open_detector(spec, min_face=_MIN_FACE, min_score=MIN_SCORE)
        try:
            fit = fit_framing(faces, detector, sample=sample, seed=seed, progress=show)
        except DataError as error:
            say(f"Framing of '{name}': {error} The one measured on FER2013 is used.")
            continue
        framing[name], facts[name] = fit.framing, {"measured_on": "the training faces", **fit.as_json()}
        say(
            f"Framing of '{name}': scale {fit.framing.scale:.3f} ± {fit.spread[0]:.3f}, {fit.found} of {fit.tried} faces found."
        )
    return framing, facts
