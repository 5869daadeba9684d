"""A measurement inside this process, on a machine whose files say that it throttles."""

import pytest

from fer_edge.benchmark.bench import Bench
from fer_edge.benchmark.case import Case
from fer_edge.benchmark.latency import Plan, measure_latency
from fer_edge.benchmark.latency_page import latency_body
from fer_edge.benchmark.rounds import Limit
from fer_edge.benchmark.text import latency_lines
from fer_edge.benchmark.watch import LOOK_EVERY_S, Watch
from fer_edge.throttle import FIRMWARE

CASE = Case("default", "litert", "cpu", 1)


def measure(root, case=CASE):
    plan = Plan([case], [1], Limit(rounds=1), root=root)
    return measure_latency(plan, say=lambda _: None, progress=lambda *_: None)


@pytest.mark.parametrize(("flags", "valid"), [("0", True), ("50000", True), ("4", False), ("80008", False)])
def test_run_on_a_throttled_machine_does_not_count_and_is_shown_so(tmp_path, flags, valid):
    path = tmp_path / FIRMWARE
    path.parent.mkdir(parents=True)
    path.write_text(flags)
    record, failures = measure(tmp_path)
    assert failures == []
    assert record["valid"] is valid
    assert bool(record["invalid_because"]) is not valid
    assert any(line.startswith("NOT VALID") for line in latency_lines(record)) is not valid
    assert ("do not count" in latency_body(record)) is not valid
    assert record["machine"]["throttling_known_from"] == "get_throttled"


def test_case_that_never_opened_is_a_row_and_a_failure(tmp_path):
    record, failures = measure(tmp_path, Case("default", "litert", "cpu", 999))
    assert [failure.exit_code for failure in failures] == [2]
    (case,) = record["cases"]
    assert "--threads 999" in case["failed"]
    assert case["faces"] == []
    assert any("NOT MEASURED" in line for line in latency_lines(record))
    assert "was not measured" in latency_body(record)


def test_throttling_that_came_and_went_between_two_turns_is_seen(tmp_path):
    path = tmp_path / FIRMWARE
    path.parent.mkdir(parents=True)
    path.write_text("0")
    now = [0.0]
    watch = Watch(tmp_path, lambda: now[0])
    watch.look()
    path.write_text("4")
    watch.look()  # too early to look again
    assert watch.as_json()["invalid_because"] == ["throttled after the run"]
    now[0] += LOOK_EVERY_S
    watch.look()
    path.write_text("0")
    assert watch.as_json()["invalid_because"] == ["throttled during the run"]


@pytest.mark.slow
def test_first_call_of_a_gpu_is_the_one_that_opening_makes(software_vulkan):
    """The benchmark's own first call comes after it and would hide what a first face costs."""
    bench = Bench(Case("default", "litert", "gpu", 1), "demo")
    facts = bench.describe()
    assert facts["device"] == "gpu"
    assert facts["first_ms"] == pytest.approx(bench._engine.describe().details["first_ms"], abs=1e-4)
    assert facts["load_ms"] > 0
