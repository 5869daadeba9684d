"""`fer-edge annotate` as a user runs it: real processes that are killed, real files that are broken."""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import command_line
import cv2
import psutil
import pyarrow.parquet as pq
import pytest
from command_line import fer_edge
from places import DEFAULT_BUNDLE, SAMPLES, hear_interrupts
from s3_server import S3Server
from waiting import wait_until

from fer_edge.__main__ import complete
from fer_edge.archive.buckets import list_bucket
from fer_edge.archive.inputs import Input, list_inputs
from fer_edge.archive.planning import make_groups
from fer_edge_runtime.errors import SourceError

DEMO = DEFAULT_BUNDLE.parent / "demo.mp4"


def annotate(*arguments, **options):
    return fer_edge("annotate", *arguments, **options)


def start(*arguments, **options):
    return command_line.start("annotate", *arguments, preexec_fn=hear_interrupts, **options)


def rows(table):
    return pq.read_table(table).to_pylist()


def parts_of(table):
    return list(table.with_name(table.name + ".parts").glob("part-*.parquet"))


@pytest.fixture(scope="module")
def small():
    """A JPEG of a face, 200 pixels wide, quick to look at."""
    return cv2.imencode(".jpg", cv2.resize(cv2.imread(str(SAMPLES / "astronaut.jpg"))[:320, 80:400], (200, 200)))[
        1
    ].tobytes()


