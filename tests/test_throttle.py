"""The throttling flags: the documented bits, and files that look like a machine's."""

import pytest

from fer_edge.throttle import (
    ASKED,
    FIRMWARE,
    Throttling,
    decode_throttled,
    parse_throttled,
    read_throttling,
    throttled_between,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0x0, ()),
        (0x1, ("under-voltage",)),
        (0x2, ("frequency capped",)),
        (0x4, ("throttled",)),
        (0x8, ("soft temperature limit",)),
        (0x10000, ("under-voltage since boot",)),
        (0x20000, ("frequency capped since boot",)),
        (0x40000, ("throttled since boot",)),
        (0x80000, ("soft temperature limit since boot",)),
        (0x50005, ("under-voltage", "throttled", "under-voltage since boot", "throttled since boot")),
        (0x100000, ("bit 20",)),
    ],
)
def test_every_bit_has_its_word(value, words):
    assert decode_throttled(value) == words


@pytest.mark.parametrize(
    ("text", "value"), [("throttled=0x50000\n", 0x50000), ("50005\n", 0x50005), ("0\n", 0), ("", None), ("error", None)]
)
def test_both_spellings_are_read(text, value):
    assert parse_throttled(text) == value


PI_5 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_machine_that_does_not_tell_is_unknown_not_fine(tmp_path):
    found = read_throttling(tmp_path)
    assert not found.known
    assert found.now == ()


@pytest.mark.parametrize("node", [FIRMWARE, PI_5])
def test_board_tells_now_and_since_boot_apart(tmp_path, node):
    put(tmp_path, node, "50005")
    found = read_throttling(tmp_path)
    assert found.now == ("under-voltage", "throttled")
    assert found.counted == ("under-voltage since boot", "throttled since boot")


@pytest.mark.skipif(
    read_throttling(ask=False).source == "get_throttled", reason="the kernel of this board tells itself"
)
def test_board_without_the_file_is_asked_through_its_tool(tmp_path, monkeypatch):
    (tmp_path / "vcgencmd").write_text("#!/bin/sh\necho throttled=0x50005\n")
    (tmp_path / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert read_throttling().source == ASKED
    assert read_throttling().now == ("under-voltage", "throttled")
    assert read_throttling(ask=False).source != ASKED
    (tmp_path / "vcgencmd").write_text("#!/bin/sh\nexec sleep 60\n")
    assert read_throttling(timeout_s=0.2).source != ASKED


def test_cooling_of_the_processor_counts_and_a_fan_does_not(tmp_path):
    put(tmp_path, "sys/class/thermal/cooling_device0/type", "pwm-fan")
    put(tmp_path, "sys/class/thermal/cooling_device0/cur_state", "4")
    assert not read_throttling(tmp_path).known
    put(tmp_path, "sys/class/thermal/cooling_device1/type", "cpufreq-cpu0")
    put(tmp_path, "sys/class/thermal/cooling_device1/cur_state", "0")
    assert read_throttling(tmp_path).known
    assert read_throttling(tmp_path).now == ()
    put(tmp_path, "sys/class/thermal/cooling_device1/cur_state", "3")
    assert read_throttling(tmp_path).now == ("cpufreq-cpu0 slowed to step 3",)


def test_only_what_is_new_or_present_spoils_a_run(tmp_path):
    counter = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    put(tmp_path, counter, "7")
    before = read_throttling(tmp_path)
    assert throttled_between(before, [before], before) == []
    put(tmp_path, counter, "9")
    reasons = throttled_between(before, [], read_throttling(tmp_path))
    assert reasons == ["cpu0 core throttled 9 times since boot, new in this run"]


def test_what_came_and_went_during_the_run_is_seen():
    quiet = Throttling("get_throttled")
    assert throttled_between(quiet, [Throttling("get_throttled", ("throttled",))], quiet) == [
        "throttled during the run"
    ]
    old = Throttling("get_throttled", (), ("throttled since boot",))
    assert throttled_between(old, [old], old) == []
