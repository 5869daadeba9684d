"""What remembers faces and frames, after a gap of a live source: tracks, latency, the saved video."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scripted import ScriptedCapture, live

from fer_edge_runtime.sinks.media import VideoSink
from fer_edge_runtime.stream import StreamRecognizer
from fer_edge_runtime.types import Frame, FrameResult


def test_face_after_a_gap_is_another_one(recognizer, astronaut):
    stream = StreamRecognizer(recognizer, "live", detect_every=3)
    tracks = []
    for index, segment in enumerate([0, 0, 0, 0, 1, 1, 2]):
        result = stream.process(Frame(astronaut, index, index / 10, "porch", segment))
        assert len(result.faces) == 1, "the detector looks at the first frame of a segment"
        tracks.append(result.faces[0].track)
        if index in (4, 6):
            assert result.fps == 0.0
    assert tracks == [1, 1, 1, 1, 2, 2, 3]


def test_latency_runs_from_the_capture_and_only_for_live_sources(recognizer, astronaut):
    stream = StreamRecognizer(recognizer, "live")
    with live(ScriptedCapture(then="run")) as source:
        frame = next(source.frames())
    assert 0 <= time.monotonic() - frame.captured_s < 5
    late = replace(frame, captured_s=time.monotonic() - 2.0)
    assert 2000 <= stream.process(late).stages_ms["latency"] < 4000
    assert "latency" not in stream.process(Frame(astronaut, 1, 0.1, "film")).stages_ms


@pytest.mark.parametrize("size", [(64, 128), (200, 100), (50, 50), (97, 129)])
def test_saved_video_keeps_its_size_and_the_shape_of_what_is_in_it(tmp_path, size):
    path = tmp_path / "out.avi"
    width, height = 128, 96
    circle = np.zeros((height, width, 3), np.uint8)
    sink = VideoSink(path, fps=10, live=True)
    sink.write(Frame(circle, 0, 0.0, "porch"), FrameResult("porch", 0, 0.0, ()))
    other = np.zeros((*size, 3), np.uint8)
    side = min(size) // 2
    cv2.rectangle(other, (size[1] // 2 - side // 2, size[0] // 2 - side // 2), (size[1] // 2 + side // 2, size[0] // 2 + side // 2), (255, 255, 255), -1)  # fmt: skip
    for i in range(1, 5):
        sink.write(Frame(other, i, i / 10, "porch", 1), FrameResult("porch", i, i / 10, ()))
    sink.close()
    capture = cv2.VideoCapture(str(path))
    images = [image for ok, image in iter(capture.read, (False, None)) if ok]
    assert {image.shape for image in images} == {(height, width, 3)}
    rows, columns = np.nonzero(images[-1][:, :, 1] > 127)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert tall == pytest.approx(wide, abs=2), "a square stays one"
    assert (rows.min() + rows.max()) / 2 == pytest.approx(height / 2, abs=2)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(width / 2, abs=2)


def test_saved_video_runs_as_fast_as_life_also_after_an_outage_and_shows_nothing_before_its_time(tmp_path):
    path = tmp_path / "out.avi"
    sink = VideoSink(path, fps=10, live=True)
    for number, time_s in enumerate([0.0, 0.5, 100.0, 100.5, 108.5]):
        grey = np.full((48, 64, 3), 50 * number, np.uint8)
        sink.write(Frame(grey, number, time_s, "porch"), FrameResult("porch", number, time_s, ()))
    sink.close()
    capture = cv2.VideoCapture(str(path))
    shown = [round(image.mean() / 50) for ok, image in iter(capture.read, (False, None)) if ok]
    assert shown == [0] * 5 + [1] + [2] * 5 + [3] * 80 + [4]
