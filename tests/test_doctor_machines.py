"""`fer-edge doctor` on machines that are not here: folders that look like a Raspberry Pi's, a PC's, a container's."""

import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge.doctor import FAIL, PASS, WARN, Check, Host, run_checks
from fer_edge.doctor.cameras import CODEC, CSI, METADATA, OTHER, PICTURE, cameras, read_nodes, role_by_capability
from fer_edge.doctor.memory import memory, read_budget
from fer_edge.doctor.processor import processor
from fer_edge.doctor.speed import Speed, speed_check
from fer_edge.doctor.system import heat, system
from fer_edge.throttle import FIRMWARE

PI4 = "fp asimd evtstrm crc32 cpuid"
PI5 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def board(root, *, model="Raspberry Pi 4 Model B Rev 1.4", part="0xd08", features=PI4, free_mib=3000, **host):
    put(root, "proc/device-tree/model", model + "\0")
    put(root, "proc/cpuinfo", f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: {part}")
    put(root, "sys/devices/system/cpu/possible", "0-3")
    put(root, "proc/meminfo", f"MemTotal:        3884320 kB\nMemAvailable:    {free_mib * 1024} kB")
    return Host(root, **{"machine": "aarch64", "bits": 64, "python": (3, 11), **host})


def computer(root, flags, *, total_mib=16000, free_mib=8000):
    put(root, "proc/cpuinfo", f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse4_1 {flags}")
    put(root, "sys/devices/system/cpu/possible", "0-7")
    put(
        root, "proc/meminfo", f"MemTotal: {total_mib * 1024} kB\nMemAvailable: {free_mib * 1024} kB\nHugePages_Total: 0"
    )
    return Host(root, machine="x86_64", bits=64, python=(3, 13))


def by_id(checks):
    return {check.id: check for check in checks}


def node(root, number, name, index=0, *, id=None, path=None):
    put(root, f"dev/video{number}", "")
    put(root, f"sys/class/video4linux/video{number}/name", name)
    put(root, f"sys/class/video4linux/video{number}/index", str(index))
    for folder, link in (("by-id", id), ("by-path", path)):
        if link:
            (root / "dev/v4l" / folder).mkdir(parents=True, exist_ok=True)
            (root / "dev/v4l" / folder / link).symlink_to(f"../../video{number}")


# The processor


def test_pi_4_has_no_dotprod_and_hears_what_that_means(tmp_path):
    (check,) = processor(board(tmp_path))
    assert check.status == PASS
    assert "Cortex-A72: NEON" in check.found
    assert "slower than with dotprod" in check.found
    assert check.values == {"name": "Cortex-A72", "features": ["NEON"], "int8": "NEON"}


def test_pi_5_has_dotprod(tmp_path):
    (check,) = processor(board(tmp_path, part="0xd0b", features=PI5))
    assert check.values == {"name": "Cortex-A76", "features": ["dotprod", "NEON", "fp16"], "int8": "dotprod"}


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ("avx2 fma", "avx2"),
        ("avx2 avx_vnni", "avx_vnni"),
        ("avx2 avx512f avx512_vnni avx_vnni", "avx512_vnni"),
        ("avx2 avx512_vnni amx_int8", "amx_int8"),
    ],
)
def test_best_instructions_of_a_computer_are_named_first(tmp_path, flags, best):
    (check,) = processor(computer(tmp_path, flags))
    assert check.status == PASS
    assert check.values["int8"] == best
    assert f"Some CPU: {best}: " in check.found


def test_computer_without_avx2_is_slow(tmp_path):
    (check,) = processor(computer(tmp_path, ""))
    assert check.status == WARN
    assert "virtual machine" in check.remedy


@pytest.mark.parametrize("missing", ["proc/cpuinfo", "sys/devices/system/cpu/possible"])
def test_chroot_in_which_xnnpack_would_be_left_out_in_silence(tmp_path, missing):
    host = board(tmp_path)
    (tmp_path / missing).unlink()
    (check,) = processor(host)
    assert check.status == WARN
    assert "mount /proc and /sys" in check.remedy


# The system


def test_64_bit_board_is_fine(tmp_path):
    checks = by_id(system(board(tmp_path)))
    assert (checks["python"].status, checks["architecture"].status) == (PASS, PASS)
    assert "Raspberry Pi 4 Model B" in checks["architecture"].found


@pytest.mark.parametrize(("python", "status"), [((3, 11), WARN), ((3, 13), FAIL)])
def test_32_bit_system_under_a_64_bit_kernel_is_seen(tmp_path, python, status):
    check = by_id(system(board(tmp_path, bits=32, python=python)))["architecture"]
    assert check.status == status
    assert "a 32-bit system on a 64-bit kernel" in check.found
    assert ("tflite-runtime]" in check.remedy) is (status == WARN)


def test_python_without_wheels_is_a_note(tmp_path):
    assert by_id(system(board(tmp_path, python=(3, 14))))["python"].status == WARN


# Heat and power


