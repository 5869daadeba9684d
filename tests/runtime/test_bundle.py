"""A bundle is checked to the last byte before anything of it runs. All on copies of the embedded one."""

import io
import json
import os
import shutil
import stat
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from places import DEFAULT_BUNDLE

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.errors import BundleError, ConfigError

MODEL = "model.int8.tflite"


@pytest.fixture
def copy(tmp_path):
    """A private copy of the embedded bundle."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return target


def edit_manifest(folder: Path, change) -> None:
    path = folder / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def rehash(folder: Path, name: str) -> None:
    """Make the manifest vouch for a file as it is now: a forger who also edits the manifest."""
    import hashlib

    content = (folder / name).read_bytes()

    def change(record):
        for entry in (*record["artefacts"], *record["files"], record["golden"]):
            if entry["path"] == name:
                entry["size_bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()

    edit_manifest(folder, change)


def test_embedded_bundle_loads_and_both_engines_agree_with_its_vectors():
    bundle = load_bundle("default")
    assert bundle.manifest.task == "emotion7"
    for artefact in bundle.manifest.artefacts:
        engine = bundle.open(artefact)
        assert engine.describe().device == "cpu"


def test_embedded_bundle_is_small_enough_to_ship():
    for artefact in load_bundle("default").manifest.artefacts:
        assert artefact.size_bytes <= 3_500_000


def test_zip_of_a_bundle_is_the_same_bundle(copy, tmp_path):
    bundle = load_bundle(zipped(copy, tmp_path / "bundle.zip"))
    assert bundle.manifest == load_bundle("default").manifest


@pytest.mark.parametrize("name", ["model.int8.tflite", "model.int8.onnx", "golden.npz", "README.md", "parity.json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "longer", "empty", "missing"])
def test_damaged_file_is_refused_by_name(copy, name, damage):
    path = copy / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(
            {"truncated": content[: len(content) // 2], "flipped": content, "longer": content + b"x", "empty": b""}[
                damage
            ]
        )
    with pytest.raises(BundleError, match=name):
        load_bundle(copy)


@pytest.mark.parametrize("position", range(0, 1000, 97))
def test_flipped_byte_anywhere_in_the_model_is_refused(copy, position):
    path = copy / MODEL
    content = bytearray(path.read_bytes())
    content[len(content) * position // 1000] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(BundleError, match=MODEL):
        load_bundle(copy)


def test_forged_weights_are_refused_by_the_golden_vectors(copy):
    """The forger fixes size and hash, but not what the model answers."""
    path = copy / MODEL
    content = bytearray(path.read_bytes())
    start = len(content) // 3
    content[start : start + 200_000] = bytes(200_000)
    path.write_bytes(content)
    rehash(copy, MODEL)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError):
        bundle.open(bundle.artefact("tflite"))


def test_truncated_model_with_a_matching_hash_is_refused(copy):
    path = copy / MODEL
    path.write_bytes(path.read_bytes()[:1000])
    rehash(copy, MODEL)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=MODEL):
        bundle.open(bundle.artefact("tflite"))


def test_other_model_under_the_name_is_refused(copy):
    shutil.copy(DEFAULT_BUNDLE.parent / "face_detection_short_range.tflite", copy / MODEL)
    rehash(copy, MODEL)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=MODEL):
        bundle.open(bundle.artefact("tflite"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("scale", 0.05), ("zero_point", 7)],
)
def test_manifest_that_mislabels_the_input_is_refused(copy, key, value):
    def change(record):
        tensor = next(a for a in record["artefacts"] if a["path"] == MODEL)["input"]
        tensor[key] = value

    edit_manifest(copy, change)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match="the manifest says"):
        bundle.open(bundle.artefact("tflite"))


def test_wrong_preprocessing_is_refused_by_the_golden_vectors(copy):
    edit_manifest(copy, lambda record: record["preprocess"].update(mean=0.0))
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match="golden vectors differ"):
        bundle.open(bundle.artefact("tflite"))


def test_link_inside_the_folder_is_refused(copy, tmp_path):
    outside = tmp_path / "outside.tflite"
    shutil.move(copy / MODEL, outside)
    (copy / MODEL).symlink_to(outside)
    with pytest.raises(BundleError, match="is a link"):
        load_bundle(copy)


@pytest.mark.parametrize("path", ["../secret.tflite", "/etc/passwd.tflite", "..\\secret.tflite", "sub/model.tflite"])
def test_path_out_of_the_bundle_is_refused(copy, path):
    edit_manifest(copy, lambda record: record["artefacts"][0].update(path=path))
    with pytest.raises(BundleError, match="plain file name"):
        load_bundle(copy)


def test_zip_that_unpacks_to_more_than_it_says_is_refused(copy, tmp_path):
    target = zipped(copy, tmp_path / "bomb.zip")
    os.truncate(copy / MODEL, 400_000_000)  # sparse: costs no disk, packs to almost nothing
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(copy.iterdir()):
            archive.write(file, file.name)
    with pytest.raises(BundleError, match="more than"):
        load_bundle(target)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_zip_with_two_members_of_one_name_is_refused(copy, tmp_path):
    target = zipped(copy, tmp_path / "twice.zip")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(MODEL, b"other")
    with pytest.raises(BundleError, match="two members"):
        load_bundle(target)


def member(name: str, *, link=False) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo("name")
    found.filename = found.orig_filename = name
    found.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | 0o644) << 16
    return found


@pytest.mark.parametrize(
    ("extra", "content", "words"),
    [
        (member("README.md", link=True), b"/etc/passwd", "README.md is a link"),
        (member("notes.txt", link=True), b"../notes.txt", "notes.txt is a link"),  # also one that nobody asks for
        (member("readme.MD"), b"other", "two members with the same name"),
        (member("README.md\0.txt"), b"other", "no plain file name"),
        (member("..\\README.md"), b"other", "no plain file name"),
    ],
    ids=["link", "stray link", "case", "NUL", "backslash"],
)
def test_zip_with_a_hostile_member_is_refused_and_nothing_is_unpacked(copy, tmp_path, extra, content, words):
    (copy / extra.filename.split("\0")[0]).unlink(missing_ok=True)  # it stands in its place
    target = zipped(copy, tmp_path / "hostile.zip")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(extra, content)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(BundleError, match=words):
        load_bundle(target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_member_that_claims_ten_gigabytes_is_refused_in_little_memory(copy, tmp_path, method):
    target = tmp_path / "huge.zip"
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(copy.iterdir()):
            archive.write(file, file.name)
        huge = archive.getinfo(MODEL)
        huge.file_size = 10_000_000_000  # what the directory at the end says, written on closing
        huge.compress_size = huge.file_size if method == zipfile.ZIP_STORED else huge.compress_size
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=f"{MODEL} claims 10000000000 bytes"):
            load_bundle(target)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_golden_vectors_with_pickles_are_refused(copy):
    np.savez(copy / "golden.npz", crops=np.array([{"a": 1}], dtype=object))
    rehash(copy, "golden.npz")
    with pytest.raises(BundleError, match=r"golden\.npz"):
        load_bundle(copy)


def forged_golden(*, method=zipfile.ZIP_STORED, name="crops.npy", content=b"", damage=False):
    """A golden.npz as a forger would write it, who also fixes its size and hash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    packed = bytearray(buffer.getvalue())
    if damage:
        packed[45] ^= 0xFF  # inside the packed data of the only member
    return bytes(packed)


