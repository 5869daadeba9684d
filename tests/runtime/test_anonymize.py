"""`--anonymize`: what is covered, for how long, and that nobody is given any other picture."""

from __future__ import annotations

import threading
import urllib.request

import cv2
import numpy as np
import pytest

from fer_edge_runtime.anonymize import HOLD_FRAMES, Anonymizer, covered, head_area
from fer_edge_runtime.loop import run_loop
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.sinks import Sink, Sinks, open_sinks
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sources import open_source
from fer_edge_runtime.stream import StreamRecognizer
from fer_edge_runtime.types import Face, Frame, FrameResult

BOX = (60.0, 60.0, 100.0, 100.0)


@pytest.fixture
def noise():
    """(200, 300, 3) uint8: no two pixels of it are alike by design, so that a copy of any part is noticed."""
    return np.random.default_rng(7).integers(0, 256, (200, 300, 3), np.uint8)


def result_of(frame, *boxes, track=1, others=()):
    faces = tuple(Face(box, "happy", 0.9, {"happy": 0.9}, {}, 0.9, track) for box in boxes)
    return FrameResult(frame.source, frame.index, frame.time_s, faces, others=tuple(others))


def frame_of(image, index, *, fps=10.0, segment=0):
    return Frame(image, index, index / fps, "camera:0", segment)


def is_covered(before, after, box):
    """Whether nothing of a face's box is as it was; by chance one pixel value in 256 is."""
    x1, y1, x2, y2 = map(int, box)
    same = before[y1:y2, x1:x2] == after[y1:y2, x1:x2]
    return bool(same.mean() < 0.05)


def likeness(first, second, box):
    """Correlation of two pictures' fine structure in a box, -1 to 1."""
    x1, y1, x2, y2 = map(int, box)
    parts = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[y1:y2, x1:x2].astype(np.float64) for image in (first, second)]
    fine = [part - cv2.GaussianBlur(part, (0, 0), (x2 - x1) / 8) for part in parts]
    return float(np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1])


def test_nothing_of_the_face_is_in_the_covered_picture(noise):
    other = noise.copy()
    other[60:100, 60:100] = 255 - other[60:100, 60:100]
    assert np.array_equal(covered(noise, [BOX]), covered(other, [BOX]))
    assert np.array_equal(covered(noise, [BOX])[:, 130:], noise[:, 130:])


@pytest.mark.parametrize(
    "box", [(-20, -20, 30, 30), (280, 180, 340, 240), (-500, -500, 900, 900), (5.4, 5.6, 29.2, 32.9)]
)
def test_faces_at_the_border_and_of_any_size_are_covered_inside_the_picture(noise, box):
    x1, y1, x2, y2 = head_area(box, noise)
    after = covered(noise, [box])
    assert after.shape == noise.shape
    assert (after[y1:y2, x1:x2] != noise[y1:y2, x1:x2]).mean() > 0.9


def test_head_outside_the_picture_needs_no_cover(noise):
    assert head_area((900, 900, 950, 950), noise) is None
    assert np.array_equal(covered(noise, [(900, 900, 950, 950)]), noise)


@pytest.mark.parametrize(("fps", "frames"), [(30, 15), (1, HOLD_FRAMES)], ids=["half a second", "some slow frames"])
def test_lost_face_stays_covered_for_a_while(noise, fps, frames):
    anonymizer = Anonymizer(stream=True)
    anonymizer.cover(frame_of(noise, 0, fps=fps), result_of(frame_of(noise, 0), BOX))
    kept = [
        is_covered(noise, anonymizer.cover(frame, result_of(frame)).image, BOX)
        for frame in (frame_of(noise, index, fps=fps) for index in range(1, 2 * frames + 1))
    ]
    assert kept == [True] * frames + [False] * frames


def test_track_is_covered_where_it_is_now_and_another_person_where_the_first_one_was_lost(noise):
    anonymizer = Anonymizer(stream=True)
    far = (220.0, 60.0, 260.0, 100.0)
    frames = [frame_of(noise, index) for index in range(2)]
    anonymizer.cover(frames[0], result_of(frames[0], BOX, track=1))
    moved = anonymizer.cover(frames[1], result_of(frames[1], far, track=1)).image
    assert (is_covered(noise, moved, BOX), is_covered(noise, moved, far)) == (False, True)
    anonymizer = Anonymizer(stream=True)
    anonymizer.cover(frames[0], result_of(frames[0], BOX, track=1))
    both = anonymizer.cover(frames[1], result_of(frames[1], far, track=2)).image
    assert (is_covered(noise, both, BOX), is_covered(noise, both, far)) == (True, True)


def test_pictures_and_new_segments_know_nothing_of_those_before(noise):
    first, second = frame_of(noise, 0), frame_of(noise, 0, segment=1)
    for anonymizer in (Anonymizer(stream=False), Anonymizer(stream=True)):
        anonymizer.cover(first, result_of(first, BOX))
        assert not is_covered(noise, anonymizer.cover(second, result_of(second)).image, BOX)


