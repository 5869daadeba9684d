"""`--rotate`, `--keep-days`, `--keep-size`: whole files one after the other, and what is deleted and what never is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from disks import small_disk

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.sinks import Sinks, open_sinks
from fer_edge_runtime.sinks.csv_rows import CsvSink
from fer_edge_runtime.sinks.jsonl import JsonLinesSink
from fer_edge_runtime.sinks.media import VideoSink
from fer_edge_runtime.sinks.rotation import RotatingSink, Rotation, Series, rotation_options
from fer_edge_runtime.types import Frame, FrameResult

NOW_S = 1_800_000_000  # 2027-01-15T08:00:00Z
DAY_S = 86_400


def send(sink, *times_s):
    for index, time_s in enumerate(times_s):
        frame = Frame(np.full((48, 64, 3), 100, np.uint8), index, time_s, "camera:0")
        sink.write(frame, FrameResult(frame.source, frame.index, time_s, ()))


def lines(target, rotation, *, said=None, now_s=NOW_S):
    """A rotating JSON Lines sink with a clock that stands still."""
    return RotatingSink(
        target, lambda path: JsonLinesSink(str(path)), rotation,
        say=(said if said is not None else []).append, clock=lambda: now_s,
    )  # fmt: skip


def old_file(folder, name, *, days, size=10):
    path = folder / name
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW_S - days * DAY_S,) * 2)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("rotate", "days", "size", "expected"),
    [
        ("10m", None, None, Rotation(600)),
        ("1h", 7, None, Rotation(3600, 7 * DAY_S)),
        ("2d", 0.5, "20G", Rotation(2 * DAY_S, 0.5 * DAY_S, 20 * 2**30)),
        (None, None, None, None),
    ],
)
def test_options_are_read(rotate, days, size, expected):
    assert rotation_options(rotate, keep_days=days, keep_size=size) == expected


@pytest.mark.parametrize(
    ("rotate", "days", "size", "said"),
    [
        (None, 7, None, "--rotate 1h"),
        (None, None, "1G", "--rotate 1h"),
        ("hourly", None, None, "10m, 1h or 1d"),
        ("0h", None, None, "10m, 1h or 1d"),
        ("1.5h", None, None, "10m, 1h or 1d"),
        ("1h", None, "20", "500M or 20G"),
        ("1h", None, "lots", "500M or 20G"),
    ],
)
def test_options_that_mean_nothing_are_refused(rotate, days, size, said):
    with pytest.raises(ConfigError, match=said):
        rotation_options(rotate, keep_days=days, keep_size=size)


def test_each_file_is_whole_when_its_time_is_over(tmp_path):
    with lines(tmp_path / "new" / "faces.jsonl", Rotation(10)) as sink:
        send(sink, 0, 9, 10, 19, 25)
        stem = "faces-20270115T080000Z"
        assert names(tmp_path / "new") == [f"{stem}-2.jsonl", f"{stem}-3.jsonl.part", f"{stem}.jsonl"]
    assert names(tmp_path / "new") == [f"{stem}-2.jsonl", f"{stem}-3.jsonl", f"{stem}.jsonl"]
    records = [(tmp_path / "new" / name).read_text().splitlines() for name in names(tmp_path / "new")]
    assert [[json.loads(line)["time_s"] for line in lines] for lines in records] == [[10, 19], [25], [0, 9]]
    assert sink.describe() == f"3 files {tmp_path}/new/faces-*.jsonl"


def test_videos_and_tables_are_complete_each(tmp_path):
    rotation = Rotation(1)
    makers = {
        "out.mp4": lambda path: VideoSink(path, fps=10, live=True),
        "out.csv": lambda path: CsvSink(str(path), labels=("happy",)),
    }
    for name, make in makers.items():
        with RotatingSink(tmp_path / name, make, rotation, say=print, clock=lambda: NOW_S) as sink:
            send(sink, *(index / 10 for index in range(25)))
    videos = sorted(tmp_path.glob("*.mp4"), key=lambda path: (path.stat().st_mtime_ns, path))
    counts = [int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) for path in videos]
    assert counts == [
        10,
        10,
        5,
    ]  # the second and third do not begin with a repeated picture for the seconds before them
    assert [path.read_text().startswith("source,frame") for path in tmp_path.glob("*.csv")] == [True] * 3


def test_camera_that_is_silent_does_not_keep_a_file_from_being_finished(tmp_path):
    with lines(tmp_path / "faces.jsonl", Rotation(0.05)) as sink:
        sink.idle()
        assert names(tmp_path) == ["faces-20270115T080000Z.jsonl.part"]  # nothing in it yet
        send(sink, 0)
        deadline = time.monotonic() + 10
        while names(tmp_path) != ["faces-20270115T080000Z.jsonl"] and time.monotonic() < deadline:
            sink.idle()
        assert names(tmp_path) == ["faces-20270115T080000Z.jsonl"]
        send(sink, 100)
    assert len(names(tmp_path)) == 2


def test_old_files_of_the_series_are_deleted_and_said_once(tmp_path):
    kept = [
        old_file(tmp_path, "faces-20270110T000000Z.jsonl", days=5),
        old_file(tmp_path, "faces-20270110T000000Z-2.jsonl", days=6.9),
    ]
    for name in (
        "faces-20270101T000000Z.jsonl",
        "faces-20270102T000000Z-12.jsonl",
        "faces-20270103T000000Z.jsonl.part",
    ):
        old_file(tmp_path, name, days=8)
    said = []
    with lines(tmp_path / "faces.jsonl", Rotation(3600, 7 * DAY_S), said=said):
        assert names(tmp_path) == sorted([path.name for path in kept] + ["faces-20270115T080000Z.jsonl.part"])
    assert len(said) == 1
    assert "--keep-days" in said[0]


def test_oldest_files_go_until_the_rest_fits(tmp_path):
    for day in range(1, 6):
        old_file(tmp_path, f"faces-2027010{day}T000000Z.jsonl", days=15 - day, size=400_000)
    with lines(tmp_path / "faces.jsonl", Rotation(3600, None, 2**20)):
        assert names(tmp_path) == [
            "faces-20270104T000000Z.jsonl", "faces-20270105T000000Z.jsonl", "faces-20270115T080000Z.jsonl.part",
        ]  # fmt: skip


def test_nothing_else_is_ever_deleted(tmp_path):
    """Foreign names, links, folders and what another run is writing stay, however old."""
    elsewhere = old_file(tmp_path, "precious.jsonl", days=99)
    folder = tmp_path / "out"
    folder.mkdir()
    foreign = [
        "faces.jsonl", "faces.jsonl.part", "faces-1.jsonl", "faces-20270101.jsonl", "faces-20270101T000000.jsonl",
        "faces-20270101T000000Z.csv", "faces-20270101T000000Z.jsonl.gz", "faces-20270101T000000Z.jsonl.part.part",
        "faces-20270101T000000Z-.jsonl", "my-faces-20270101T000000Z.jsonl", "faces-20270101T000000Zx.jsonl",
        "faces-20270101T000000Z.jsonl\n", "FACES-20270101T000000Z.jsonl", "other-20270101T000000Z.jsonl", "faces-٢٠٢٧٠١٠١T000000Z.jsonl",
    ]  # fmt: skip
    for name in foreign:
        old_file(folder, name, days=99, size=10_000)
    (folder / "faces-20270102T000000Z.jsonl").symlink_to(elsewhere)
    (folder / "faces-20270103T000000Z.jsonl").symlink_to("dangling")
    (folder / "faces-20270104T000000Z.jsonl").mkdir()
    os.utime(folder / "faces-20270104T000000Z.jsonl", (0, 0))
    os.mkfifo(folder / "faces-20270105T000000Z.jsonl")
    with JsonLinesSink(str(folder / "faces-20270106T000000Z.jsonl")) as other:
        send(other, 0)
        os.utime(folder / "faces-20270106T000000Z.jsonl.part", (0, 0))
        before = names(folder)
        with lines(folder / "faces.jsonl", Rotation(3600, DAY_S, 1)) as sink:
            send(sink, 0)
        assert set(before) - set(names(folder)) == set()
    assert elsewhere.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's file")
def test_files_of_another_user_stay(tmp_path):
    path = old_file(tmp_path, "faces-20270101T000000Z.jsonl", days=99)
    os.chown(path, 12345, -1)
    with lines(tmp_path / "faces.jsonl", Rotation(3600, DAY_S)):
        assert path.exists()


def test_name_with_wildcards_means_itself(tmp_path):
    old_file(tmp_path, "fXces-20270101T000000Z.jsonl", days=99)
    for target in ("f?ces.jsonl", "f.ces.jsonl", "f[aX]ces.jsonl", "f*.jsonl"):
        assert Series(tmp_path / target).files() == []


def test_output_whose_disk_was_full_is_tried_again_with_the_next_file(tmp_path):
    said, other = [], JsonLinesSink(os.devnull)
    rotation = Rotation(10)
    with Sinks([lines(tmp_path / "faces.jsonl", rotation), other], lenient=True, say=said.append) as sinks:
        with small_disk(100):  # a record has about ninety bytes
            send(sinks, 0, 1, 2, 9)
            assert (len(sinks), sinks.failures) == (1, 1)
            send(sinks, 11, 12, 19)  # tried again, and still full
            assert (len(sinks), sinks.failures) == (1, 2)
        send(sinks, 20)
        assert len(sinks) == 1  # not yet
        send(sinks, 22, 23)
        assert len(sinks) == 2
        places = sinks.describe()
    assert len(said) == 1
    assert "goes on without it until it is time for the next file (--rotate); it will end with exit code 8" in said[0]
    assert isinstance(sinks.first_error, OutputError)
    stem = "faces-20270115T080000Z"
    assert names(tmp_path) == [f"{stem}-2.jsonl.part", f"{stem}-3.jsonl", f"{stem}.jsonl.part"]
    assert [json.loads(line)["time_s"] for line in (tmp_path / f"{stem}-3.jsonl").read_text().splitlines()] == [22, 23]
    assert f"1 file {tmp_path}/faces-*.jsonl" in places


def test_folder_that_goes_away_ends_no_run_and_is_looked_for_once_a_file(tmp_path):
    """A file in the place of the folder: an unplugged stick."""
    folder = tmp_path / "stick"
    with Sinks([lines(folder / "faces.jsonl", Rotation(10)), JsonLinesSink(os.devnull)], lenient=True) as sinks:
        send(sinks, 0)
        folder.rename(tmp_path / "away")
        folder.touch()
        send(sinks, 1, 10, 11, 12, 13)  # at 10 the first file cannot be finished, at 11 a second one not be begun
        assert (len(sinks), sinks.failures) == (1, 2)
        send(sinks, 21)
        assert sinks.failures == 3
        folder.unlink()
        send(sinks, 30, 31)
        assert len(sinks) == 2
    assert len(names(folder)) == 1


def test_folder_that_cannot_be_written_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        lines(tmp_path / "file" / "faces.jsonl", Rotation(10))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("live", {}), ("live", {"json": "-"}), ("pictures", {"save": "a.png", "total": 1})],
)
def test_rotation_of_nothing_is_refused(tmp_path, monkeypatch, kind, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--rotate is for files"):
        open_sinks(labels=("happy",), kind=kind, rotation=Rotation(60), **options)
    assert names(tmp_path) == []


def test_command_rotates_all_files_and_leaves_standard_output_alone(tmp_path):
    done = subprocess.run(
        [
            Path(sys.executable).with_name("fer-edge"), "run", "--source", "demo", "--max-frames", "3", "--json", "--csv", "a.csv",
            "--save", "out/", "--rotate", "1h", "--keep-days", "7", "--keep-size", "1G", "--anonymize", "--detect-every", "3",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0, 1, 2]
    written = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert [name.partition("-")[0] + name[-4:] for name in written] == ["a.csv", "annotated.mp4"]
    assert "Written: 1 file out/annotated-*.mp4" in done.stderr
    assert "covered, up to 2 frames later" in done.stderr
