"""Make the embedded demonstration clip from NASA's portrait of Eileen Collins (public domain).

    python scripts/make_demo_clip.py ../shared/samples/astronaut.png

A virtual camera pans and zooms over the portrait for six seconds; the face is always wholly in view.
Provenance: NASA photograph of the astronaut Eileen Collins, public domain, as distributed by scikit-image.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLIP = Path(__file__).parent.parent / "runtime" / "fer_edge_runtime" / "assets" / "demo.mp4"
WIDTH, HEIGHT, FPS, SECONDS = 480, 360, 15, 6
# Where the face is in the 512×512 portrait: x1, y1, x2, y2 with hair and chin.
FACE = (165, 50, 285, 215)


def view(portrait: NDArray[np.uint8], phase: float) -> NDArray[np.uint8]:
    """The frame at a phase in [0, 1): (HEIGHT, WIDTH, 3) uint8 BGR."""
    turn = 2 * math.pi * phase
    # Portrait pixels per frame width: the face is 110 to 145 pixels wide in the frame.
    span = 505 - 105 * (0.5 - 0.5 * math.cos(turn))
    high = span * HEIGHT / WIDTH
    centre_x = (FACE[0] + FACE[2]) / 2 + 60 * math.sin(turn)
    centre_y = (FACE[1] + FACE[3]) / 2 + 22 + 16 * math.sin(2 * turn)
    left = min(max(centre_x - span / 2, 0), 512 - span)
    top = min(max(centre_y - high / 2, 0), 512 - high)
    if not (left < FACE[0] and top < FACE[1] and left + span > FACE[2] and top + high > FACE[3]):
        raise SystemExit(f"the face leaves the frame at phase {phase:.2f}")
    scale = WIDTH / span
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return cv2.warpAffine(portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def main() -> None:
    """Write the clip."""
    parser = argparse.ArgumentParser(description="Make the embedded demonstration clip.")
    parser.add_argument("portrait", type=Path, help="astronaut.png, 512×512")
    parser.add_argument("--out", type=Path, default=CLIP)
    given = parser.parse_args()
    portrait = cv2.imread(str(given.portrait))
    if portrait is None or portrait.shape != (512, 512, 3):
        raise SystemExit(f"{given.portrait}: not the 512×512 portrait")
    writer = cv2.VideoWriter(
        str(given.out), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), float(FPS), (WIDTH, HEIGHT)
    )
    # The photograph's grain would take up half of the file.
    portrait = cv2.GaussianBlur(portrait, None, 0.75)
    for i in range(FPS * SECONDS):
        writer.write(view(portrait, i / (FPS * SECONDS)))
    writer.release()
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, {FPS * SECONDS} frames")


if __name__ == "__main__":
    main()