class Recorder(Sink):
    """Keeps the pictures that it was given."""

    def __init__(self, *, needs_drawing):
        self._needs_drawing = needs_drawing
        self.images = []

    @property
    def needs_drawing(self):
        return self._needs_drawing

    def write(self, frame, result):
        self.images.append(frame.image)


def test_no_sink_is_given_the_bare_picture_and_the_source_keeps_its_own(noise):
    sinks = [Recorder(needs_drawing=False), Recorder(needs_drawing=True)]
    frame = frame_of(noise, 0)
    before = noise.copy()
    Sinks(sinks, anonymizer=Anonymizer(stream=True)).write(frame, result_of(frame, BOX))
    assert [is_covered(noise, sink.images[0], BOX) for sink in sinks] == [True, True]
    assert np.array_equal(noise, before)


def test_saved_video_shows_labels_and_no_face(tmp_path, recognizer):
    """Read back, the video's heads are strangers to the originals, and the detector finds none; without the option it does."""
    shown = {}
    for anonymize in (False, True):
        target = tmp_path / f"{anonymize}.mp4"
        with open_source("demo") as source:
            stream = StreamRecognizer(recognizer, source.kind, detect_every=3)
            boxes = []
            with open_sinks(
                labels=recognizer.labels, kind=source.kind, fps=source.fps, save=str(target), anonymize=anonymize
            ) as sinks:
                run_loop(
                    source, stream, sinks, stop=threading.Event(), max_frames=12,
                    on_result=lambda result, boxes=boxes: boxes.append(result.faces[0].box),
                )  # fmt: skip
        capture = cv2.VideoCapture(str(target))
        shown[anonymize] = [capture.read()[1] for _ in range(12)]
    with open_source("demo") as source:
        bare = [frame.image for frame, _ in zip(source.frames(), range(12), strict=False)]
    assert all(recognizer.detect(image) for image in shown[False])
    assert not any(recognizer.detect(image) for image in shown[True])
    for raw, plain, hidden, box in zip(bare, shown[False], shown[True], boxes, strict=True):
        inner = (box[0] + 12, box[1] + 12, box[2] - 12, box[3] - 12)  # without the box that is drawn
        assert likeness(raw, plain, inner) > 0.7
        assert abs(likeness(raw, hidden, inner)) < 0.3


def test_picture_and_page_show_no_face(tmp_path, recognizer, astronaut):
    frame = Frame(astronaut, 0, 0.0, "astronaut.jpg")
    found = recognizer(astronaut)
    result = FrameResult("astronaut.jpg", 0, 0.0, tuple(found))
    inner = tuple(np.add(found[0].box, (8, 8, -8, -8)))
    target = tmp_path / "out.png"
    with open_sinks(
        labels=recognizer.labels, kind="pictures", total=1, save=str(target), serve=PageOptions(port=0), anonymize=True
    ) as sinks:
        sinks.write(frame, result)
        stop = threading.Event()

        def feed():
            while not stop.wait(0.01):
                with_page.write(frame, result)

        with open_sinks(labels=recognizer.labels, kind="live", serve=PageOptions(port=0), anonymize=True) as with_page:
            thread = threading.Thread(target=feed, daemon=True)
            thread.start()
            with urllib.request.urlopen(f"{with_page.describe()[0]}frame.jpg", timeout=20) as answer:  # noqa: S310
                snapshot = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
            stop.set()
            thread.join()
    for image in (cv2.imread(str(target)), snapshot):
        assert image.shape == astronaut.shape
        assert abs(likeness(astronaut, image, inner)) < 0.3
        assert recognizer.detect(image) == []


def test_faces_that_are_left_out_are_covered_too(astronaut):
    """`--largest` and `--min-face` choose whose expression is named, not who is covered."""
    small = cv2.resize(astronaut, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    canvas = np.full((512, 768, 3), 127, np.uint8)
    canvas[:, :512] = astronaut
    canvas[:256, 512:] = small
    for options in ({"largest": True}, {"min_face": 80}):
        recognizer = Recognizer.load("default", threads=1, find_all=True, **options)
        frame = Frame(canvas, 0, 0.0, "two.png")
        result = StreamRecognizer(recognizer, "pictures").process(frame)
        assert (len(result.faces), len(result.others)) == (1, 1)
        assert recognizer.detect(Anonymizer(stream=False).cover(frame, result).image) == []
        assert recognizer.find(Anonymizer(stream=False).cover(frame, result).image) == ([], [])


def test_faces_that_are_left_out_stay_covered_where_the_detector_does_not_run(astronaut):
    canvas = np.hstack([astronaut, astronaut])
    recognizer = Recognizer.load("default", threads=1, find_all=True, largest=True)
    stream = StreamRecognizer(recognizer, "video", detect_every=100)
    results = [stream.process(Frame(canvas, index, index / 10, "two")) for index in range(12)]
    assert {len(result.others) for result in results} == {1}
