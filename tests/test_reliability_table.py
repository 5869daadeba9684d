"""What `scripts/page_tables/reliability.py` and `benchmarks/service.py --check` make of results: of whichever there are, with what was broken."""

import copy

import pytest
from page_tables.reliability import reliability_line, reliability_table
from service import failures

MACHINE = {"cpu": "A processor", "cores": 2, "date": "2026-11-25"}
RESULTS = {
    "soak": {
        "machine": MACHINE, "minutes": 60, "faults": {"hang": 20, "unplug": 30}, "results": 64000, "lost": 0,
        "growth_mb_per_hour": {"slope": 0.21, "low": -0.1, "high": 0.5}, "file_descriptors": [9, 9], "threads": [5, 5],
        "latency_p99_ms": [40.0, 42.0], "latency_p99_drift": 0.05, "latency_checked": True, "broken_promises": [],
    },
    "kills": {
        "machine": MACHINE, "kills": 300,
        "signals": {
            "SIGTERM": {"kills": 100, "landed": 80, "broken_promises": 0, "seconds_to_end_max": 0.5},
            "SIGINT": {"kills": 100, "landed": 75, "broken_promises": 0, "seconds_to_end_max": 0.6},
            "SIGKILL": {"kills": 100, "landed": 70, "broken_promises": 0, "seconds_to_end_max": None},
        },
    },
}  # fmt: skip


@pytest.fixture
def results():
    return copy.deepcopy(RESULTS)


def test_line_names_the_sections_that_exist(results):
    assert reliability_line(results) == (
        "225 runs killed, 60 minutes on a camera that failed 50 times (64,000 results, 0 lost). Promises broken: none."
    )
    del results["soak"]
    assert reliability_line(results) == "225 runs killed. Promises broken: none."


def test_line_says_what_was_broken(results):
    results["kills"]["signals"]["SIGINT"]["broken_promises"] = 2
    assert reliability_line(results).endswith("Promises broken: kills **2**.")


def test_kills_are_told_by_signal(results):
    shown = reliability_table(results)
    assert "hit a living process: SIGTERM 80 of 100, SIGINT 75 of 100, SIGKILL 70 of 100" in shown
    assert "ended within 0.6 s" in shown


@pytest.mark.parametrize(
    ("checked", "words"), [(True, "promised: 10 %"), (False, "not judged, the machine was at work")]
)
def test_soak_says_whether_its_latency_was_judged(results, checked, words):
    results["soak"]["latency_checked"] = checked
    assert f"40.0 to 42.0 ms (+5%; {words})" in reliability_table(results)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ratio": 0.89}, "200 clients: 89.0% of the frame rate"),
        ({"codes": {"200": 9, "500": 1}}, "200 clients: answers {'200': 9, '500': 1}"),
        ({"codes": {"429": 9}, "ok_per_s": 0.0}, "200 clients: answers {'429': 9}"),
    ],
)
def test_answers_of_the_live_page_under_load_are_looked_at(change, words):
    well = {"ratio": 1.0, "quiet_fps": 15.0, "codes": {"200": 9, "429": 1, "503": 1}, "ok_per_s": 1.0}
    slow = {"ratio": 0.91, "quiet_fps": 15.0}
    for load, problems, count in ((well, [], "none"), (well | change, [words], "**1**")):
        loads = {"200 clients": load, "200 slow headers": slow}
        page = {"loads": loads, "seconds": 10.0, "stop_s_with_50_clients": 0.1}
        assert failures(loads, {}) == problems
        assert f"| {count} | frame rate" in reliability_table({"service": {"machine": MACHINE, "page": page}})


def test_answers_of_the_picture_service_are_looked_at():
    assert failures({}, {"1 clients": {"codes": {"200": 3, "503": 1}, "ok_per_s": 3.0}}) == []
    assert failures({}, {"1 clients": {"codes": {"200": 3, "400": 1}, "ok_per_s": 3.0}}) == [
        "1 clients: answers {'200': 3, '400': 1}"
    ]