def test_board_that_is_well(tmp_path):
    host = board(tmp_path)
    put(tmp_path, FIRMWARE, "0")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48300")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand")
    checks = by_id(heat(host))
    assert [check.status for check in checks.values()] == [PASS, PASS, PASS]
    assert checks["temperature"].values == {"celsius": 48.3}
    assert checks["throttling"].values == {"source": "get_throttled", "now": [], "since_boot": []}


@pytest.mark.parametrize(
    ("flags", "status", "word", "remedy"),
    [
        ("50005", FAIL, "under-voltage, throttled", "power supply"),
        ("50000", WARN, "under-voltage since boot", "power supply"),
        ("e0008", WARN, "soft temperature limit", "fan"),
    ],
)
def test_throttling_bits_have_words_and_a_remedy(tmp_path, flags, status, word, remedy):
    host = board(tmp_path)
    put(tmp_path, FIRMWARE, flags)
    check = by_id(heat(host))["throttling"]
    assert check.status == status
    assert word in check.found
    assert remedy in check.remedy


def test_hot_board_that_saves_power(tmp_path):
    host = board(tmp_path)
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "84000")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    checks = by_id(heat(host))
    assert (checks["temperature"].status, checks["governor"].status) == (WARN, WARN)
    assert "ondemand" in checks["governor"].remedy


