"""Where tests find the pictures and the bundle of this repository."""

import signal
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "tests" / "samples"
SOFTWARE_VULKAN = ROOT / ".software-vulkan" / "vk_swiftshader_icd.json"
DEFAULT_BUNDLE = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"


def hear_interrupts() -> None:
    """For a child's `preexec_fn`: a test run in the background of a shell, or by nohup, ignores signals, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
