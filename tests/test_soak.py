"""`benchmarks/soak.py`: what it calls growth, slowness and loss, and a short real run of it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from places import ROOT
from soak import Sample, growth, judge

FRAMES = 3600


def looks(minutes=60.0, mb_per_hour=0.0, *, noise_mb=0.05, **changes):
    """Two looks a second at a process that grows like this; `changes` are (before, after) of other fields, in the middle."""
    times = np.arange(0, minutes * 60, 0.5)
    dice = np.random.default_rng(7)
    memory = 100 + mb_per_hour * times / 3600 + dice.normal(0, noise_mb, len(times))
    held = {"files": (9, 9), "threads": (5, 5), **changes}
    return [
        Sample(at_s, rss, **{name: pair[int(at_s > times[-1] / 2)] for name, pair in held.items()})
        for at_s, rss in zip(times, memory, strict=True)
    ]


def told(minutes=60.0, *, lines=FRAMES, frames=FRAMES, disorder=0, latency_ms=(40.0, 40.0)):
    """What a run printed: its lines, its summary, and latencies that change in the middle."""
    times = np.linspace(0, minutes * 60, FRAMES)
    words = [f"{frames} frames in {minutes * 60:.0f} s"] if frames else []
    costs = [(at_s, latency_ms[int(at_s > times[-1] / 2)]) for at_s in times]
    return SimpleNamespace(lines=lines, disorder=disorder, words=words, latency_ms=costs)


def problems(run=None, samples=None, *, gaps=(), check_latency=True):
    return judge(run or told(), samples or looks(), list(gaps), 0.0, check_latency=check_latency)[1]


def test_a_run_that_keeps_every_promise_is_not_blamed():
    figures, broken = judge(told(), looks(), [(600.0, 605.0)], 0.0, check_latency=True)

    assert broken == []
    assert (figures["lost"], figures["outages_survived"], figures["longest_outage_s"]) == (0, 1, 5.0)
    assert abs(figures["growth_mb_per_hour"]["slope"]) < 0.1


@pytest.mark.parametrize(
    ("run", "samples", "words"),
    [
        (told(lines=FRAMES - 1), None, "3599 results, 3600 frames"),
        (told(lines=FRAMES + 1), None, "3601 results, 3600 frames"),
        (told(frames=0), None, "None frames in the summary"),
        (told(disorder=1), None, "1 out of order"),
        (None, looks(mb_per_hour=2), "memory grows by 2.0 MB an hour"),
        (told(3), looks(3, mb_per_hour=30), "memory grows by"),
        (None, looks(files=(9, 10)), "files grew from 9 to 10"),
        (None, looks(threads=(5, 6)), "threads grew from 5 to 6"),
        (told(latency_ms=(40.0, 45.0)), None, "went from 40.0 to 45.0 ms"),
    ],
)
def test_each_broken_promise_is_named(run, samples, words):
    found = problems(run, samples)

    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("run", "samples", "check_latency"),
    [
        (None, looks(mb_per_hour=0.9), True),  # what is promised
        (None, looks(mb_per_hour=1.2, noise_mb=20), True),  # nobody can tell
        (told(3), [look._replace(rss_mb=look.rss_mb + 0.3 * (look.at_s > 90)) for look in looks(3)], True),  # one step
        (None, [look._replace(rss_mb=look.rss_mb + 30 * (look.at_s > 300)) for look in looks()], True),  # warming up
        (None, looks(files=(10, 9), threads=(6, 5)), True),
        (told(latency_ms=(40.0, 43.0)), None, True),
        (told(latency_ms=(40.0, 90.0)), None, False),  # the machine was at work
    ],
)
def test_what_promises_nothing_else_is_no_failure(run, samples, check_latency):
    assert problems(run, samples, check_latency=check_latency) == []


def test_slow_answers_around_an_outage_do_not_count():
    run = told()
    run.latency_ms = [(at_s, 9000.0 if 3000 < at_s < 3012 else cost) for at_s, cost in run.latency_ms]

    assert problems(run) != []
    assert problems(run, gaps=[(3000.0, 3010.0)]) == []


def test_too_few_looks_are_no_verdict():
    with pytest.raises(SystemExit, match="only 4 looks at the process"):
        problems(told(0.04), looks(0.04))
    with pytest.raises(SystemExit, match="only 0 looks"):
        judge(told(), [], [], 0.0, check_latency=False)


def test_growth_is_a_slope_with_an_interval_that_noise_widens():
    slope, low, high = growth(looks(mb_per_hour=5))
    noisy = growth(looks(mb_per_hour=5, noise_mb=2))

    assert low < slope < high
    assert slope == pytest.approx(5, abs=0.1)
    assert noisy[2] - noisy[1] > 4 * (high - low)


@pytest.mark.slow
def test_a_short_soak_of_a_real_run_loses_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "soak.py", "--minutes", "0.35", "--faults", "2", "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["lost"], figures["out_of_order"], figures["outages_survived"], figures["exit_code"]) == (0, 0, 2, 0)
    assert figures["results"] > 50
