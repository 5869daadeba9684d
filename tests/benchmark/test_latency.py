"""A measurement inside this process, on a machine whose files say that it throttles."""

import pytest

from fer_edge.benchmark.case import Case
from fer_edge.benchmark.latency import Plan, measure_latency
from fer_edge.benchmark.latency_page import latency_body
from fer_edge.benchmark.rounds import Limit
from fer_edge.benchmark.text import latency_lines
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
