"""Cameras that come back under another number, and a real one."""

import functools
import itertools
import os

import pytest

from fer_edge_runtime.sources import SourceState, open_source
from fer_edge_runtime.sources.camera import lasting_name


@pytest.fixture
def plug_in(tmp_path):
    """Plays udev: a camera's device file, its links and its serial number, if it has one."""

    def plug(number, *, port, serial=None):
        (tmp_path / f"video{number}").touch()
        for kind, name in [
            ("by-id", f"usb-Cam_{serial or 'twin'}-video-index0"),
            ("by-path", f"usb-0:{port}-video-index0"),
        ]:
            link = tmp_path / "v4l" / kind / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../video{number}")
        usb = tmp_path / "sys" / "usb" / port
        (usb / f"{port}:1.0").mkdir(parents=True, exist_ok=True)
        if serial:
            (usb / "serial").write_text(serial)
        device = tmp_path / "sys" / "class" / "video4linux" / f"video{number}"
        device.mkdir(parents=True, exist_ok=True)
        (device / "device").unlink(missing_ok=True)
        (device / "device").symlink_to(usb / f"{port}:1.0")
        return tmp_path / f"video{number}"

    return plug


def test_camera_has_a_lasting_name_its_own_or_that_of_its_port(plug_in, tmp_path):
    own, twin, other = plug_in(0, port="1", serial="42"), plug_in(2, port="2"), plug_in(4, port="3")
    name = functools.partial(lasting_name, dev=tmp_path, sys_root=tmp_path / "sys")
    assert name(own).name == "usb-Cam_42-video-index0"
    assert name(twin).name == "usb-0:2-video-index0", "its by-id name leads to its twin"
    assert name(other).name == "usb-0:3-video-index0"
    assert name(tmp_path / "video1") is None
    assert lasting_name(own, dev=tmp_path / "none", sys_root=tmp_path) is None


def test_camera_that_comes_back_under_another_number_is_followed(plug_in, tmp_path, monkeypatch):
    from fer_edge_runtime.sources import camera

    opened = []
    monkeypatch.setattr(camera, "DEV", tmp_path)
    monkeypatch.setattr(camera, "SYS", tmp_path / "sys")
    monkeypatch.setattr(
        camera, "_open_device", lambda at, name: opened.append(at if isinstance(at, int) else at.resolve().name)
    )
    first = plug_in(0, port="1", serial="42")
    porch = camera._Camera(0, "porch")
    porch.open()
    first.unlink()
    porch.open()
    plug_in(4, port="7", serial="42")
    porch.open()
    assert opened == [0, 0, "video4"]


@pytest.mark.camera
@pytest.mark.skipif("FER_EDGE_TEST_V4L2_DEVICE" not in os.environ, reason="FER_EDGE_TEST_V4L2_DEVICE names no camera")
def test_real_camera_gives_pictures_and_can_be_had_again():
    device = os.environ["FER_EDGE_TEST_V4L2_DEVICE"]
    for _ in range(2):
        with open_source(device) as source:
            frames = source.frames()
            got = [next(frames) for _ in range(20)]
            health = source.health()
        assert all(a.time_s < b.time_s for a, b in itertools.pairwise(got))
        assert (health.state, health.reconnects, health.odd, health.frozen) == (SourceState.RUNNING, 0, 0, 0)
        assert health.frames >= 20
