"""What `runtime/JSON_LINES.md` says about every field, against what is written."""

import json
import re
import subprocess

import pytest
from command_line import FER_EDGE
from places import ROOT, SAMPLES

from fer_edge_runtime.sinks.mqtt import source_record, state_record
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.types import Face, FrameResult

TYPES = {"integer": int, "number": (int, float), "text": str, "list": list, "object": dict}
FACE = Face((1.0, 2.0, 3.0, 4.0), "sad", 0.9, {"sad": 0.9, "happy": 0.1}, {"left_eye": (1.0, 1.0)}, 0.8, track=3)


def documented():
    """Heading -> field -> (its types, the words in its last column)."""
    tables = {}
    text = (ROOT / "runtime" / "JSON_LINES.md").read_text()
    for heading, section in re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| (.+) \|$", section, re.MULTILINE)
        tables[heading] = {name: (TYPES[kind], null) for name, kind, null in rows}
    return tables


def agree(record, table):
    """Every documented field is there, in its order and type, and null only where that is said."""
    assert list(record) == list(table)
    for name, (kind, null) in table.items():
        value = record[name]
        assert not isinstance(value, bool)
        assert isinstance(value, kind) if value is not None else null != "never", (name, value)


@pytest.mark.parametrize(
    ("options", "followed"), [(["--source", SAMPLES], False), (["--source", "demo", "--max-frames", "5"], True)]
)
def test_every_line_has_the_documented_fields_and_no_other(options, followed):
    command = [FER_EDGE, "run", "--device", "cpu", "--quiet", "--json", "-", *map(str, options)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    lines = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]
    tables = documented()
    faces = [face for line in lines for face in line["faces"]]

    assert faces
    for line in lines:
        agree(line, tables["A line"])
    for face in faces:
        agree(face, tables["A face"])
        assert (face["track"] is not None) == followed
        assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-3)
        assert {"right_eye", "left_eye"} <= set(face["landmarks"])
        assert face["score"] == max(face["scores"].values()) or followed
    assert followed or not all(line["faces"] for line in lines)  # a line without a face


@pytest.mark.parametrize("faces", [(FACE,), ()])
def test_state_on_mqtt_has_the_documented_fields(faces):
    agree(state_record(FrameResult("demo", 4, 0.2, faces)), documented()["MQTT `state`"])


def test_source_on_mqtt_has_the_documented_fields_and_words():
    agree(source_record(SourceHealth(SourceState.RUNNING)), documented()["MQTT `source`"])
    text = (ROOT / "runtime" / "JSON_LINES.md").read_text()
    (listed,) = re.findall(r"^\| `state` \| text \| (.+) \| never", text, re.MULTILINE)
    assert re.findall(r"`(\w+)`", listed) == [str(state) for state in SourceState]
