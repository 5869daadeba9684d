"""Inputs that broke something once, or that are made to: each is refused in words, quickly and in little memory.

`benchmarks/fuzz.py` found most of them; the same harness runs here with fewer cases.
"""

import ast
import io
import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import fuzz
from fuzzing.target import TARGETS
from places import DEFAULT_BUNDLE, ROOT

from fer_edge.__main__ import in_words
from fer_edge.benchmark.baseline import read_baseline
from fer_edge.benchmark.label_map import read_map
from fer_edge_runtime.bundle_files import open_files
from fer_edge_runtime.errors import BundleError, ConfigError, DataError, SourceError
from fer_edge_runtime.manifest import parse_manifest
from fer_edge_runtime.sources.base import display_source, without_secrets
from fer_edge_runtime.sources.picture import decode_image
from fer_edge_train.config import load_recipe, with_settings
from fer_edge_train.ferplus import VOTES, read_votes
from fer_edge_train.readers import read_rows

CI_CASES = 20_000
MANIFEST = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text())
QUICK_CPU_S = 2.0


@pytest.fixture
def quick():
    """The test takes little time of the processor."""
    begin_s = time.process_time()
    yield
    assert time.process_time() - begin_s < QUICK_CPU_S


@pytest.mark.slow
def test_twenty_thousand_spoiled_inputs_are_accepted_or_refused_in_words():
    tallies = fuzz(CI_CASES, seed=0, names=list(TARGETS), jobs=2)
    assert not [problem for tally in tallies.values() for problem in tally.problems]
    assert sum(tally.cases for tally in tallies.values()) >= CI_CASES
    assert all(tally.accepted and tally.refused for name, tally in tallies.items() if name != "keys")


# Pictures


@pytest.mark.parametrize("filling", [b" " * 60_000, b"\n#" * 30_000, b"#" * 60_000, b" #\n" * 20_000])
def test_header_of_blanks_and_comments_is_read_in_one_go(filling, quick):
    with pytest.raises(SourceError, match="its header makes no sense"):
        decode_image(b"P5" + filling + b"x", name="picture")


def test_decoder_makes_no_more_pixels_than_are_allowed_whatever_the_header_reader_saw():
    # A JPEG 2000 with a second, smaller size in front of the real one.
    import cv2

    data = cv2.imencode(".jp2", np.zeros((12_000, 12_000), np.uint8))[1].tobytes()
    at = data.index(b"jp2c") - 4
    decoy = b"\xff\x4f\xff\x51" + bytes(8)[:4] + (8).to_bytes(4, "big") * 2 + bytes(8)
    box = (len(decoy) + 8).to_bytes(4, "big") + b"free" + decoy
    with pytest.raises(SourceError, match="cannot be decoded"):
        decode_image(data[:at] + box + data[at:], name="picture")


# Manifests


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uncertain_below", 10**400),
        ("name", "\x1b[31mred"),
        ("name", "half \ud800"),
        ("labels", ["happy", "\u202e"]),
        ("labels", ["happy", "x" * 1001]),
        ("metrics", [{"accuracy": float("nan")}]),
        ("provenance", {"data": "\udfff"}),
    ],
)
def test_manifest_that_could_not_be_shown_or_written_again_is_refused(key, value):
    with pytest.raises(BundleError, match=r"manifest\.json"):
        parse_manifest(json.dumps({**MANIFEST, key: value}))


def test_name_of_a_bundle_that_no_file_can_have_is_refused():
    with pytest.raises(BundleError, match="File name too long"):
        open_files("x" * 5000)


def test_file_that_cannot_be_named_is_wrong_use_and_other_faults_stay_faults():
    known = in_words(OSError(36, "File name too long", "x" * 5000))
    assert isinstance(known, ConfigError)
    assert len(str(known)) < 300
    assert in_words(OSError(5, "Input/output error", "x")) is None


# What people write


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000, "x = " + "9" * 5000, "seed = 0x" + "f" * 5000, "width = " + "9" * 400]
)
def test_recipe_that_is_nested_or_long_beyond_reason_is_refused(text, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(f"architecture = 'nano'\n{text}\n")
    with pytest.raises(ConfigError, match=r"recipe\.toml"):
        load_recipe(str(path))
    with pytest.raises(ConfigError):
        with_settings(load_recipe("nano"), [text.replace(" ", "")])


@pytest.mark.parametrize(
    ("suffix", "text"), [("json", "[" * 100_000), ("toml", "x = " + "[" * 5000), ("json", '{"a":' * 100_000)]
)
def test_label_map_that_is_nested_beyond_reason_is_refused(suffix, text, tmp_path):
    path = tmp_path / f"map.{suffix}"
    path.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_map([str(path)])


CASE = {
    "name": "a",
    "artefact": "b",
    "engine": "c",
    "device": "d",
    "delegate": "e",
    "threads": 1,
    "faces": [{"faces": 1, "p50_ms": 1.0}],
}
RECORD = {"command": "benchmark latency", "schema": 1, "valid": True, "machine": {"cpu": "A"}, "cases": [CASE]}


@pytest.mark.parametrize(
    "change",
    [
        {"cases": None},
        {"cases": [{}]},
        {"cases": [{**CASE, "name": {}}]},
        {"cases": [{**CASE, "threads": "1"}]},
        {"cases": [{**CASE, "faces": [{"faces": 1, "p50_ms": "x"}]}]},
        {"cases": [{**CASE, "faces": [{"faces": 1, "p50_ms": 0}]}]},
        {"cases": [{**CASE, "faces": [{"faces": 1, "p50_ms": 10**400}]}]},
        {"machine": {}},
        {"machine": {"cpu": 3}},
        {"cases": [{**CASE, "faces": [{"faces": 1, "p50_ms": 1e-320}]}]},
        {"valid": False, "invalid_because": None},
        {"valid": False, "invalid_because": 0.5},
    ],
)
def test_baseline_that_is_not_whole_is_refused(change, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(RECORD))
    assert read_baseline(path) == RECORD
    path.write_text(json.dumps({**RECORD, **change}))
    with pytest.raises(ConfigError, match="--baseline"):
        read_baseline(path)


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, ":" * 300_000, "a://" * 50_000, "?" * 300_000, "a://b:" * 50_000 + "@", "@" + "a://b:" * 50_000],
)
def test_long_words_are_shown_at_once(text, quick):
    assert without_secrets(text)
    assert display_source(text)


