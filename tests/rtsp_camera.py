"""An RTSP camera in a process of its own, to be killed: PORT, then it shows the clip for ever."""

import re
import sys
import time
from pathlib import Path

import rtsp

CLIP = Path(__file__).parent / "samples" / "clip.h264"
FPS = 15


def pictures(stream):
    """The stream's access units: parameters and picture together."""
    unit = b""
    for part in re.split(rb"(?=\x00\x00\x00\x01)|(?<!\x00)(?=\x00\x00\x01)", stream):
        unit += part
        kind = part.split(b"\x00\x00\x01", 1)[-1][:1]
        if kind and kind[0] & 31 in (1, 5):
            yield unit
            unit = b""


if __name__ == "__main__":
    server = rtsp.Server(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    shown = list(pictures(CLIP.read_bytes()))
    sys.stdout.write(f"{len(shown)}\n")
    sys.stdout.flush()
    number = 0
    while True:
        server.send_frame(shown[number % len(shown)], 90_000 // FPS)
        number += 1
        time.sleep(1 / FPS)
