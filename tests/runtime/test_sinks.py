"""Sinks: what arrives in the files, and what happens when the disk, the pipe or the name is no good."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_runtime.sinks import ClosedPipe, Sinks, open_sinks
from fer_edge_runtime.sinks import media as media_module
from fer_edge_runtime.sinks.base import PartFile, Sink
from fer_edge_runtime.sinks.csv_rows import CsvSink
from fer_edge_runtime.sinks.jsonl import JsonLinesSink
from fer_edge_runtime.sinks.media import open_media
from fer_edge_runtime.sinks.window import WindowSink, missing_window
from fer_edge_runtime.types import Face, Frame, FrameResult

LABELS = ("happy", "sad")
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
not_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")


def make_face(track=1):
    return Face((1.0, 2.0, 30.0, 40.0), "happy", 0.75, {"happy": 0.75, "sad": 0.25}, {"nose": (3.0, 4.0)}, 0.9, track)


def make_frame(index=0, *, time_s=None, source="camera:0", size=(48, 64), value=100):
    image = np.full((*size, 3), value, np.uint8)
    return Frame(image, index, index / 10 if time_s is None else time_s, source)


def make_result(frame, faces=1):
    return FrameResult(frame.source, frame.index, frame.time_s, tuple(make_face(i) for i in range(faces)))


def send(sink, frames, faces=1):
    for frame in frames:
        sink.write(frame, make_result(frame, faces))


def read_all(path):
    capture = cv2.VideoCapture(str(path))
    images = []
    while True:
        ok, image = capture.read()
        if not ok:
            return images, capture.get(cv2.CAP_PROP_FPS)
        images.append(image)


# JSON Lines and CSV


def test_json_lines_are_whole_at_once_and_named_at_close(tmp_path):
    target = tmp_path / "new" / "out.jsonl"
    with JsonLinesSink(str(target)) as sink:
        send(sink, [make_frame(0), make_frame(1)])
        part = (tmp_path / "new" / "out.jsonl.part").read_text()
        assert len([json.loads(line) for line in part.splitlines()]) == 2
        assert not target.exists()
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert [record["frame"] for record in records] == [0, 1]
    assert records[0]["schema"] == 1
    assert records[0]["faces"][0]["scores"] == {"happy": 0.75, "sad": 0.25}
    assert list(target.parent.iterdir()) == [target]


def test_json_lines_take_numpy_numbers_and_broken_names(tmp_path):
    face = replace(make_face(), score=np.float32(0.5), box=tuple(np.float32([1, 2, 3, 4])))
    frame = make_frame(source="caf\udce9")
    with JsonLinesSink(str(tmp_path / "out")) as sink:
        sink.write(frame, make_result(frame)._replace(faces=(face,)))
    assert json.loads((tmp_path / "out").read_text())["faces"][0]["score"] == 0.5


def test_json_lines_refuse_a_number_that_json_lacks(tmp_path):
    frame = make_frame()
    with JsonLinesSink(str(tmp_path / "out")) as sink, pytest.raises(OutputError, match="a number that JSON lacks"):
        sink.write(frame, make_result(frame)._replace(time_s=float("nan")))


def test_json_lines_are_kept_when_the_run_is_interrupted(tmp_path):
    def interrupted_run():
        with JsonLinesSink(str(tmp_path / "out")) as sink:
            send(sink, [make_frame()])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert (tmp_path / "out").read_text().count("\n") == 1


def test_csv_has_a_row_a_face_and_a_header_even_without_one(tmp_path):
    with CsvSink(str(tmp_path / "none.csv"), labels=LABELS) as sink:
        send(sink, [make_frame()], faces=0)
    assert (tmp_path / "none.csv").read_text() == "source,frame,time_s,track,label,score,x1,y1,x2,y2,happy,sad\n"
    with CsvSink(str(tmp_path / "two.csv"), labels=LABELS) as sink:
        send(sink, [make_frame(3, source='a, "b".mp4')], faces=2)
    with (tmp_path / "two.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows] == ["0", "1"]
    assert rows[0]["source"] == 'a, "b".mp4'
    assert (rows[0]["x2"], rows[0]["happy"], rows[0]["time_s"]) == ("30.0", "0.75", "0.3")


def test_csv_leaves_the_track_of_a_single_picture_empty(tmp_path):
    frame = make_frame()
    with CsvSink(str(tmp_path / "a.csv"), labels=LABELS) as sink:
        sink.write(frame, make_result(frame)._replace(faces=(make_face(None),)))
    assert "camera:0,0,0.0,,happy" in (tmp_path / "a.csv").read_text()


def test_standard_output_gets_nothing_but_lines(capsys):
    with open_sinks(labels=LABELS, kind="video", json="-") as sinks:
        send(sinks, [make_frame(0), make_frame(1)])
        assert sinks.describe() == []
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1]


# Failures


@needs_dev_full
@pytest.mark.parametrize("make", [JsonLinesSink, lambda target: CsvSink(target, labels=LABELS)])
def test_full_disk_is_an_output_error_with_a_remedy(make):
    with (
        pytest.raises(OutputError, match=r"/dev/full: cannot be written: the disk is full\. Free"),
        make("/dev/full") as sink,
    ):
        send(sink, [make_frame()])


SCRIPT = """
import sys
from fer_edge_runtime.sinks import ClosedPipe, open_sinks
from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.types import Frame, FrameResult
import numpy as np
frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0, "x")
try:
    with open_sinks(labels=(), kind="video", json="-") as sinks:
        for i in range(100000):
            sinks.write(frame, FrameResult("x", i, 0.0, ()))
