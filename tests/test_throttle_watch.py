"""That a run says once when its machine slows down."""

import threading

import pytest

from fer_edge.pulse import Pulse
from fer_edge.throttle import FIRMWARE, read_throttling
from fer_edge.throttle_watch import ASK_EVERY_S, LOOK_EVERY_S, ThrottleWatch
from fer_edge_runtime.loop import run_loop
from fer_edge_runtime.sinks import Sinks
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.stream import StreamRecognizer


@pytest.fixture
def machine(tmp_path):
    """A Raspberry Pi's file; a function that says its value, and one that lets time pass and gives what was said."""
    file = tmp_path / FIRMWARE
    file.parent.mkdir(parents=True)
    file.write_text("0\n")
    now, said = [0.0], []
    watch = ThrottleWatch(said.append, root=tmp_path, clock=lambda: now[0])

    def later(seconds):
        now[0] += seconds
        watch.look()
        return said

    return file.write_text, later


def test_machine_that_is_well_is_not_mentioned_whatever_was_before(machine):
    tell, later = machine
    tell("50000\n")
    assert later(LOOK_EVERY_S) == later(LOOK_EVERY_S) == []


def test_throttling_is_said_once_and_seen_within_the_interval(machine):
    tell, later = machine
    assert later(LOOK_EVERY_S) == []
    tell("50005\n")
    assert later(LOOK_EVERY_S / 2) == []
    assert len(later(LOOK_EVERY_S / 2)) == 1
    assert len(later(LOOK_EVERY_S)) == 1
    assert "under-voltage, throttled" in later(0)[0]
    assert "since boot" not in later(0)[0]


def test_machine_that_does_not_tell_is_not_asked_again(tmp_path):
    now, said = [0.0], []
    watch = ThrottleWatch(said.append, root=tmp_path, clock=lambda: now[0])
    now[0] += LOOK_EVERY_S
    watch.look()
    (tmp_path / FIRMWARE).parent.mkdir(parents=True)
    (tmp_path / FIRMWARE).write_text("5\n")
    now[0] += LOOK_EVERY_S
    watch.look()
    assert said == []


def test_load_follows_every_change_and_its_end_is_said_once(tmp_path):
    file = tmp_path / FIRMWARE
    file.parent.mkdir(parents=True)
    now, said, eased = [0.0], [], []
    watch = ThrottleWatch(said.append, ease=eased.append, root=tmp_path, clock=lambda: now[0])
    for words in ("4\n", "40004\n", "40000\n", "50005\n", "50000\n"):
        file.write_text(words)
        now[0] += LOOK_EVERY_S
        watch.look()
    assert eased == [True, False, True, False]
    assert ["slows itself down" in said[0], "no longer" in said[1], len(said)] == [True, True, 2]


def test_slowed_loop_detects_on_every_second_frame_until_it_is_over(recognizer, tmp_path):
    file = tmp_path / FIRMWARE
    file.parent.mkdir(parents=True)
    file.write_text("0\n")
    said, detected = [], []

    def show(result):
        detected.append(result.stages_ms["detect"] > 0.1)
        file.write_text({20: "50005\n", 40: "50000\n"}.get(len(detected), file.read_text()))

    stream = StreamRecognizer(recognizer, "live")
    with open_source("demo") as source:
        watch = ThrottleWatch(said.append, ease=stream.ease, root=tmp_path, clock=lambda: LOOK_EVERY_S * len(detected))
        with Pulse(source, show, None, watch) as pulse:
            run_loop(source, stream, Sinks(), stop=threading.Event(), max_frames=60, on_result=pulse.frame)
    assert [detected[:20], detected[20:40], detected[40:]] == [[True] * 20, [True, False] * 10, [True] * 20]
    assert ["half as often" in said[0], "as often as before" in said[1], len(said)] == [True, True, 2]


@pytest.mark.skipif(
    read_throttling(ask=False).source == "get_throttled", reason="the kernel of this board tells itself"
)
def test_board_that_only_its_tool_knows_is_asked_seldom_and_no_more_once_it_fails(tmp_path, monkeypatch):
    tool, calls = tmp_path / "vcgencmd", tmp_path / "calls"
    tool.write_text(f"#!/bin/sh\necho >> {calls}\ncat {tmp_path}/answer\n")
    tool.chmod(0o755)
    (tmp_path / "answer").write_text("throttled=0x0\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def run(*moments):
        """What is said, and how often the tool was asked, when the frame loop looks at these moments."""
        now, said = [0.0], []
        calls.write_text("")
        watch = ThrottleWatch(said.append, clock=lambda: now[0])
        for now[0] in moments:
            watch.look()
        return said, len(calls.read_text())

    assert run(LOOK_EVERY_S, 2 * LOOK_EVERY_S, 3 * LOOK_EVERY_S, LOOK_EVERY_S + ASK_EVERY_S) == ([], 2)
    (tmp_path / "answer").write_text("throttled=0x50005\n")
    said, asked = run(LOOK_EVERY_S, LOOK_EVERY_S + ASK_EVERY_S)
    assert "under-voltage, throttled" in said[0]
    assert asked == 1
    (tmp_path / "answer").unlink()
    assert run(*(number * ASK_EVERY_S for number in range(1, 5)))[1] == 1