@pytest.fixture
def pictures(tmp_path, small):
    """60 pictures in a folder, all of one face."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.jpg").write_bytes(small)
    return folder


def each_once(table, folder):
    """Every picture has its one row."""
    counts = collections.Counter(row["source"] for row in rows(table))
    assert counts == {str(path): 1 for path in folder.glob("*.jpg")}


def test_mixed_archive_becomes_one_table_and_bad_files_are_listed(tmp_path, small):
    archive = tmp_path / "archive"
    (archive / "deep" / "er").mkdir(parents=True)
    (archive / ".hidden").mkdir()
    (archive / ".hidden" / "x.jpg").write_bytes(small)
    for number in (2, 10):
        (archive / f"face{number}.jpg").write_bytes(small)
    (archive / "deep" / "er" / "cat.png").write_bytes(
        cv2.imencode(".png", cv2.imread(str(SAMPLES / "chelsea.jpg")))[1].tobytes()
    )
    (archive / "cut.jpg").write_bytes(small[:2000])
    (archive / "cut.mp4").write_bytes(DEMO.read_bytes()[:20000])
    (archive / "notes.txt").write_text("no picture")
    (archive / "clip.mp4").write_bytes(DEMO.read_bytes())
    os.mkfifo(archive / "pipe.jpg")
    done = annotate("archive", "archive/face2.jpg", "--out", "results.parquet", "--workers", 2, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "results.parquet")
    found = table.to_pylist()
    by_source = collections.defaultdict(list)
    for row in found:
        by_source[row["source"]].append(row)
    assert list(by_source) == [
        "archive/clip.mp4", "archive/cut.jpg", "archive/cut.mp4", "archive/face2.jpg", "archive/face10.jpg", "archive/deep/er/cat.png",
    ]  # fmt: skip
    face, cat = by_source["archive/face2.jpg"], by_source["archive/deep/er/cat.png"]
    assert [(row["kind"], row["face"], row["label"], row["width"], row["track"]) for row in face] == [
        ("picture", 0, "happy", 200, None)
    ]
    assert sum(face[0][name] for name in table.column_names if name.startswith("p_")) == pytest.approx(1, abs=0.01)
    assert [(row["face"], row["label"], row["width"], row["error"]) for row in cat] == [(None, None, 451, None)]
    clip = by_source["archive/clip.mp4"]
    assert {row["track"] for row in clip} == {1}
    assert [row["frame"] for row in clip] == sorted({row["frame"] for row in clip})
    assert clip[-1]["time_s"] > 1
    listed = [json.loads(line) for line in (tmp_path / "results.errors.jsonl").read_text().splitlines()]
    assert [one["source"] for one in listed] == ["archive/cut.jpg", "archive/cut.mp4"]
    assert all(one["error"].startswith(one["source"] + ": ") for one in listed)
    totals = json.loads(done.stdout)
    assert (totals["inputs"], totals["bad"], totals["errors"]) == (6, 2, "results.errors.jsonl")
    assert totals["faces"] == sum(row["face"] is not None for row in found)
    assert "2 inputs could not be read" in done.stderr
    facts = json.loads(table.schema.metadata[b"fer_edge"])
    assert (facts["schema"], facts["model"], len(facts["manifest_sha256"]), facts["inputs"]) == (1, "default", 64, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "results.errors.jsonl", "results.parquet"]


def test_video_that_breaks_off_keeps_its_rows_and_is_listed(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "long.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 15, (160, 120))
    for _ in range(60):
        writer.write(cv2.resize(cv2.imread(str(SAMPLES / "chelsea.jpg")), (160, 120)))
    writer.release()
    whole = (tmp_path / "long.avi").read_bytes()
    (tmp_path / "long.avi").write_bytes(whole[: len(whole) // 2])
    done = annotate(tmp_path / "long.avi", "--out", tmp_path / "r.parquet", "--workers", 1)
    assert done.returncode == 0, done.stderr
    no_face, broken = rows(tmp_path / "r.parquet")
    assert (no_face["width"], no_face["face"], no_face["error"]) == (160, None, None)
    assert "breaks off" in broken["error"]


def test_archive_of_which_nothing_can_be_read_is_exit_code_4_with_the_list(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    done = annotate(tmp_path / "a.jpg", "--out", tmp_path / "r.parquet")
    assert done.returncode == 4
    assert "Nothing can be read of 1 input." in done.stderr
    assert [row["face"] for row in rows(tmp_path / "r.parquet")] == [None]


def test_finished_table_is_not_made_again_nor_overwritten_unasked(tmp_path, small):
    (tmp_path / "a.jpg").write_bytes(small)
    command = (tmp_path / "a.jpg", "--out", tmp_path / "r.parquet", "--workers", 1)
    assert annotate(*command).returncode == 0
    again = annotate(*command)
    assert again.returncode == 0
    assert "complete already" in again.stderr
    other = annotate(*command, "--min-face", 500)
    assert other.returncode == 8
    assert "--overwrite" in other.stderr
    assert annotate(*command, "--min-face", 500, "--overwrite").returncode == 0
    assert [row["face"] for row in rows(tmp_path / "r.parquet")] == [None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "r.parquet"]


def test_after_kill_9_the_same_command_goes_on_and_every_input_counts_once(tmp_path, pictures):
    out = tmp_path / "r.parquet"
    process = start(pictures, "--out", out, "--workers", 2)
    wait_until(lambda: len(parts_of(out)) >= 2, process=process)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in parts_of(out)}
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers)
    assert not out.exists()
    refused = annotate(pictures, "--out", out, "--workers", 2, "--largest")
    assert refused.returncode == 2
    assert "--largest" in refused.stderr
    (pictures / "new.jpg").write_bytes((pictures / "0.jpg").read_bytes())
    done = annotate(pictures, "--out", out, "--workers", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert "Going on: " in done.stderr
    assert json.loads(done.stdout)["done_now"] <= 61 - 8 * len(kept)
    each_once(out, pictures)


def test_ctrl_c_ends_soon_and_changed_inputs_are_done_again(tmp_path, pictures):
    out = tmp_path / "r.parquet"
    for number in range(60, 600):
        (pictures / f"{number}.jpg").write_bytes((pictures / "0.jpg").read_bytes())
    process = start(pictures, "--out", out, "--workers", 1)
    wait_until(lambda: parts_of(out), process=process)
    beside = annotate(pictures, "--out", out)
    assert beside.returncode == 8
    assert "another fer-edge annotate" in beside.stderr
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5  # about 0.3 s on a machine with nothing else to do
    assert process.returncode == 130
    assert "give the same command again" in said
    assert "Traceback" not in said
    covered = [
        [Path(item[1]) for item, *_ in json.loads(pq.read_metadata(part).metadata[b"fer_edge.inputs"])]
        for part in parts_of(out)
    ]
    for path in {*pictures.iterdir()} - {path for part in covered for path in part}:
        path.unlink()
    changed = str(covered[0][0])
    Path(changed).write_bytes(b"changed")
    done = annotate(pictures, "--out", out, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "1 finished group must be done again" in done.stderr
    each_once(out, pictures)
    assert [row["source"] for row in rows(out) if row["error"]] == [changed]


def test_workers_killed_at_random_are_replaced_and_no_input_is_lost_or_doubled(tmp_path, pictures):
    out = tmp_path / "r.parquet"
    for number in range(60, 150):
        (pictures / f"{number}.jpg").write_bytes((pictures / "0.jpg").read_bytes())
    process = start(pictures, "--out", out, "--workers", 2)
    parent, dice, kills = psutil.Process(process.pid), random.Random(7), 0
    for number in range(1, 8, 2):
        wait_until(lambda number=number: len(parts_of(out)) >= number, process=process)
        workers = parent.children()
        if workers:
            dice.choice(workers).kill()
            kills += 1
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert kills >= 3
    each_once(out, pictures)


def test_file_that_kills_its_reader_is_listed_and_nothing_else_is(tmp_path, pictures):
    deadly = pictures / "5.jpg"
    deadly.write_bytes(deadly.read_bytes() + b"POISON")
    # The decoder crashes on it, as a library with a bug would: put there from outside, into every Python that starts.
    (tmp_path / "sitecustomize.py").write_text(
        "import cv2, os\n"
        "decode = cv2.imdecode\n"
        "cv2.imdecode = lambda data, flags: os.abort() if bytes(data[-6:]) == b'POISON' else decode(data, flags)\n"
    )
    out = tmp_path / "r.parquet"
    done = annotate(pictures, "--out", out, "--workers", 2, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    each_once(out, pictures)
    (bad,) = (row for row in rows(out) if row["error"])
    assert bad["source"] == str(deadly)
    assert "SIGABRT" in bad["error"]


@pytest.mark.parametrize(
    ("sources", "code", "words"),
    [
        (["nothing-here"], 4, "no such file"),
        (["empty"], 4, "no picture and no video"),
        (["s3://"], 2, "no bucket"),
        (["rtsp://camera/1"], 4, "cannot be annotated"),
    ],
)
def test_wrong_sources_are_one_sentence(tmp_path, sources, code, words):
    (tmp_path / "empty").mkdir()
    done = annotate(*sources, "--out", "r.parquet", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_addresses_of_files_are_read_like_buckets(tmp_path, small):
    (tmp_path / "b" / "sub folder").mkdir(parents=True)
    (tmp_path / "b" / "sub folder" / "x.jpg").write_bytes(small)
    (tmp_path / "b" / "clip.mp4").write_bytes(DEMO.read_bytes())
    (tmp_path / "b" / "cut.jpg").write_bytes(small[:999])
    out = tmp_path / "r.parquet"
    done = annotate(f"file://{tmp_path}/b", "--out", out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    found = collections.Counter(row["source"] for row in rows(out))
    assert found.pop(f"file://{tmp_path}/b/clip.mp4") > 50
    assert found == {f"file://{tmp_path}/b/sub folder/x.jpg": 1, f"file://{tmp_path}/b/cut.jpg": 1}
    only = list_inputs([f"file://{tmp_path}/b/*/*.jpg"])
    assert [item.source for item in only.inputs] == [f"file://{tmp_path}/b/sub folder/x.jpg"]


def test_first_run_of_a_user_says_the_notice_once(tmp_path, small):
    (tmp_path / "a.jpg").write_bytes(small)
    here = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    first, second = (
        annotate("a.jpg", "--out", f"{name}.parquet", "--workers", 1, cwd=tmp_path, env=here) for name in ("one", "two")
    )
    assert "no legal advice" in first.stderr, first.stderr
    assert second.returncode == 0, second.stderr
    assert "no legal advice" not in second.stderr


def test_bucket_is_listed_read_and_after_a_stop_gone_on_with(tmp_path, small, monkeypatch):
    good = {f"2026/{number}.jpg": small for number in range(60)}
    bad = {"2026/sub folder/cut é.jpg": small[:2000]}
    others = {"2026/notes.txt": b"no picture", "2026/.hidden/x.jpg": small, "2025/old.jpg": small}
    out = tmp_path / "r.parquet"
    command = ("s3://archive/2026", "--out", out, "--workers", 1, "--json")
    with S3Server("archive", {**good, **bad, **others}) as server:
        here = {**os.environ, **server.environment}
        process = start(*command, env=here)
        wait_until(lambda: parts_of(out), process=process)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        assert process.returncode == 130, words
        begun = {row["source"].removeprefix("s3://archive/") for part in parts_of(out) for row in rows(part)}
        assert 0 < len(begun) < len(good)
        server.reads.clear()
        done = annotate(*command, env=here)
        assert done.returncode == 0, done.stderr
        assert server.reads == dict.fromkeys((good | bad).keys() - begun, 1)
        assert server.listings > 2  # a page is 25 keys
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert len(list_inputs(["s3://archive/2026/1*.jpg"]).inputs) == 11
        with pytest.raises(SourceError, match=r"^s3://archive/2027: cannot be read"):
            list_inputs(["s3://archive/2027"])
    counts = collections.Counter(row["source"] for row in rows(out))
    assert counts == {f"s3://archive/{key}": 1 for key in good | bad}
    assert [row["source"] for row in rows(out) if row["error"]] == ["s3://archive/2026/sub folder/cut é.jpg"]
    assert json.loads(done.stdout)["bad"] == 1
    assert "SECRET" not in words + done.stderr + done.stdout


def test_credentials_of_an_address_are_never_shown():
    url = "s3://NAME:SECRET@bucket/a/*.jpg?endpoint_override=127.0.0.1:9&scheme=http&region=x"
    with pytest.raises(SourceError) as refused:
        list(list_bucket(url, {}))
    assert str(refused.value).startswith("s3://bucket/a: cannot be read")
    assert "SECRET" not in str(refused.value)
    assert "NAME" not in str(refused.value)


def test_groups_cover_everything_once_and_begin_with_the_largest_video():
    pictures = [Input(f"{i}.jpg", f"/{i}.jpg", "picture", 1, 0) for i in range(100)]
    videos = [Input(f"{i}.mp4", f"/{i}.mp4", "video", i, 0) for i in range(3)]
    inputs = [*pictures[:40], *videos, *pictures[40:]]
    done = set(pictures[10:20])
    groups = make_groups(inputs, done, workers=2)
    assert [group[0].source for group in groups[:3]] == ["2.mp4", "1.mp4", "0.mp4"]
    assert sorted(item for group in groups for item in group) == sorted(set(inputs) - done)
    assert all(len(group) <= 8 for group in groups)


def test_a_worker_imports_what_a_device_imports():
    heavy = "import sys, fer_edge.archive.worker, fer_edge.archive.annotator; print({'pyarrow', 'pandas', 'rich', 'ray'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-P", "-c", heavy], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("a --ray --out r.parquet", "a --ray auto --out r.parquet"),
        ("--ray photos --out r.parquet", "--ray auto photos --out r.parquet"),
        ("a --ray head:6379", "a --ray head:6379"),
        ("a --ray ray://10.0.0.1:10001", "a --ray ray://10.0.0.1:10001"),
        ("--ray auto a", "--ray auto a"),
    ],
)
def test_ray_without_an_address_is_the_cluster_of_this_machine(given, completed):
    assert complete(["annotate", *given.split()]) == ["annotate", *completed.split()]
