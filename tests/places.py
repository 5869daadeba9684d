"""Where tests find the pictures and the bundle of this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "tests" / "samples"
DEFAULT_BUNDLE = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"