except ClosedPipe:
    sys.exit(0)
except OutputError as error:
    sys.exit(f"sentence: {error}")
"""


def test_reader_that_goes_away_ends_the_process_quietly():
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert error == b""


@needs_dev_full
def test_standard_output_on_a_full_disk_is_one_sentence():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"sentence: standard output: cannot be written: the disk is full")
    assert b"Traceback" not in done.stderr


def test_pipe_without_a_reader_is_a_closed_pipe(tmp_path):
    read, write = os.pipe()
    sink = JsonLinesSink(f"/dev/fd/{write}")
    os.close(read)
    with pytest.raises(ClosedPipe):
        send(sink, [make_frame()])
    sink.close()
    os.close(write)


@pytest.mark.parametrize("name", ["taken/out", "."])
def test_target_that_cannot_be_a_file_is_explained(tmp_path, name):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"not a folder|is a folder|File exists"):
        JsonLinesSink(str(tmp_path / name))


@not_root
def test_read_only_folder_is_explained(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may not write there"):
        JsonLinesSink(str(tmp_path / "out"))


def test_second_run_cannot_write_the_same_file_but_a_leftover_does_not_matter(tmp_path):
    (tmp_path / "out.part").write_text("left over by a crash")
    first = PartFile(tmp_path / "out")
    first.write(b"one\n")
    with pytest.raises(OutputError, match="another run is writing it"):
        PartFile(tmp_path / "out")
    first.commit()
    assert (tmp_path / "out").read_text() == "one\n"
    first.commit()


@pytest.mark.parametrize("option", ["json", "csv", "save"])
def test_file_being_read_is_never_overwritten(tmp_path, option):
    source = tmp_path / "clip.avi"
    source.write_bytes(b"precious")
    sinks = open_sinks(labels=LABELS, kind="video", **{option: str(source)})
    with pytest.raises(OutputError, match="the file being read"), sinks:
        send(sinks, [make_frame(source=str(source))])
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("clip.avi", b"precious")]


def test_two_outputs_with_the_same_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="same place"):
        open_sinks(labels=LABELS, kind="video", json="-", csv="-")


def test_sink_that_cannot_open_closes_those_before_it(tmp_path):
    with pytest.raises(OutputError):
        open_sinks(labels=LABELS, kind="video", save=str(tmp_path / "a.mp4"), json=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# Pictures and videos


def test_one_picture_is_saved_under_the_name_given(tmp_path):
    with open_sinks(labels=LABELS, kind="pictures", total=1, save=str(tmp_path / "out.png")) as sinks:
        send(sinks, [make_frame(source="in.jpg")])
    saved = cv2.imread(str(tmp_path / "out.png"))
    assert saved.shape == (48, 64, 3)
    assert (saved != 100).any()  # something was drawn
    assert sinks.describe() == [str(tmp_path / "out.png")]
    assert len(list(tmp_path.iterdir())) == 1


def test_several_pictures_keep_their_names_in_a_folder(tmp_path):
    out = tmp_path / "out"
    with open_sinks(labels=LABELS, kind="pictures", total=3, save=str(out)) as sinks:
        send(sinks, [make_frame(i, source=name) for i, name in enumerate(["a/x.jpg", "b/x.jpg", "c/y.gif"])])
    assert sorted(path.name for path in out.iterdir()) == ["x-2.jpg", "x.jpg", "y.gif.png"]
    assert sinks.describe() == [f"3 pictures in {out}"]


def test_pictures_are_not_written_over_themselves(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"precious")
    with pytest.raises(OutputError, match="being read"), open_media(str(tmp_path), kind="pictures", total=2) as sink:
        send(sink, [make_frame(source=str(tmp_path / "x.jpg"))])
    assert (tmp_path / "x.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("name", "kind", "total", "message"),
    [
        ("out.mp4", "pictures", 1, "pictures are saved as"),
        ("out.png", "pictures", 2, "need a folder"),
        ("out.png", "video", None, "videos are saved as .mp4, .mov, .mkv, .avi"),
        ("out.gif", "live", None, "videos are saved as"),
        ("/dev/null", "video", None, None),
    ],
)
def test_name_that_does_not_fit_the_source_is_explained(tmp_path, name, kind, total, message):
    if message is None:
        with pytest.raises(OutputError):
            open_media(name, kind=kind)
        return
    with pytest.raises(OutputError, match=message):
        open_media(str(tmp_path / name), kind=kind, total=total)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv"])
def test_video_has_every_frame_and_the_rate_of_its_source(tmp_path, suffix):
    target = tmp_path / f"out{suffix}"
    with open_media(str(target), kind="video", fps=12.5) as sink:
        send(sink, [make_frame(i, value=i * 20) for i in range(10)])
        assert not target.exists()
    images, fps = read_all(target)
    assert fps == pytest.approx(12.5)
    assert [round(image.mean() / 20) for image in images] == list(range(10))
    assert list(tmp_path.iterdir()) == [target]


def test_video_takes_odd_and_changing_sizes(tmp_path):
    with open_media(str(tmp_path), kind="video", fps=float("inf")) as sink:
        send(sink, [make_frame(0, size=(49, 65)), make_frame(1, size=(120, 90)), make_frame(2, size=(1, 1))])
    images, _ = read_all(tmp_path / "annotated.mp4")
    assert [image.shape for image in images] == [(48, 64, 3)] * 3


def test_live_video_runs_as_fast_as_life_did(tmp_path):
    target = tmp_path / "out.avi"
    with open_media(str(target), kind="live", fps=10.0) as sink:
        send(sink, [make_frame(i, time_s=time_s) for i, time_s in enumerate([0, 0.01, 0.5, 1.0, 100.0])])
    images, fps = read_all(target)
    assert fps == pytest.approx(10)
    assert len(images) == 12  # 1 + 0 + 5 + 5, and a pause of 99 s is not filled up


def test_video_without_a_frame_leaves_no_file(tmp_path):
    with open_media(str(tmp_path / "out.mp4"), kind="video"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_video_on_a_disk_that_fills_up_is_an_output_error_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(media_module, "SPARE_BYTES", 1 << 62)
    with (
        pytest.raises(OutputError, match="disk is full"),
        open_media(str(tmp_path / "out.mp4"), kind="video") as sink,
    ):
        send(sink, [make_frame()])
    assert list(tmp_path.iterdir()) == []


def test_video_that_was_lost_while_writing_is_noticed_at_the_end(tmp_path):
    sink = open_media(str(tmp_path / "out.avi"), kind="video")
    send(sink, [make_frame(i) for i in range(5)])
    part = tmp_path / "out.part.avi"
    part.unlink()
    part.write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be read back"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


# Several at once, and the window


class Recorder:
    """A sink that remembers whether it got a drawn frame."""

    def __init__(self, needs_drawing, error=None):
        self.needs_drawing = needs_drawing
        self.error = error
        self.drawn = []
        self.closed = False

    def write(self, frame, result):
        self.drawn.append(bool((frame.image != 100).any()))

    def close(self):
        self.closed = True
        if self.error:
            raise self.error

    def describe(self):
        return ""


def test_frames_are_drawn_once_and_only_for_those_who_need_it():
    clean, drawn = Recorder(False), Recorder(True)
    sinks = Sinks([clean, drawn])
    send(sinks, [make_frame()])
    assert (clean.drawn, drawn.drawn) == ([False], [True])
    assert sinks.draw_ms > 0
    drawn.needs_drawing = False
    send(sinks, [make_frame()])
    assert sinks.draw_ms == 0


def test_every_sink_is_closed_although_one_fails():
    sinks = [Recorder(False, OutputError("first")), Recorder(False)]
    with pytest.raises(OutputError, match="first"):
        Sinks(sinks).close()
    assert sinks[1].closed


class Failing(Sink):
    """Fails at the first frame."""

    needs_drawing = False

    def __init__(self, error):
        self.error = error

    def write(self, frame, result):
        raise self.error


@pytest.mark.parametrize(
    ("error", "lenient", "passes"),
    [
        (OutputError("full"), True, False),
        (OSError(5, "Input/output error"), True, False),
        (BrokenPipeError(), True, True),
        (OutputError("full"), False, True),
        (OSError(5, "Input/output error"), False, True),
    ],
)
def test_only_a_live_run_goes_on_without_an_output_and_not_without_a_reader(error, lenient, passes):
    said, other = [], Recorder(False)
    sinks = Sinks([Failing(error), other], lenient=lenient, say=said.append)
    if passes:
        with pytest.raises(type(error)):
            send(sinks, [make_frame()])
        return
    send(sinks, [make_frame(), make_frame()])
    assert len(other.drawn) == 2
    assert (sinks.failures, len(said), type(sinks.first_error)) == (1, 1, OutputError)
    with pytest.raises(OutputError, match="the last"):
        Sinks([Failing(OutputError("the last"))], lenient=True).write(make_frame(), None)


def test_window_that_cannot_be_shown_points_to_the_page(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "--serve" in missing_window()
    with pytest.raises(OutputError, match="--serve"):
        WindowSink()
