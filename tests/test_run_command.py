"""`fer-edge run` as a user runs it: real processes, real files, real signals."""

import csv
import json
import os
import shutil
import signal
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import fer_edge, one_sentence, start
from places import DEFAULT_BUNDLE, SAMPLES

ASTRONAUT, CAT = str(SAMPLES / "astronaut.jpg"), str(SAMPLES / "chelsea.jpg")


def test_picture_gives_one_json_line_on_stdout_and_words_on_stderr():
    done = fer_edge("run", "--source", ASTRONAUT, "--json", "-")
    assert done.returncode == 0
    record = json.loads(done.stdout)
    assert [face["label"] for face in record["faces"]] == ["happy"]
    first = done.stderr.splitlines()[0]
    assert first.startswith("fer-edge ")
    assert "litert" in first
    assert "XNNPACK" in first
    assert "1 face: happy" in done.stderr


@pytest.mark.parametrize("picture", ["cat", "black", "pixel"])
def test_picture_without_a_face_ends_well_and_says_so(tmp_path, picture):
    path = tmp_path / "picture.png"
    pixels = {
        "cat": cv2.imread(CAT),
        "black": np.zeros((480, 640, 3), np.uint8),
        "pixel": np.zeros((1, 1, 3), np.uint8),
    }
    cv2.imwrite(str(path), pixels[picture])
    done = fer_edge("run", "--source", path, "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["faces"] == []
    assert "No face was found" in done.stderr


def test_huge_picture_ends_well(tmp_path):
    path = tmp_path / "huge.jpg"
    cv2.imwrite(str(path), np.zeros((6000, 8000, 3), np.uint8))
    done = fer_edge("run", "--source", path, "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["faces"] == []


def test_clip_is_annotated_and_written_whole(tmp_path):
    video, rows, lines = tmp_path / "out.mp4", tmp_path / "out.csv", tmp_path / "out.jsonl"
    done = fer_edge("run", "--source", "demo", "--save", video, "--csv", rows, "--json", lines)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {face["track"] for record in records for face in record["faces"]} == {1}
    table = list(csv.DictReader(rows.read_text().splitlines()))
    assert len(table) == len(records)
    assert table[0]["label"] == "happy"
    capture = cv2.VideoCapture(str(video))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == len(records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.jsonl", "out.mp4"]
    assert "Written: " in done.stderr


def test_folder_with_an_unreadable_picture_gives_the_rest_and_names_it(tmp_path):
    shutil.copy(ASTRONAUT, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    shutil.copy(CAT, tmp_path / "c.jpg")
    done = fer_edge("run", "--source", tmp_path, "--json", "-", "--save", tmp_path / "out")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert "b.jpg" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "-q"], ["--json", "--quiet"], ["--json", "-"]])
def test_json_without_a_path_goes_to_stdout(arguments):
    done = fer_edge("run", "--source", ASTRONAUT, *arguments)
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema"] == 1


def test_quiet_prints_nothing_but_results():
    done = fer_edge("run", "--source", ASTRONAUT, "--json", "-", "--quiet")
    assert done.stderr == ""
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    "option",
    [
        "--engine=onnx",
        "--detector=short",
        "--largest",
        "--threads=2",
        "--device=cpu",
        "--detect-every=5",
        "--anonymize",
    ],
)
def test_every_option_still_finds_the_face(option):
    done = fer_edge("run", "--source", ASTRONAUT, "--json", "-", option)
    assert done.returncode == 0, done.stderr
    assert [face["label"] for face in json.loads(done.stdout)["faces"]] == ["happy"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--camera", "97"], 4, "97"),
        (["--source", "nothing.jpg"], 4, "no such file"),
        (["--source", "empty.jpg"], 4, "empty.jpg"),
        (["--source", "text.jpg"], 4, "text.jpg"),
        (["--source", "text.mp4"], 4, "text.mp4"),
        (["--source", "gopher://x"], 4, "addresses start with"),
        (["--source", "demo", "--engine", "litert", "--device", "gpu"], 4, "no Vulkan driver is installed"),
        (["--source", "demo", "--model", "nothing"], 5, "There is no bundle at"),
        (["--source", "demo", "--model", "text.jpg"], 5, "neither a bundle folder nor a readable zip"),
        (["--source", "demo", "--detector", "shrot"], 2, "Did you mean 'short'?"),
        (["--source", "demo", "--detector", "yunet:none.onnx"], 4, "none.onnx"),
        (["--source", "demo", "--threads", "-3"], 2, "Give 1 to 256"),
        (["--source", "demo", "--detect-every", "0"], 2, "Give 1 or more"),
        (["--source", "demo", "--json", "no/such/dev/null/../x"], 8, ""),
        (["--source", "demo", "--save", "out.xyz"], 8, "out.xyz"),
        (["--source", "demo", "--serve", "nonsense:port"], 2, "HOST:PORT"),
        (["--source", "demo", "--show"], 8, "--serve"),
        (["--source", "demo", "--json", "/dev/full"], 8, "full"),
        ([], 2, "Nothing to look at"),
        (["--camera", "0", "--source", "demo"], 2, "Both --camera and --source"),
    ],
)
def test_wrong_use_gives_one_sentence_and_its_exit_code(tmp_path, arguments, code, said):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "no").write_text("a file, not a folder")
    done = fer_edge("run", *arguments, cwd=tmp_path)
    sentence = one_sentence(done.stderr)
    assert done.returncode == code, sentence
    assert said in sentence