@pytest.mark.parametrize(
    "text", ["1rtsp://ann:word@h/x", "see rtsp://ann:word@h", "(rtsp://h/?user=ann&word=word)", "a://b a://ann:word@h"]
)
def test_passwords_are_hidden_wherever_the_address_begins(text):
    assert "word" not in without_secrets(text)


# Data sets


def test_votes_of_an_unknown_part_are_refused(tmp_path):
    path = tmp_path / "fer2013new.csv"
    votes = ",1" * len(VOTES)
    path.write_text(f"Usage,{','.join(VOTES)}\nTraining{votes}\n{'x' * 100_000}{votes}\n")
    with pytest.raises(DataError, match="line 3: unknown usage 'xxxxxxxxxxxxxxxxxxxx'"):
        read_votes(path)


@pytest.mark.parametrize("votes", [[1, None], ["a", "b"], [-1, 0], [0, 300], [0.5, 1.0], [[1], [2]], [b"x", b"y"]])
def test_votes_of_a_parquet_file_that_are_no_small_numbers_are_refused(votes, tmp_path):
    columns = {
        "image": [b"", b""],
        "emotion": [0, 1],
        "usage": ["Training"] * 2,
        **{f"ferplus_{n.lower()}": [1, 2] for n in VOTES},
    }
    pq.write_table(pa.table({**columns, "ferplus_fear": votes}), tmp_path / "data.parquet")
    with pytest.raises(DataError, match="'ferplus_fear' must hold numbers of votes"):
        read_rows(tmp_path / "data.parquet")


def test_parquet_file_with_a_column_twice_is_refused(tmp_path):
    table = pa.Table.from_arrays(
        [pa.array([b""]), pa.array([0]), pa.array([1]), pa.array(["Training"])],
        names=["image", "emotion", "emotion", "usage"],
    )
    pq.write_table(table, tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r"needs the column\(s\) emotion once each"):
        read_rows(tmp_path / "data.parquet")


def test_parquet_file_with_a_name_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(
        pa.table({"image": [b""], "emotion": [0], "usage": ["Training"], "zzzz": [1]}), path, store_schema=False
    )
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"zz\xf3z"))
    with pytest.raises(DataError, match="is not a parquet file"):
        read_rows(path)


# Code


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell():
    """`ruff`'s S rules say so too; they can be switched off on a line, this cannot."""
    calls = {"eval", "exec", "os.system", "os.popen", "read_pickle"}
    modules = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml", "cloudpickle"}
    files = [path for top in ("runtime", "fer_edge", "export", "train") for path in (ROOT / top).rglob("*.py")]
    assert len(files) > 100
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            bad = modules & {name.split(".")[0] for name in names}
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                bad |= {called, called.rpartition(".")[2]} & calls
                bad |= {
                    word.arg for word in node.keywords
                    if word.arg in ("shell", "allow_pickle") and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                }  # fmt: skip
            found += [f"{path.relative_to(ROOT)}:{node.lineno}: {name}" for name in bad]
    assert not found


def test_array_header_that_upsets_numpys_parser_is_refused():
    from fer_edge_runtime.bundle import _read_npz

    for head in (
        b"(((",
        b"{1: 2, 'a': 3, None: 4}",
        b"[" * 9000,
        b"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
    ):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("crops.npy", b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head)
        with pytest.raises(BundleError, match="readable"):
            _read_npz(stream.getvalue(), "golden.npz")


# Shipped models


@pytest.mark.slow
def test_five_hundred_changed_bytes_of_each_shipped_file_are_refused():
    from flips import flips

    counts, loaded = flips(500, seed=1)
    assert not loaded
    assert {
        "default/manifest.json",
        "default/model.int8.tflite",
        "default/model.int8.onnx",
        "default/golden.npz",
    } <= set(counts)
    assert len([name for name in counts if name.startswith("face_detection")]) == 2
    assert all(figures["positions"] == min(500, figures["bytes"]) for figures in counts.values())


def test_digests_of_the_shipped_manifests_are_written_down():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "shipped_digests.py", "--check"], check=False, timeout=60)
    assert done.returncode == 0
