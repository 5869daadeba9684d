"""Which cameras there are, under names that stay, and which of them can be opened."""

from __future__ import annotations

import errno
import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fer_edge.doctor.check import FAIL, PASS, WARN, Check, Host

# linux/videodev2.h: _IOR('V', 0, struct v4l2_capability), and bits of its device_caps.
QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_HAS_DEVICE_CAPS = 0x80000000
_CAPTURE = 0x00000001 | 0x00001000  # one plane, several
_METADATA = 0x00800000 | 0x08000000
_CODEC = 0x00004000 | 0x00008000

PICTURE, METADATA, CSI, CODEC, OTHER = "camera", "metadata", "CSI sensor", "codec or image processor", "no camera"
# A Raspberry Pi's own nodes, by the name that their drivers give them.
_PI_CSI = ("unicam", "rp1-cfe", "rpi-cfe")
_PI_CODEC = ("bcm2835-codec", "bcm2835-isp", "rpivid", "rpi-hevc", "pispbe", "hevc")
_BUSY = "another program holds it"


class Node(NamedTuple):
    """A device file of video4linux.

    Attributes:
        path: ``/dev/videoN``.
        stable: its link under ``/dev/v4l/by-id`` or ``by-path``, or the path.
        name: as its driver says it.
        role: one of the words above.
        trouble: why it cannot be used; empty when it can.
        denied: that reason is this user's rights.
    """

    path: str
    stable: str
    name: str
    role: str
    trouble: str = ""
    denied: bool = False


def cameras(host: Host) -> Iterator[Check]:
    """A line about all, and one for each camera."""
    nodes = read_nodes(host)
    found = [node for node in nodes if node.role == PICTURE]
    # Looked up, not imported: picamera2 starts libcamera.
    picamera = importlib.util.find_spec("picamera2") is not None
    yield _overview(host, nodes, found, picamera=picamera)
    for node in found:
        yield _camera(node)


def _overview(host: Host, nodes: list[Node], found: list[Node], *, picamera: bool) -> Check:
    csi = any(node.role == CSI for node in nodes)  # the driver makes one for a sensor that it found on the ribbon cable
    names = [node.stable for node in found] + (["picamera2 (picamera2:0)"] if picamera and csi else [])
    rest = [f"{node.path} ({node.role})" for node in nodes if node.role != PICTURE]
    said = ", ".join(names) or ("none found" if rest else "none found (/dev/video*)")
    said += f"; not cameras: {', '.join(rest)}" if rest else ""
    said += "; picamera2 is installed, but no CSI sensor was found" if picamera and not csi else ""
    values = {"nodes": [node._asdict() for node in nodes], "picamera2": picamera, "csi": csi}
    if (csi or (host.is_pi() and not found)) and not picamera:
        remedy = "For a CSI camera: sudo apt install python3-picamera2, make the environment with --system-site-packages, use --camera picamera2:0."
        return Check("cameras", WARN, said, remedy, values)
    if not names:
        remedy = "Plug one in, or use --source FILE, an rtsp:// address or --source demo."
        if picamera:
            remedy = f"Switch the board off, push the ribbon cable in; rpicam-hello --list-cameras must list the sensor. Or: {remedy}"
        return Check("cameras", WARN, said, remedy, values)
    return Check("cameras", PASS, said, "", values)


def _camera(node: Node) -> Check:
    what = f"{node.name} at {node.path}"
    values = {"path": node.path, "stable": node.stable, "name": node.name, "opens": not node.trouble}
    id = f"camera:{node.stable}"
    if not node.trouble:
        return Check(id, PASS, f"{what} can be opened: --camera {node.stable}", "", values)
    if node.denied:
        remedy = "sudo usermod -aG video $USER, then log in again."
        return Check(id, FAIL, f"{what}: this user may not open it", remedy, values)
    if node.trouble.startswith(_BUSY):
        return Check(
            id, WARN, f"{what}: {node.trouble}", "A camera gives pictures to one program: end that one.", values
        )
    return Check(id, FAIL, f"{what}: {node.trouble}", "Unplug the camera and plug it in again.", values)


def read_nodes(host: Host) -> list[Node]:
    """Every ``/dev/videoN``, by number. A node is opened for one question and closed; no picture is taken."""
    paths = sorted((host.root / "dev").glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))
    links = _links(host)
    holders = _holders(host, {path.name for path in paths})
    return [_node(host, path, links.get(path.name), holders.get(path.name)) for path in paths]


def _node(host: Host, path: Path, stable: str | None, holder: str | None) -> Node:
    shown = f"/dev/{path.name}"
    name = host.text(f"sys/class/video4linux/{path.name}/name") or "unnamed"
    role = role_by_name(name, host.text(f"sys/class/video4linux/{path.name}/index"))
    trouble, denied = "", not os.access(path, os.R_OK | os.W_OK)
    if not denied and host.here and role in (PICTURE, METADATA):
        try:
            role = role_by_capability(_ask(path))
        except OSError as error:
            trouble = _BUSY if error.errno == errno.EBUSY else f"it cannot be opened: {error.strerror}"
    if denied:
        trouble = "this user may not open it"
    elif holder and role == PICTURE:
        trouble = f"{_BUSY}: {holder}"
    return Node(shown, stable or shown, name, role, trouble, denied)


def role_by_name(name: str, index: str | None) -> str:
    """What a node is, by its driver's name and its place among the nodes of one device: USB cameras give pictures on the first."""
    if name.startswith(_PI_CSI):
        return CSI
    if name.startswith(_PI_CODEC):
        return CODEC
    return PICTURE if index in (None, "0") else METADATA


def role_by_capability(answer: bytes) -> str:
    """What a node is, by its driver's ``struct v4l2_capability`` (104 bytes)."""
    _, _, _, _, capabilities, device = _CAPABILITY.unpack(answer)
    own = device if capabilities & _HAS_DEVICE_CAPS else capabilities
    for bits, role in ((_CAPTURE, PICTURE), (_CODEC, CODEC), (_METADATA, METADATA)):
        if own & bits:
            return role
    return OTHER


def _ask(path: Path) -> bytes:
    import fcntl

    device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(device, QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(device)


def _links(host: Host) -> dict[str, str]:
    """Device name -> the name that stays: by id before by path."""
    found: dict[str, str] = {}
    for folder in ("dev/v4l/by-id", "dev/v4l/by-path"):
        for link in sorted((host.root / folder).glob("*")):
            found.setdefault(Path(os.path.realpath(link)).name, f"/{folder}/{link.name}")
    return found


def _holders(host: Host, names: set[str]) -> dict[str, str]:
    """Device name -> the program that has it open, as far as this user may see."""
    found: dict[str, str] = {}
    for link in (host.root / "proc").glob("[0-9]*/fd/*") if names else ():
        try:
            target = link.readlink()
        except OSError:  # the program ended, or is another user's
            continue
        if str(target).startswith("/dev/") and target.name in names:
            process = link.parts[-3]
            found[target.name] = f"{host.text(f'proc/{process}/comm') or 'a program'} (process {process})"
    return found
