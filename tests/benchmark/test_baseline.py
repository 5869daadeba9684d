"""Records against older records."""

import copy
import json

import pytest

from fer_edge.benchmark.baseline import check_same_machine, compare, parse_percent, read_baseline
from fer_edge_runtime.errors import ConfigError


def record(**medians):
    """A record with one case an engine; ``litert_4=1.5`` is 1.5 ms for four faces."""
    cases = {}
    for name, p50_ms in medians.items():
        engine, faces = name.split("_")
        case = {
            "name": "default",
            "artefact": f"model.{engine}",
            "engine": engine,
            "device": "cpu",
            "delegate": "d",
            "threads": 1,
        }
        cases.setdefault(engine, {**case, "faces": []})["faces"].append({"faces": int(faces), "p50_ms": p50_ms})
    return {
        "schema": 1, "command": "benchmark latency", "valid": True, "invalid_because": [], "machine": {"cpu": "A"},
        "cases": list(cases.values()),
    }  # fmt: skip


def whole(*, stages, load_ms=100.0, peak_mib=60.0, p50_ms=1.0):
    """A record as the command writes it: batches, the clip, loading, memory."""
    found = record(litert_1=p50_ms)
    times = {name: {"p50_ms": value} for name, value in stages.items()}
    found["cases"][0] |= {"clip": {"stages": times}, "load_ms": load_ms, "peak_mib": peak_mib}
    return found


STAGES = {"decode": 0.0, "detect": 5.0, "total": 8.0}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"stages": STAGES | {"detect": 6.0}}, "clip: detect: 6 ms, before 5 ms: 20.0% slower"),
        ({"stages": STAGES | {"total": 9.0}}, "clip: whole frame: 9 ms, before 8 ms: 12.5% slower"),
        ({"stages": STAGES, "load_ms": 130.0}, "loading: 130 ms, before 100 ms: 30.0% slower"),
        ({"stages": STAGES, "peak_mib": 90.0}, "peak memory, batches up to 1: 90 MiB, before 60 MiB: 50.0% more"),
        ({"stages": STAGES | {"decode": 0.2}}, "clip: decode: 0.2 ms"),
    ],
)
def test_stages_whole_frames_loading_and_memory_fail_too(now, said):
    found = compare(whole(stages=STAGES), whole(**now), allowed=0.1)
    (failed,) = found.failures
    assert said in failed.sentence()


def test_another_clip_and_other_batches_are_no_basis():
    before, now = (
        whole(stages=STAGES),
        whole(stages={name: 9 * value for name, value in STAGES.items()}, peak_mib=900.0),
    )
    now["settings"] = {"clip": "street.mp4"}
    now["cases"][0]["faces"].append({"faces": 16, "p50_ms": 5.0})
    found = compare(before, now, allowed=0.1)
    assert [change.case.rpartition("), ")[2] for change in found.changes] == ["1 face", "loading"]
    assert any("clip street.mp4: detect: only in this run" in line for line in found.missing)


def test_what_scatters_by_itself_does_not_fail():
    now = whole(stages=STAGES | {"decode": 0.09}, load_ms=120.0)
    found = compare(whole(stages=STAGES), now, allowed=0.1)
    assert found.failures == []
    assert not any("decode" in change.case for change in found.changes)
    assert any(change.sentence().endswith("20.0% slower, no more than it scatters") for change in found.changes)


def test_ratios_scale_times_and_leave_memory_as_it_is():
    now = whole(stages={name: 3 * value for name, value in STAGES.items()}, load_ms=300.0, peak_mib=61.2, p50_ms=3.0)
    found = compare(whole(stages=STAGES), now, allowed=0.1, ratios=True)
    assert [change.change for change in found.changes] == [0.0, 0.0, 0.0, 0.0, 0.02]
    assert [change.unit for change in found.changes] == [" × the first case"] * 4 + [" MiB"]


def test_whole_record_is_read_and_one_without_stages_still_is(tmp_path):
    path = tmp_path / "old.json"
    for text in (json.dumps(whole(stages=STAGES)), json.dumps(record(litert_1=1.0))):
        path.write_text(text)
        before = read_baseline(path)
        assert compare(before, whole(stages=STAGES), allowed=0.1).failures == []
    path.write_text(json.dumps(whole(stages=STAGES | {"total": "fast"})))
    with pytest.raises(ConfigError, match="no whole record"):
        read_baseline(path)


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("2.5%", 0.025), (" 100 % ", 1.0), ("0%", 0.0)])
def test_percentage_with_its_sign_is_read(text, share):
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["10", "0.1", "-5%", "", "%", "ten%", "1e1%", "nan%"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="such as 10%"):
        parse_percent(text)


def test_only_what_is_slower_than_allowed_fails():
    found = compare(
        record(litert_1=1.0, litert_4=4.0, onnx_1=1.0), record(litert_1=1.09, litert_4=4.5, onnx_1=0.5), allowed=0.1
    )
    assert [change.change for change in found.changes] == [0.09, 0.125, -0.5]
    (failed,) = found.failures
    assert (
        failed.sentence()
        == "default/model.litert on litert (cpu, d, 1 thread), 4 faces: 4.5 ms, before 4 ms: 12.5% slower"
    )
    assert found.as_json()["ok"] is False


def test_nothing_fails_without_a_limit():
    assert compare(record(litert_1=1.0), record(litert_1=9.0), allowed=None).failures == []


def test_ratios_cancel_the_machine():
    before, now = record(litert_1=1.0, onnx_1=2.0), record(litert_1=3.0, onnx_1=6.6)
    found = compare(before, now, allowed=0.05, ratios=True)
    assert [change.change for change in found.changes] == [0.0, 0.1]
    assert len(found.failures) == 1


def test_cases_of_one_side_are_named_and_none_in_common_is_refused():
    found = compare(record(litert_1=1.0, onnx_1=1.0), record(litert_1=1.0, litert_4=1.0), allowed=None)
    assert [line.rpartition(": ")[2] for line in found.missing] == ["only in this run", "only in the baseline"]
    with pytest.raises(ConfigError, match="no case in common"):
        compare(record(litert_1=1.0), record(onnx_1=1.0), allowed=None)


def test_bundles_of_one_name_are_compared_in_their_order():
    before, now = record(litert_1=1.0), record(litert_1=2.0)
    before["cases"] += record(litert_1=5.0)["cases"]
    now["cases"] += record(litert_1=5.0)["cases"]
    assert [change.change for change in compare(before, now, allowed=None).changes] == [1.0, 0.0]


def test_other_machine_is_refused_and_the_way_out_named(tmp_path):
    with pytest.raises(ConfigError, match="--ratios"):
        check_same_machine(tmp_path, record(litert_1=1.0), "B")
    check_same_machine(tmp_path, record(litert_1=1.0), "A")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2"),
        ({"command": "benchmark accuracy"}, "no record of this command"),
        ({"valid": False, "invalid_because": ["throttled during the run"]}, "throttled during the run"),
    ],
)
def test_baseline_that_cannot_count_is_refused(tmp_path, change, said):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(copy.deepcopy(record(litert_1=1.0)) | change))
    with pytest.raises(ConfigError, match=said):
        read_baseline(path)


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_file_that_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="--baseline"):
        read_baseline(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_baseline(tmp_path / "missing.json")
