"""What start-up imports: the runtime and its commands stay light."""

import subprocess
import sys
from pathlib import Path

import pytest
from places import SAMPLES

HEAVY = (
    "tensorflow",
    "tf_keras",
    "keras",
    "tensorflow_model_optimization",
    "torch",
    "jax",
    "pandas",
    "pyarrow",
    "matplotlib",
    "tf2onnx",
    "onnx",
    "paho",
    "cryptography",
)
SERVER = ("tornado", "asyncio", "ssl")
RUNTIME = ("numpy", "cv2", "ai_edge_litert", "onnxruntime")


def modules_after(*arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter imports while it runs ``python ARGUMENTS``."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


def test_importing_the_package_loads_nothing_else():
    assert not modules_after("-c", "import fer_edge") & {*HEAVY, *RUNTIME, "typer", "rich"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["train", "--help"],
        ["export", "--help"],
        ["evaluate", "--help"],
        ["data", "--help"],
        ["tune", "--help"],
        ["benchmark", "latency", "--help"],
        ["benchmark", "accuracy", "--help"],
        ["benchmark", "limit", "--help"],
        ["models", "--help"],
        ["serve", "--help"],
        ["models", "sign", "--help"],
        ["service", "unit", "--help"],
    ],
)
def test_help_loads_neither_training_nor_runtime_libraries(arguments):
    assert not modules_after("-m", "fer_edge", *arguments) & {*HEAVY, *RUNTIME, *SERVER}


def test_whole_run_on_the_cpu_loads_no_training_library(tmp_path):
    loaded = modules_after(
        "-m", "fer_edge", "run", "--source", "demo", "--save", str(tmp_path / "out.mp4"), "--json", str(tmp_path / "out.jsonl"),
        "--csv", str(tmp_path / "out.csv"), "--serve", "127.0.0.1:0", "--max-frames", "5",
    )  # fmt: skip
    assert "ai_edge_litert" in loaded
    assert not loaded & {*HEAVY, "onnxruntime"}


def test_run_without_a_page_loads_no_server():
    loaded = modules_after("-m", "fer_edge", "run", "--source", str(SAMPLES / "astronaut.jpg"), "--json", "-")
    assert "ai_edge_litert" in loaded
    assert not loaded & {*HEAVY, *SERVER}


def test_run_does_not_read_the_options_of_other_commands():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fer_edge", "run", "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "fer_edge.cli.device" in done.stderr
    assert "fer_edge.cli.workstation" not in done.stderr


def test_public_names_are_what_the_readme_says():
    code = (
        f"import cv2, fer_edge; faces = fer_edge.Recognizer.load('default')(cv2.imread({str(SAMPLES / 'astronaut.jpg')!r}));"
        "assert [face.label for face in faces] == ['happy']; assert isinstance(faces[0], fer_edge.Face)"
    )
    assert "ai_edge_litert" in modules_after("-c", code)


def test_unknown_name_is_an_attribute_error():
    import fer_edge

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fer_edge.nothing  # noqa: B018
    assert "Recognizer" in dir(fer_edge)


def test_help_of_every_command_exits_with_0():
    fer_edge = str(Path(sys.executable).with_name("fer-edge"))
    for arguments in ([], ["run"], ["train"], ["export"], ["doctor"]):
        done = subprocess.run([fer_edge, *arguments, "--help"], capture_output=True, text=True, check=True)
        assert "Usage" in done.stdout