def test_unknown_option_value_lists_the_known_ones():
    done = fer_edge("run", "--source", "demo", "--engine", "tensorrt")
    assert done.returncode == 2
    assert "litert" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_endless_run_with_a_summary_and_whole_files(tmp_path, number):
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    process = start("run", "--source", "test-pattern", "--json", "-", "--csv", lines, "--save", video)
    for _ in range(3):
        json.loads(process.stdout.readline())
    process.send_signal(number)
    rest, words = process.communicate(timeout=30)
    assert process.returncode == 0, words
    for line in rest.splitlines():
        json.loads(line)
    assert "stopped" in words
    assert cv2.VideoCapture(str(video)).read()[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]


def test_closed_pipe_ends_the_run_with_exit_code_0():
    process = start("run", "--source", "test-pattern", "--json", "-")
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_tampered_bundle_is_refused(tmp_path):
    copy = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    content = bytearray((copy / "model.int8.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.int8.tflite").write_bytes(content)
    done = fer_edge("run", "--source", "demo", "--model", copy)
    assert done.returncode == 5
    assert "model.int8.tflite is not the file that was exported" in one_sentence(done.stderr)


def test_page_shows_the_stream_while_it_runs():
    process = start("run", "--source", "test-pattern", "--serve", "127.0.0.1:0")
    address = next(line.split()[-1] for line in process.stderr if line.startswith("Live page: "))
    with urllib.request.urlopen(address, timeout=20) as page:  # noqa: S310
        assert b"fer-edge" in page.read()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_read_only_folder_is_an_output_error(tmp_path):
    if os.geteuid() == 0:
        target = "/proc/out.jsonl"
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "out.jsonl"
    done = fer_edge("run", "--source", ASTRONAUT, "--json", target)
    assert done.returncode == 8
    one_sentence(done.stderr)


@pytest.mark.slow
def test_gpu_that_was_asked_for_runs_says_what_it_is_and_leaves_stdout_clean(software_vulkan):
    done = fer_edge("run", "--source", ASTRONAUT, "--device", "gpu", "--json")
    assert done.returncode == 0, done.stderr
    assert [face["label"] for face in json.loads(done.stdout)["faces"]] == ["happy"]
    assert "gpu SwiftShader Device (Subzero) (software, not a real GPU; WebGPU)" in done.stderr
    assert "INFO" not in done.stderr
    again = fer_edge("run", "--source", ASTRONAUT, "--device", "gpu")
    assert "Trying the GPU" not in again.stderr
