"""`fer-edge benchmark` as a user runs it: real processes, real bundles, real signals."""

import json
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from command_line import fer_edge, one_sentence, start
from places import DEFAULT_BUNDLE, hear_interrupts


def benchmark(*arguments, **options):
    return fer_edge("benchmark", *arguments, **options)


def start_latency(*arguments):
    """A running measurement whose workers have opened their cases, and those workers."""
    process = start("benchmark", "latency", *arguments, preexec_fn=hear_interrupts)
    opened = 0
    while opened < 2:
        opened += "first face" in next(process.stderr)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    return process, workers


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """The default cases, briefly, with a sweep and a page."""
    page = tmp_path_factory.mktemp("latency") / "latency.html"
    done = benchmark("latency", "--rounds", 2, "--faces", 1, "--faces", 2, "--sweep", "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    return done, page


def test_record_holds_what_makes_figures_comparable(short_run):
    record = json.loads(short_run[0].stdout)
    assert (record["schema"], record["command"], record["settings"]["rounds"]) == (1, "benchmark latency", 2)
    assert isinstance(record["valid"], bool)
    machine = record["machine"]
    assert {"cpu", "cores", "versions", "before", "after"} <= set(machine)
    assert {"governor", "temperature_c", "frequency_mhz", "load_1min", "throttled", "date"} <= set(machine["before"])
    assert [case["engine"] for case in record["cases"]] == ["litert", "onnxruntime"]
    for case in record["cases"]:
        assert case["failed"] is None
        assert case["device"] == "cpu"
        assert case["operators"]["total"] >= 65
        assert case["operators"]["delegated"] == (64 if case["engine"] == "litert" else 0)
        assert min(case["load_ms"], case["first_ms"], case["peak_mib"]) > 0
        assert [batch["faces"] for batch in case["faces"]] == [1, 2]
        for batch in case["faces"]:
            assert batch["n"] == 10
            assert batch["min_ms"] <= batch["p50_ms"] <= batch["p90_ms"] <= batch["p99_ms"]
            assert batch["faces_per_s"] > 0
        assert list(case["clip"]["stages"]) == [
            "decode",
            "detect",
            "track",
            "align",
            "classify",
            "smooth",
            "draw",
            "total",
        ]
        assert case["clip"]["frames_per_s"] > 0
        assert all(point["found"] == point["faces"] for point in case["sweep"])
        assert {point["axis"] for point in case["sweep"]} == {"faces", "size", "every"}
        assert [point["faces"] for point in case["sweep"] if point["axis"] == "faces"] == [1, 2, 4, 8, 16]


def test_people_get_tables_on_stderr(short_run):
    text = short_run[0].stderr
    for part in ("p50 ms", "faces/s", "frames/s", "Work per frame by frame size", "1920x1080", "Page: "):
        assert part in text


def test_page_is_whole_and_has_its_plots(short_run):
    page = short_run[1].read_text()
    assert page.count("<svg") == 5
    assert page.rstrip().endswith("</html>")
    assert "XNNPACK" in page


def test_killed_worker_is_a_row_and_the_others_go_on():
    process, workers = start_latency("--seconds", "2", "--json")
    workers[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    record = json.loads(out)
    dead, alive = record["cases"]
    assert "SIGKILL" in dead["failed"]
    assert alive["failed"] is None
    assert alive["faces"][0]["n"] > 10
    assert "[1] NOT MEASURED" in err
    assert process.returncode == 1


def test_interrupt_ends_with_130_and_leaves_no_process():
    process, workers = start_latency("--seconds", "60")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "fer-edge: interrupted" in err
    assert "Traceback" not in err
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (2, [])


def test_workers_end_when_the_command_is_killed():
    process, workers = start_latency("--seconds", "60")
    process.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_slower_than_the_baseline_is_exit_code_3_and_one_sentence_a_case(short_run, tmp_path):
    record = json.loads(short_run[0].stdout)
    old = tmp_path / "old.json"
    for case in record["cases"]:
        for batch in case["faces"]:
            batch["p50_ms"] /= 1000
    old.write_text(json.dumps(record | {"valid": True}))
    arguments = ("latency", "--rounds", 1, "--engine", "litert", "--faces", 1, "--baseline", old)
    failed = benchmark(*arguments, "--fail-over", "10%", "--json")
    assert failed.returncode == 3
    slow = [line for line in failed.stderr.splitlines() if "), 1 face: " in line and line.endswith("% slower")]
    assert len(slow) == 2  # in the table and in the error
    compared = {change["case"].rpartition("), ")[2] for change in json.loads(failed.stdout)["baseline"]["changes"]}
    assert {"1 face", "clip: detect", "clip: whole frame", "loading"} <= compared
    assert json.loads(failed.stdout)["baseline"]["ok"] is False
    assert benchmark(*arguments).returncode == 0  # compares, allows everything


def test_baseline_of_another_machine_needs_ratios(short_run, tmp_path):
    record = json.loads(short_run[0].stdout)
    record["machine"]["cpu"] = "another"
    old = tmp_path / "old.json"
    old.write_text(json.dumps(record | {"valid": True}))
    arguments = ("latency", "--rounds", 1, "--faces", 1, "--baseline", old, "--fail-over", "5000%")
    refused = benchmark(*arguments)
    assert refused.returncode == 2
    assert "--ratios" in refused.stderr
    compared = benchmark(*arguments, "--ratios")
    assert compared.returncode == 0, compared.stderr
    assert "× the first case" in compared.stderr


def test_device_that_is_not_there_is_a_row_and_its_exit_code(tmp_path):
    done = benchmark(
        "latency", "--rounds", 1, "--engine", "litert", "--device", "cpu", "--device", "gpu", "--faces", 1, "--json"
    )
    record = json.loads(done.stdout)
    assert record["cases"][0]["failed"] is None
    if record["cases"][1]["failed"] is None:
        pytest.skip("this machine has a GPU that runs the bundle")
    assert "gpu" in record["cases"][1]["failed"]
    assert done.returncode == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], 5, "There is no bundle at"),
        (["--clip", "nothing.mp4"], 4, "no such file"),
        (["--clip", "picture.png"], 2, "no video file"),
        (["--faces", "0"], 2, "--faces 0"),
        (["--rounds", "2", "--seconds", "2"], 2, "Both --rounds and --seconds"),
        (["--fail-over", "10%"], 2, "--baseline"),
        (["--ratios"], 2, "--baseline"),
        (["--html", "page.htm"], 2, "must end in .html"),
        (["--html", "no/such/page.html"], 8, "does not exist"),
        (["--threads", "999", "--rounds", "1"], 2, "--threads 999"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, arguments, code, said):
    shutil.copy(Path(__file__).parent / "samples" / "astronaut.jpg", tmp_path / "picture.png")
    done = benchmark("latency", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in one_sentence(done.stderr)


def test_bundle_with_other_answers_is_refused(tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, bundle)
    (bundle / "model.int8.tflite").write_bytes(b"changed")
    done = benchmark("latency", bundle, "--rounds", 1)
    assert done.returncode == 5
    assert "model.int8.tflite" in done.stderr