def test_counts_that_every_laptop_has_are_no_note(tmp_path):
    host = computer(tmp_path, "avx2")
    put(tmp_path, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7")
    assert by_id(heat(host))["throttling"].status == PASS


# Memory


@pytest.mark.parametrize(("free_mib", "status"), [(3000, PASS), (140, WARN), (90, FAIL)])
def test_free_memory_is_judged_by_what_a_run_took(tmp_path, free_mib, status):
    check = memory(board(tmp_path, free_mib=free_mib), 101.2)
    assert check.status == status
    assert check.values["need_mib"] == 101.2
    assert bool(check.remedy) is (status != PASS)


def test_container_may_take_what_its_group_allows_and_what_files_hold_is_free(tmp_path):
    host = computer(tmp_path, "avx2")
    put(tmp_path, "proc/self/cgroup", "0::/")
    put(tmp_path, "sys/fs/cgroup/memory.max", str(256 * 2**20))
    put(tmp_path, "sys/fs/cgroup/memory.current", str(200 * 2**20))
    put(tmp_path, "sys/fs/cgroup/memory.stat", f"anon 1\ninactive_file {20 * 2**20}")
    assert read_budget(host) == (76, 16000, 256)
    check = memory(host, 101.0)
    assert check.status == FAIL
    assert "limit" in check.remedy


def test_memory_of_the_doctor_itself_will_be_free(tmp_path):
    host = board(tmp_path, free_mib=100)
    put(tmp_path, "proc/self/status", f"Name:\tpython\nVmRSS:\t{90 * 1024} kB\nRssAnon:\t   {40 * 1024} kB")
    assert read_budget(host).available == 140


def test_limit_of_a_group_above_counts(tmp_path):
    host = computer(tmp_path, "avx2")
    put(tmp_path, "proc/self/cgroup", "0::/system.slice/fer-edge.service")
    put(tmp_path, "sys/fs/cgroup/system.slice/fer-edge.service/memory.max", "max")
    put(tmp_path, "sys/fs/cgroup/system.slice/memory.max", str(400 * 2**20))
    assert read_budget(host) == (400, 16000, 400)


def test_groups_of_the_first_version_are_read_and_their_no_limit_is_none(tmp_path):
    host = computer(tmp_path, "avx2")
    put(tmp_path, "proc/self/cgroup", "5:cpu:/docker/1\n4:memory:/docker/1")
    put(tmp_path, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", str(512 * 2**20))
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    assert read_budget(host) == (512, 16000, 512)


def test_machine_that_does_not_tell_its_memory_has_no_line(tmp_path):
    assert memory(Host(tmp_path), 100.0) is None


def test_what_was_not_measured_is_no_reason_to_fail(tmp_path):
    assert memory(board(tmp_path, free_mib=90), None).status == WARN


# Cameras


def test_usb_camera_goes_by_the_name_that_stays_and_its_metadata_node_is_none(tmp_path):
    host = computer(tmp_path, "avx2")
    node(tmp_path, 0, "HD Webcam", id="usb-046d_HD_Webcam-video-index0", path="pci-0-usb-0:1-video-index0")
    node(tmp_path, 1, "HD Webcam", 1, id="usb-046d_HD_Webcam-video-index1")
    node(tmp_path, 10, "Plain", path="pci-0-usb-0:2-video-index0")
    checks = by_id(cameras(host))
    assert list(checks) == [
        "cameras", "camera:/dev/v4l/by-id/usb-046d_HD_Webcam-video-index0", "camera:/dev/v4l/by-path/pci-0-usb-0:2-video-index0",
    ]  # fmt: skip
    assert "not cameras: /dev/video1 (metadata)" in checks["cameras"].found
    assert all(check.status == PASS for check in checks.values())


def test_camera_in_use_is_said_with_the_program(tmp_path):
    host = computer(tmp_path, "avx2")
    node(tmp_path, 0, "HD Webcam")
    put(tmp_path, "proc/4711/comm", "motion")
    (tmp_path / "proc/4711/fd").mkdir()
    (tmp_path / "proc/4711/fd/5").symlink_to("/dev/video0")
    check = by_id(cameras(host))["camera:/dev/video0"]
    assert check.status == WARN
    assert "motion (process 4711)" in check.found


def test_ribbon_cable_of_a_pi_is_no_camera_for_opencv(tmp_path):
    host = board(tmp_path)
    for number, name in (
        (0, "unicam-image"),
        (10, "bcm2835-codec-decode"),
        (20, "pispbe-input"),
        (21, "rp1-cfe-csi2_ch0"),
    ):
        node(tmp_path, number, name)
    assert [found.role for found in read_nodes(host)] == [CSI, CODEC, CODEC, CSI]
    (check,) = cameras(host)
    assert check.status == WARN
    assert "picamera2:0" in check.remedy
    assert check.values["picamera2"] is False


def test_no_camera_is_a_note(tmp_path):
    (check,) = cameras(computer(tmp_path, "avx2"))
    assert check.status == WARN
    assert check.found == "none found (/dev/video*)"


@pytest.mark.parametrize(
    ("sensor", "webcam", "status", "offered"),
    [(True, False, PASS, True), (False, False, WARN, False), (False, True, PASS, False)],
)
def test_picamera2_without_a_sensor_is_no_camera(tmp_path, monkeypatch, sensor, webcam, status, offered):
    put(tmp_path, "modules/picamera2/__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    host = board(tmp_path)
    node(tmp_path, 10, "bcm2835-codec-decode")
    if sensor:
        node(tmp_path, 0, "unicam-image")
    if webcam:
        node(tmp_path, 1, "HD Webcam")
    check = by_id(cameras(host))["cameras"]
    assert check.status == status
    assert ("picamera2:0" in check.found) is offered
    assert ("no CSI sensor was found" in check.found) is not offered
    assert ("ribbon cable" in check.remedy) is (status == WARN)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_camera_that_this_user_may_not_open(tmp_path):
    host = computer(tmp_path, "avx2")
    node(tmp_path, 0, "HD Webcam")
    (tmp_path / "dev/video0").chmod(0)
    check = by_id(cameras(host))["camera:/dev/video0"]
    assert check.status == FAIL
    assert "usermod -aG video" in check.remedy


@pytest.mark.parametrize(
    ("capabilities", "device", "role"),
    [
        (0x84A00001, 0x04200001, PICTURE),  # uvcvideo: picture node
        (0x84A00001, 0x04A00000, METADATA),  # the same camera's second node
        (0x84204000, 0x04204000, CODEC),
        (0x05000001, 0x0, PICTURE),  # an old driver without device_caps
        (0x85000002, 0x05000002, OTHER),  # an output
    ],
)
def test_a_drivers_answer_tells_cameras_from_other_nodes(capabilities, device, role):
    answer = struct.pack("=16s32s32sIII12x", b"uvcvideo", b"HD Webcam", b"usb-1", 0x60000, capabilities, device)
    assert len(answer) == 104
    assert role_by_capability(answer) == role


# Speed, and all of it


def test_slow_machine_hears_what_helps():
    slow = Speed(9, 4.2, 2.0, 180.0, 40.0, 120.0, "litert")
    check = speed_check(slow)
    assert check.status == WARN
    assert "4.2 frames/s with 1 face (measured), 2.0 frames/s with 4 (estimate)" in check.found
    assert "--detect-every 3" in check.remedy
    assert speed_check(slow._replace(fps=31.4, many_fps=12.0)).status == PASS
    assert "load 7.3" in speed_check(slow._replace(load=7.3)).found


def test_a_made_up_board_gets_a_whole_list_with_stable_keys(tmp_path):
    host = board(tmp_path, machine=platform.machine())
    checks = run_checks(measure=False, host=host)
    assert len({check.id for check in checks}) == len(checks)
    assert not [check.found for check in checks if "the check broke" in check.found]
    assert all(check.remedy for check in checks if check.status != PASS)


def test_a_check_that_breaks_is_a_finding(tmp_path):
    host = computer(tmp_path, "avx2")
    put(tmp_path, "proc/meminfo", "MemTotal: many kB\nMemAvailable: 1 kB")
    check = by_id(run_checks(measure=False, host=host))["memory"]
    assert check.status == FAIL
    assert "the check broke: ValueError" in check.found


def test_no_problem_comes_without_a_remedy():
    with pytest.raises(ValueError, match="FAIL without a remedy"):
        Check("id", FAIL, "something is wrong")


def test_numpy_that_is_not_there_fails():
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from fer_edge.doctor.libraries import libraries\n"
        "check = next(libraries())\nprint(check.id, check.status, check.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "numpy FAIL pip install --force-reinstall numpy\n", done.stderr


def test_nothing_of_the_made_up_machine_is_written(tmp_path):
    host = board(tmp_path)
    before = sorted(Path(tmp_path).rglob("*"))
    run_checks(measure=False, host=host)
    assert sorted(Path(tmp_path).rglob("*")) == before