def npy_header(shape):
    """The start of a .npy file that promises more than follows."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "golden",
    [
        forged_golden(method=zipfile.ZIP_DEFLATED, content=bytes(5000), damage=True),
        forged_golden(method=zipfile.ZIP_LZMA, content=bytes(range(256)) * 9, damage=True),
        forged_golden(method=zipfile.ZIP_DEFLATED, content=bytes(200_000_000)),
        forged_golden(content=npy_header((10**9, 10**9))),
        forged_golden(content=npy_header((10**15,))),
        forged_golden(content=b"\x93NUMPY\x09\x09"),
        forged_golden(name="crops", content=b"text"),
    ],
    ids=["damaged deflate", "damaged lzma", "bomb", "overflowing shape", "petabyte", "unknown version", "no array"],
)
def test_forged_golden_vectors_are_refused_by_name(copy, golden):
    (copy / "golden.npz").write_bytes(golden)
    rehash(copy, "golden.npz")
    with pytest.raises(BundleError, match=r"golden\.npz"):
        load_bundle(copy)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_zip_with_an_unusual_compression_is_refused(copy, tmp_path, method):
    target = tmp_path / "bundle.zip"
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(copy.iterdir()):
            archive.write(file, file.name)
    with pytest.raises(BundleError, match="stored or deflated"):
        load_bundle(target)


def test_damaged_member_of_a_zip_is_refused(copy, tmp_path):
    target = zipped(copy, tmp_path / "bundle.zip")
    with zipfile.ZipFile(target) as archive:
        start = archive.getinfo("manifest.json").header_offset + 60
    content = bytearray(target.read_bytes())
    content[start : start + 40] = bytes(40)
    target.write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(target)


def test_pipe_inside_the_folder_is_refused_instead_of_waited_for(copy):
    (copy / "README.md").unlink()
    os.mkfifo(copy / "README.md")
    with pytest.raises(BundleError, match="plain files only"):
        load_bundle(copy)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello"])
def test_file_that_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="neither a bundle folder nor a readable zip"):
        load_bundle(path)


def test_lone_model_and_missing_path_are_explained(tmp_path):
    with pytest.raises(BundleError, match="lone model"):
        load_bundle(DEFAULT_BUNDLE / MODEL)
    with pytest.raises(BundleError, match="There is no bundle at"):
        load_bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        load_bundle(tmp_path)


def test_format_that_the_bundle_lacks_is_a_wrong_use(copy):
    edit_manifest(
        copy, lambda record: record.update(artefacts=[a for a in record["artefacts"] if a["format"] == "tflite"])
    )
    with pytest.raises(ConfigError, match="holds no onnx model"):
        load_bundle(copy).artefact("onnx")
