"""What changes the rows of an input, besides the input."""

from __future__ import annotations

from typing import NamedTuple


class Settings(NamedTuple):
    """What changes results, as given on the command line."""

    model: str = "default"
    engine: str = "auto"
    detector: str = "full"
    min_face: int = 24
    largest: bool = False
    detect_every: int = 1
    require_signature: str | None = None
