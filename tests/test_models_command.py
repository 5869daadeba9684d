"""`fer-edge models` as a user runs it: real processes on the shipped bundle and on copies of it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command_line import FER_EDGE, fer_edge
from places import DEFAULT_BUNDLE, ROOT, SAMPLES
from test_start_up import HEAVY, RUNTIME, modules_after

TFLITE, ONNX = "model.int8.tflite", "model.int8.onnx"
REFUSED = 5


def models(*arguments, **options):
    return fer_edge("models", *arguments, **options)


@pytest.fixture
def copy(tmp_path):
    """A private copy of the embedded bundle."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "mine"))


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A private copy of the command line and the runtime, with a second shipped bundle and a folder that is none."""
    place = tmp_path_factory.mktemp("installation")
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fer_edge", place / "fer_edge", ignore=leave_out)
    shutil.copytree(ROOT / "runtime" / "fer_edge_runtime", place / "fer_edge_runtime", ignore=leave_out)
    assets = place / "fer_edge_runtime" / "assets"
    shutil.copytree(assets / "default", assets / "tiny")
    edit_manifest(assets / "tiny", lambda record: record.update(name="tiny", version="0.3.0", metrics=[]))
    (assets / "pictures").mkdir()
    digests = json.loads((assets / "digests.json").read_text())
    digests["tiny"] = hashlib.sha256((assets / "tiny" / "manifest.json").read_bytes()).hexdigest()
    (assets / "digests.json").write_text(json.dumps(digests))
    return place


def installed(installation, *arguments, before="pass", cwd=None):
    """Run that copy; ``before`` is Python that comes first."""
    code = f"import sys; {before}; from fer_edge.__main__ import main; sys.argv = ['fer-edge', *{list(map(str, arguments))!r}]; main()"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=cwd or installation,
        env={**os.environ, "PYTHONPATH": str(installation)},
    )  # fmt: skip


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def zipped(folder, target):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return target


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def verdicts(done):
    """Check -> (status, found) of the only bundle in a ``verify --json``."""
    (bundle,) = json.loads(done.stdout)["bundles"]
    return {check["check"]: (check["status"], check["found"]) for check in bundle["checks"]}


def test_list_shows_the_shipped_bundle_on_stderr():
    done = models("list")
    assert (done.returncode, done.stdout) == (0, "")
    header, row, *_ = done.stderr.splitlines()
    assert header.startswith("model ")
    assert header.endswith("where")
    manifest = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text())
    private = next(m for m in manifest["metrics"] if (m["artefact"], m["split"]) == (TFLITE, "PrivateTest"))
    low, high = private["interval95"]
    assert f"{private['accuracy']:.2%} ({low:.1%} to {high:.1%})" in row
    side = manifest["preprocess"]["input_size"]
    size = next(a["size_bytes"] for a in manifest["artefacts"] if a["path"] == TFLITE)
    for cell in ("default", manifest["version"], manifest["task"], " 7 ", f"{side}×{side}", f"{size / 1e6:.2f} MB"):
        assert cell in row
    assert row.endswith(str(DEFAULT_BUNDLE))


def test_list_as_json_has_the_same_for_programs(copy, tmp_path):
    archive = zipped(copy, tmp_path / "mine.zip")
    done = models("list", copy, archive, "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["schema"] == 1
    rows = {row["model"]: row for row in report["bundles"]}
    assert {"default", str(copy), str(archive)} <= set(rows)
    manifest = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text())
    for model, place in (("default", DEFAULT_BUNDLE), (str(copy), copy), (str(archive), archive)):
        row = rows[model]
        assert row["ok"] is True
        assert row["shipped"] is (model == "default")
        assert row["where"] == str(place)
        assert row["labels"] == manifest["labels"]
        assert row["input_size"] == manifest["preprocess"]["input_size"]
        assert row["int8_tflite_bytes"] == (DEFAULT_BUNDLE / TFLITE).stat().st_size
        assert row["private_test"]["artefact"] == TFLITE
        assert row["private_test"]["data_split"] == "usage"


def test_list_with_a_broken_bundle_keeps_the_others_and_exits_with_5(copy, tmp_path):
    broken = Path(shutil.copytree(copy, tmp_path / "broken"))
    (broken / TFLITE).write_bytes(b"no model")
    done = models("list", broken, copy, tmp_path / "nothing")
    assert done.returncode == REFUSED
    lines = done.stderr.splitlines()
    assert lines[1].startswith("default")
    (reason,) = (line for line in lines if TFLITE in line)
    assert "truncated or changed" in reason
    assert any(line.endswith(str(copy)) and "%" in line for line in lines)
    assert "There is no bundle at" in done.stderr
    assert lines[-1].startswith(f"fer-edge: 2 of {len(lines) - 4} bundles refused: {broken}, ")
    rows = json.loads(models("list", broken, copy, "--json").stdout)["bundles"]
    assert [row["ok"] for row in rows[-2:]] == [False, True]
    assert TFLITE in rows[-2]["reason"]


def test_list_leaves_blank_what_the_manifest_does_not_know(copy):
    edit_manifest(copy, lambda record: record.update(metrics=[{"accuracy": "high"}, {"split": "PrivateTest"}]))
    done = models("list", copy)
    assert done.returncode == 0
    assert "%" not in done.stderr.splitlines()[-1]
    assert json.loads(models("list", copy, "--json").stdout)["bundles"][-1]["private_test"] is None


def test_list_says_when_a_figure_is_of_another_split(copy):
    edit_manifest(copy, lambda record: record["provenance"]["recipe"].update(split="80-20"))
    assert "split 80-20" in models("list", copy).stderr.splitlines()[-1]


def test_list_imports_no_heavy_module_and_neither_engine_nor_numpy():
    loaded = modules_after("-m", "fer_edge", "models", "list")
    assert not loaded & {*HEAVY, *RUNTIME, "fer_edge_train", "fer_edge_export"}


@pytest.mark.parametrize("command", ["info", "verify"])
def test_other_commands_import_the_runtime_alone(command):
    assert not modules_after("-m", "fer_edge", "models", command, "default") & {*HEAVY, "fer_edge_train", "fer_edge_export"}  # fmt: skip


def test_info_names_everything_a_user_asks_for():
    done = models("info", "default")
    assert (done.returncode, done.stdout) == (0, "")
    manifest = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text())
    words = [
        manifest["task"], *manifest["labels"], manifest["created"], f"under a score of {manifest['uncertain_below']:g}",
        str(DEFAULT_BUNDLE / "README.md"), "zero point", "PublicTest", "PrivateTest", "eyes level",
        manifest["provenance"]["trained_with"]["device"], manifest["tools"]["onnxruntime"],
        *(artefact["sha256"] for artefact in manifest["artefacts"]),
        *(f"{metric['macro_f1']:.3f}" for metric in manifest["metrics"]),
    ]  # fmt: skip
    assert [word for word in words if word not in done.stderr] == []


def test_info_as_json_is_the_manifest_and_two_places(copy, tmp_path):
    archive = zipped(copy, tmp_path / "mine.zip")
    report = json.loads(models("info", archive, "--json").stdout)
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest.items() <= report["manifest"].items()
    assert report["manifest"]["temperature"] == manifest.get("temperature", 1.0)
    assert report["where"] == str(archive)
    assert report["card"] == f"README.md in {archive}"


def test_info_shows_a_temperature(copy):
    edit_manifest(copy, lambda record: record.update(temperature=1.25))
    assert "1.25" in models("info", copy).stderr


def test_info_survives_free_json_that_makes_no_sense(copy):
    def change(record):
        record.update(metrics=[{"accuracy": 10**400}, {"accuracy": 0.5, "interval95": "wide", "n": None}], tools={})
        record["provenance"] = {"recipe": "none", "gate": {"drop_points": []}, "run": "\x1b[2Jred"}

    edit_manifest(copy, change)
    done = models("info", copy)
    assert done.returncode == 0
    assert "50.00%" in done.stderr
    assert "\x1b" not in done.stderr


def test_card_goes_to_stdout_as_it_is(copy, tmp_path):
    done = subprocess.run([FER_EDGE, "models", "info", zipped(copy, tmp_path / "mine.zip"), "--card"], capture_output=True, check=True)  # fmt: skip
    assert done.stdout == (copy / "README.md").read_bytes()


def test_missing_card_and_card_as_json_are_explained(copy):
    def change(record):
        record["files"] = [entry for entry in record["files"] if entry["path"] != "README.md"]

    edit_manifest(copy, change)
    done = models("info", copy, "--card")
    assert done.returncode == REFUSED
    assert "has no model card" in done.stderr
    assert "model card   none" in models("info", copy).stderr
    assert models("info", copy, "--card", "--json").returncode == 2


def test_info_of_a_damaged_bundle_is_refused(copy):
    flip(copy / "README.md")
    done = models("info", copy, "--card")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "README.md is not the file that was exported" in done.stderr


def test_verify_without_a_name_proves_every_shipped_bundle():
    done = models("verify")
    assert (done.returncode, done.stdout) == (0, "")
    assert str(DEFAULT_BUNDLE) in done.stderr
    assert "golden vectors agree on litert" in done.stderr
    assert "golden vectors agree on onnxruntime" in done.stderr
    assert "failed" not in done.stderr


def test_verify_as_json_has_one_object_a_check(copy):
    done = models("verify", copy, "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["schema"], report["ok"]) == (1, True)
    assert [bundle["model"] for bundle in report["bundles"]] == [str(copy)]
    found = verdicts(done)
    assert list(found) == ["manifest", "files", "stray files", "golden vectors", TFLITE, ONNX]
    assert {status for status, _ in found.values()} == {"ok"}
    assert done.stderr == ""


def test_verify_of_a_zip_has_no_stray_files_to_look_for(copy, tmp_path):
    done = models("verify", zipped(copy, tmp_path / "mine.zip"), "--json")
    assert done.returncode == 0
    assert "stray files" not in verdicts(done)


def test_verify_names_every_damaged_file_and_opens_no_model(copy):
    flip(copy / TFLITE)
    (copy / ONNX).write_bytes((copy / ONNX).read_bytes()[:1000])
    done = models("verify", copy, "--json")
    assert done.returncode == REFUSED
    found = verdicts(done)
    status, reasons = found["files"]
    assert status == "failed"
    assert f"{TFLITE} is not the file that was exported" in reasons
    assert f"{ONNX} has 1000 bytes" in reasons
    assert [found[name][0] for name in (TFLITE, ONNX)] == ["skipped", "skipped"]
    assert done.stderr.startswith("fer-edge: 1 of 1 bundle refused")
    assert f"{'':31}{ONNX} has" in models("verify", copy).stderr


def test_verify_finds_a_model_that_answers_otherwise_and_proves_the_other_one(copy):
    """Sizes and hashes agree; only the golden vectors know."""
    edit_manifest(copy, lambda record: next(a for a in record["artefacts"] if a["path"] == TFLITE)["input"].update(scale=0.05))  # fmt: skip
    done = models("verify", copy, "--json")
    assert done.returncode == REFUSED
    found = verdicts(done)
    assert found["files"][0] == "ok"
    assert found[TFLITE][0] == "failed"
    assert found[ONNX][0] == "ok"


def test_verify_refuses_a_stray_file(copy):
    (copy / "notes.txt").write_text("mine")
    done = models("verify", copy, "--json")
    assert done.returncode == REFUSED
    assert verdicts(done)["stray files"] == ("failed", f"{copy} holds notes.txt, which its manifest does not name.")


def test_verify_says_that_the_manifest_is_missing(copy):
    (copy / "manifest.json").unlink()
    done = models("verify", copy, "default")
    assert done.returncode == REFUSED
    assert f"{copy / 'manifest.json'} is missing." in done.stderr
    assert "golden vectors agree" in done.stderr


def test_unknown_name_is_answered_with_the_shipped_ones(tmp_path):
    done = models("info", "Defualt", cwd=tmp_path)
    assert done.returncode == REFUSED
    (line,) = done.stderr.splitlines()
    assert line.startswith("fer-edge: There is no bundle at Defualt. Did you mean 'default'? ")
    assert "a bundle folder, a zip of one, or the name of a shipped bundle: default" in line
    assert "Did you mean" not in models("info", "elsewhere/bundle", cwd=tmp_path).stderr


def test_any_shipped_bundle_is_known_by_its_name(installation, tmp_path):
    rows = json.loads(installed(installation, "models", "list", "--json").stdout)["bundles"]
    names = [row["model"] for row in rows]
    assert names[0] == "default"
    assert "tiny" in names
    assert "pictures" not in names
    done = installed(installation, "run", "--source", SAMPLES / "astronaut.jpg", "--model", "tiny", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["faces"][0]["label"] == "happy"
    assert "model tiny 0.3.0" in done.stderr
    unknown = installed(installation, "run", "--source", "demo", "--model", "tinny", cwd=tmp_path)
    assert unknown.returncode == REFUSED
    assert "Did you mean 'tiny'?" in unknown.stderr


def test_shipped_name_wins_over_a_folder_of_that_name_and_a_path_does_not(installation, tmp_path):
    (tmp_path / "tiny").mkdir()
    assert installed(installation, "models", "info", "tiny", cwd=tmp_path).returncode == 0
    done = installed(installation, "models", "info", "./tiny", cwd=tmp_path)
    assert done.returncode == REFUSED
    assert "manifest.json is missing" in done.stderr


def test_missing_engine_is_skipped_with_the_command_that_installs_it(installation):
    done = installed(installation, "models", "verify", "tiny", "--json", before="sys.modules['onnxruntime'] = None")
    assert done.returncode == 0, done.stderr
    found = verdicts(done)
    assert found[TFLITE][0] == "ok"
    assert found[ONNX][0] == "skipped"
    assert "pip install 'fer-edge[onnx]'" in found[ONNX][1]


def test_models_of_a_device_need_neither_training_nor_export(installation):
    without = "sys.modules['fer_edge_export'] = sys.modules['fer_edge_train'] = None"
    for command in ("list", "verify"):
        assert installed(installation, "models", command, before=without).returncode == 0


def test_default_bundle_without_its_manifest_is_a_broken_one(installation, tmp_path):
    private = Path(shutil.copytree(installation, tmp_path / "private"))
    (private / "fer_edge_runtime" / "assets" / "default" / "manifest.json").unlink()
    done = installed(private, "models", "list")
    assert done.returncode == REFUSED
    assert "default/manifest.json is missing." in done.stderr
    assert "0.3.0" in done.stderr
