"""Every form of a data set gives the same faces, and every broken one a sentence that says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn import csv_line, drawn_dataset, write_csv, write_folders, write_parquet

from fer_edge_runtime.errors import DataError
from fer_edge_train.data import FER2013_LABELS, USAGES, FaceDataset, load_dataset, usable
from fer_edge_train.ferplus import VOTES

pytestmark = pytest.mark.train
FER2013 = Path(__file__).parents[3] / "shared" / "data" / "fer2013.parquet"


@pytest.fixture(scope="module")
def drawn() -> FaceDataset:
    return drawn_dataset(training=10, selection=2, test=3)


@pytest.fixture(scope="module")
def face(drawn: FaceDataset) -> np.ndarray:
    return drawn.images[0]


# Forms


def test_parquet_gives_back_every_row_in_order(tmp_path: Path, drawn: FaceDataset) -> None:
    read = load_dataset(write_parquet(tmp_path / "a.parquet", drawn))

    assert read.images.shape == (105, 48, 48)
    assert read.images.dtype == np.uint8
    assert np.array_equal(read.images, drawn.images)
    assert np.array_equal(read.labels, drawn.labels)
    assert read.usage.tolist() == drawn.usage.tolist()
    assert read.names == FER2013_LABELS


def test_digest_is_equal_across_forms_for_equal_content(tmp_path: Path, drawn: FaceDataset) -> None:
    parquet = load_dataset(write_parquet(tmp_path / "a.parquet", drawn))
    csv = load_dataset(write_csv(tmp_path / "a.csv", drawn))

    assert parquet.digest() == csv.digest() == drawn.digest()


@pytest.mark.parametrize("part", ["images", "labels", "usage", "names"])
def test_digest_changes_with_any_part_of_the_content(drawn: FaceDataset, part: str) -> None:
    images, labels, usage = drawn.images.copy(), drawn.labels.copy(), drawn.usage.copy()
    images[4, 20, 20] ^= 1
    labels[4] = (labels[4] + 1) % 7
    usage[0] = "PublicTest"
    other = {"images": images, "labels": labels, "usage": usage, "names": FER2013_LABELS[::-1]}

    assert replace(drawn, **{part: other[part]}).digest() != drawn.digest()


def test_digest_of_a_known_data_set_stays() -> None:
    y, x = np.mgrid[:48, :48]
    images = np.stack([(x * k + y) % 256 for k in range(1, 5)]).astype(np.uint8)
    known = FaceDataset(images, np.arange(4), np.array(["Training"] * 4), ("a", "b", "c", "d"), "made up")

    assert known.digest() == "df21bf4dc2edf36e0f3714ec90883ea0ae5a0f37a15a11fd38bd0469b88acbae"
    assert replace(known, targets=np.eye(4, dtype=np.float32)).digest() == known.digest()


def test_csv_is_read_with_spaces_in_its_header_blank_lines_and_another_column_order(
    tmp_path: Path, drawn: FaceDataset
) -> None:
    rows = zip(drawn.images, drawn.labels, drawn.usage, strict=True)
    lines = [f"{label}, {usage}, {' '.join(map(str, face.ravel()))}" for face, label, usage in rows]
    path = tmp_path / "icml.csv"
    path.write_text("emotion, Usage, pixels\n\n" + "\n".join(lines) + "\n\n\n")

    assert load_dataset(path).digest() == drawn.digest()


def test_train_and_test_folders_keep_the_test_part(tmp_path: Path, drawn: FaceDataset) -> None:
    read = load_dataset(write_folders(tmp_path / "set", drawn))

    assert read.names == FER2013_LABELS
    counts = {usage: list(per_class.values()) for usage, per_class in read.counts().items()}
    assert counts == {"Training": [8] * 7, "PublicTest": [2] * 7, "PrivateTest": [5] * 7}
    tested = {image.tobytes() for image in drawn.images[drawn.usage != "Training"]}
    assert {image.tobytes() for image in read.part("PrivateTest")[0]} == tested


@pytest.mark.parametrize("validation", ["validation", "val", "PublicTest"])
def test_validation_folder_is_the_selection_part(validation: str, tmp_path: Path, drawn: FaceDataset) -> None:
    root = write_folders(tmp_path / "set", drawn)
    write_folders(tmp_path / "more", replace(drawn, usage=np.full(len(drawn.labels), "Training")))
    (tmp_path / "more" / "train").rename(root / validation)
    (root / "test").rename(root / "Test")

    counts = {usage: list(per_class.values()) for usage, per_class in load_dataset(root).counts().items()}

    assert counts == {"Training": [10] * 7, "PublicTest": [15] * 7, "PrivateTest": [5] * 7}


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".webp", ".tiff", ".ppm", ".gif", ".jp2"])
def test_any_picture_format_and_class_name_is_read(suffix: str, tmp_path: Path, drawn: FaceDataset) -> None:
    for name in ("überrascht & wach", "0"):
        (tmp_path / name).mkdir()
        for number in range(10):
            face = cv2.cvtColor(drawn.images[number], cv2.COLOR_GRAY2BGR)
            encoded = cv2.imencode(suffix.lower(), face)[1].tobytes()
            (tmp_path / name / f"{number}{suffix}").write_bytes(encoded)
        (tmp_path / name / f"._0{suffix}").write_bytes(b"what a Mac leaves behind")

    read = load_dataset(tmp_path)

    assert read.names == ("0", "überrascht & wach")
    assert len(read.images) == 20
    for image in read.images:  # some of these formats lose much, as OpenCV writes them
        assert max(np.corrcoef(image.ravel(), face.ravel())[0, 1] for face in drawn.images[:10]) > 0.9


@pytest.mark.parametrize("name", ["a.jfif", "a", "a.jpg_large", "a.png"])
def test_bytes_say_what_a_picture_is_whatever_its_name(name: str, tmp_path: Path, drawn: FaceDataset) -> None:
    root = write_folders(tmp_path / "set", drawn)
    encoded = cv2.imencode(".jpg", drawn.images[0])[1].tobytes()
    (root / "train" / "happy" / name).write_bytes(encoded)

    assert len(load_dataset(root).images) == len(drawn.images) + 1


def test_class_may_have_underscores_and_what_computers_leave_is_no_class(tmp_path: Path, drawn: FaceDataset) -> None:
    root = write_folders(tmp_path / "set", replace(drawn, names=("__calm__", *FER2013_LABELS[1:])), form="plain")
    (root / "__MACOSX").mkdir()
    (root / "happy" / "Thumbs.db").write_bytes(b"what Windows leaves behind")

    assert load_dataset(root).names[0] == "__calm__"


def test_plain_folders_are_split_in_three(tmp_path: Path, drawn: FaceDataset) -> None:
    names = ("calm", "cross", "glad", "d", "e", "f", "g")
    root = write_folders(tmp_path / "set", replace(drawn, names=names), form="plain")
    (root / ".ipynb_checkpoints").mkdir()
    (root / "glad" / "notes.txt").write_text("not a picture")

    read = load_dataset(root)

    assert read.names == ("calm", "cross", "d", "e", "f", "g", "glad")
    assert [sum(per_class.values()) for per_class in read.counts().values()] == [70, 14, 21]


def test_pictures_of_another_size_and_colour_become_48_grey(tmp_path: Path, drawn: FaceDataset) -> None:
    root = write_folders(tmp_path / "set", drawn)
    large = np.repeat(np.full((200, 300, 1), 90, np.uint8), 3, axis=2)
    for name in FER2013_LABELS:
        cv2.imwrite(str(root / "train" / name / "large.jpg"), large)

    read = load_dataset(root)

    assert read.images.shape == (112, 48, 48)
    assert sum(np.all(abs(image.astype(int) - 90) <= 1) for image in read.images) == 7


# The 80-20 split


def test_80_20_split_is_stratified_seeded_and_leaves_the_test_rows(tmp_path: Path, drawn: FaceDataset) -> None:
    path = write_parquet(tmp_path / "a.parquet", drawn)

    first, again = (load_dataset(path, split="80-20", seed=3) for _ in range(2))
    other = load_dataset(path, split="80-20", seed=4)

    assert [list(part.values()) for part in first.counts().values()] == [[8] * 7, [2] * 7, [5] * 7]
    assert first.digest() == again.digest()
    assert first.usage.tolist() != other.usage.tolist()
    for split in (first, other):  # the rows that were not for training are the test part, whatever the seed
        assert np.array_equal(split.usage == "PrivateTest", drawn.usage != "Training")


def test_80_20_split_of_folders_is_the_one_they_get_anyway(tmp_path: Path, drawn: FaceDataset) -> None:
    root = write_folders(tmp_path / "set", drawn)

    assert load_dataset(root, split="80-20").digest() == load_dataset(root).digest()


def test_parts_are_disjoint_and_complete_for_every_split(tmp_path: Path, drawn: FaceDataset) -> None:
    path = write_parquet(tmp_path / "a.parquet", drawn)
    for split in ("usage", "80-20"):
        read = load_dataset(path, split=split)
        parts = [{image.tobytes() for image in read.part(usage)[0]} for usage in USAGES]
        assert len(parts[0] | parts[1] | parts[2]) == sum(len(part) for part in parts) == len(drawn.images)


def test_60_20_20_split_shares_out_all_rows_of_every_class_by_seed(tmp_path: Path, drawn: FaceDataset) -> None:
    path = write_parquet(tmp_path / "a.parquet", drawn)

    first, again = (load_dataset(path, split="binary-60-20-20", seed=3) for _ in range(2))
    other = load_dataset(path, split="binary-60-20-20", seed=4)

    assert [list(part.values()) for part in first.counts().values()] == [[9] * 7, [3] * 7, [3] * 7]
    assert first.digest() == again.digest()
    assert first.usage.tolist() != other.usage.tolist()
    tested = drawn.usage != "Training"
    assert np.any(first.usage[tested] == "Training"), "all rows are shared out, the test rows too"


# Broken inputs


def csv_with(line: Callable[[np.ndarray], str]) -> Callable[[Path, FaceDataset], Path]:
    return lambda folder, data: write_csv(folder / "a.csv", data, line(data.images[0]))


def with_pixels(text: Callable[[list[str]], list[str]]) -> Callable[[Path, FaceDataset], Path]:
    return csv_with(lambda face: f"3,{' '.join(text(list(map(str, face.ravel()))))},Training")


def text_file(name: str, content: bytes) -> Callable[[Path, FaceDataset], Path]:
    def write(folder: Path, _: FaceDataset) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def parquet_with(name: str, change: Callable[[list], list] | None) -> Callable[[Path, FaceDataset], Path]:
    def write(folder: Path, data: FaceDataset) -> Path:
        path = write_parquet(folder / "good.parquet", data)
        values = None if change is None else change(pq.read_table(path)[name].to_pylist())
        return write_parquet(folder / "a.parquet", data, **{name: values})

    return write


def folders_with(change: Callable[[Path], object]) -> Callable[[Path, FaceDataset], Path]:
    def write(folder: Path, data: FaceDataset) -> Path:
        root = write_folders(folder / "set", data)
        change(root)
        return root

    return write


def put(index: int, value: object) -> Callable[[list], list]:
    return lambda values: [*values[:index], value, *values[index + 1 :]]


def remove_pictures(folder: Path) -> None:
    for picture in folder.rglob("*.png"):
        picture.unlink()


def keep_one_class(root: Path) -> None:
    for name in FER2013_LABELS[1:]:
        (root / "train" / name).rename(root / f"away-{name}")


BROKEN = {
    "missing file": (lambda folder, _: folder / "none.csv", ["no data set at", "none.csv"]),
    "another form": (text_file("a.zip", b"PK"), ["a.zip", "neither a .parquet nor a .csv"]),
    "csv lacks a column": (
        text_file("a.csv", b"emotion,pixels\n0,1 2\n"),
        ["a.csv", "Usage", "found: emotion, pixels"],
    ),
    "csv is empty": (text_file("a.csv", b""), ["a.csv is empty", "emotion, pixels and Usage"]),
    "csv of one class": (
        lambda folder, data: write_csv(folder / "a.csv", replace(data, labels=data.labels * 0 + 3)),
        ["one class only, happy", "at least two"],
    ),
    "csv is not text": (text_file("a.csv", b"\xff\xfe\x00\x81" * 50), ["a.csv", "cannot be read as CSV"]),
    "csv has only a header": (text_file("a.csv", b"emotion,pixels,Usage\n"), ["a.csv", "holds no rows"]),
    "too few pixels": (with_pixels(lambda p: p[:-1]), ["line 107", "'pixels'", "2304 values (48×48)", "found 2303"]),
    "too many pixels": (with_pixels(lambda p: [*p, "7"]), ["line 107", "found 2305"]),
    "pixel 300": (with_pixels(lambda p: [*p[:-1], "300"]), ["line 107", "'pixels' holds 300;", "0 to 255"]),
    "pixel -1": (with_pixels(lambda p: ["-1", *p[1:]]), ["line 107", "holds -1"]),
    "pixel a word": (with_pixels(lambda p: ["x", *p[1:]]), ["line 107", "'pixels' holds x;", "whole numbers"]),
    "pixel beyond 64 bits": (with_pixels(lambda p: ["9" * 40, *p[1:]]), ["line 107", "'pixels'"]),
    "emotion absent": (csv_with(lambda face: csv_line(face, "", "Training")), ["line 107", "emotion ''"]),
    "emotion NaN": (csv_with(lambda face: csv_line(face, "nan", "Training")), ["line 107", "emotion 'nan'"]),
    "emotion 9": (csv_with(lambda face: csv_line(face, 9, "Training")), ["line 107", "emotion '9'", "0 to 6"]),
    "emotion 3.5": (csv_with(lambda face: csv_line(face, 3.5, "Training")), ["line 107", "emotion '3.5'"]),
    "usage unknown": (csv_with(lambda face: csv_line(face, 1, "Test")), ["line 107", "usage 'Test'", "PublicTest"]),
    "line cut short": (csv_with(lambda _: "3"), ["line 107", "found 0"]),
    "parquet is not parquet": (text_file("a.parquet", b"PAR1 but not really"), ["a.parquet", "not a parquet file"]),
    "parquet lacks a column": (parquet_with("emotion", None), ["a.parquet", "emotion"]),
    "parquet emotion null": (parquet_with("emotion", put(5, None)), ["row 5", "emotion None"]),
    "parquet emotion 9": (parquet_with("emotion", put(5, 9)), ["row 5", "emotion 9"]),
    "parquet emotion text": (parquet_with("emotion", lambda v: ["sad"] * len(v)), ["row 0", "emotion 'sad'"]),
    "parquet usage unknown": (parquet_with("usage", put(6, "train")), ["row 6", "usage 'train'"]),
    "parquet usage null": (parquet_with("usage", put(6, None)), ["row 6", "usage 'None'"]),
    "broken WebP": (parquet_with("image", lambda v: put(3, v[3][:40])(v)), ["row 3", "not a picture", "40 bytes"]),
    "no WebP": (parquet_with("image", put(3, None)), ["row 3", "0 bytes"]),
    "images as text": (parquet_with("image", lambda v: ["a.png"] * len(v)), ["'image' holds string", "binary"]),
    "no selection rows": (parquet_with("usage", lambda v: ["Training"] * len(v)), ["PublicTest", "split = '80-20'"]),
    "empty folder": (lambda folder, _: folder, ["0 class folder(s)", "at least two"]),
    "one class": (folders_with(keep_one_class), ["1 class folder(s)"]),
    "no pictures": (folders_with(remove_pictures), ["no pictures", ".jpg"]),
    "one class without pictures": (
        folders_with(lambda r: remove_pictures(r / "train" / "sad")),
        ["train/sad", "no pic"],
    ),
    "unknown test class": (folders_with(lambda r: (r / "test/joy").mkdir()), ["test/joy", "no such class", "happy"]),
    "unreadable picture": (folders_with(lambda r: (r / "train/sad/z.png").write_bytes(b"no")), ["z.png", "not a pic"]),
    "empty picture": (folders_with(lambda r: (r / "train/sad/z.png").touch()), ["z.png", "0 bytes"]),
    "dangling link": (folders_with(lambda r: (r / "train/sad/z.png").symlink_to(r / "x")), ["z.png", "cannot be read"]),
    "folder in a class folder": (
        folders_with(lambda r: (r / "train/sad/anna").mkdir()),
        ["sad/anna", "a folder inside"],
    ),
    "picture of a phone": (
        folders_with(lambda r: (r / "train/sad/z.HEIC").write_bytes(b"ftypheic")),
        ["z.HEIC", "OpenCV"],
    ),
    "votes without faces": (
        text_file("fer2013new.csv", ("Usage,Image name," + ",".join(VOTES)).encode()),
        ["votes of FER+, no faces", "--ferplus"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_is_refused_with_its_place(case: str, tmp_path: Path, drawn: FaceDataset) -> None:
    write, expected = BROKEN[case]
    path = write(tmp_path, drawn)

    with pytest.raises(DataError) as caught:
        load_dataset(path)

    message = str(caught.value)
    assert all(part in message for part in expected), message
    assert len(message) < 900, "for a person"


def test_all_broken_rows_are_listed_up_to_ten_and_skipped_when_asked(tmp_path: Path, drawn: FaceDataset) -> None:
    bad = [csv_line(drawn.images[0], code, "Training") for code in range(7, 20)]
    path = write_csv(tmp_path / "a.csv", drawn, *bad, "1,2 3,Training", csv_line(drawn.images[0], 2, "Training"))

    with pytest.raises(DataError) as caught:
        usable(path)
    said: list[str] = []
    rows = usable(path, skip_bad=True, say=said.append)

    message = str(caught.value)
    assert "14 of 120 rows cannot be used" in message
    assert [f"line {number}:" in message for number in (107, 116, 117)] == [True, True, False]
    assert "and 4 more" in message
    assert "--skip-bad" in message
    assert len(rows.places) == len(rows.faces.labels) == 106
    assert rows.places[-1] == "line 121"
    assert rows.positions[-1] == 119
    assert "14 of 120" in said[0]


def test_nothing_is_skipped_to_less_than_two_classes(tmp_path: Path, drawn: FaceDataset) -> None:
    one = replace(drawn, labels=drawn.labels * 0)

    with pytest.raises(DataError, match="Fewer than two classes are left"):
        usable(write_csv(tmp_path / "a.csv", one, "1,2 3,Training"), skip_bad=True)


def test_picture_that_promises_too_many_pixels_is_refused(tmp_path: Path, drawn: FaceDataset) -> None:
    bomb = b"P5 60000 60000 255\n" + b"\0" * 100  # PGM under another name: OpenCV looks at the content
    root = write_folders(tmp_path / "set", drawn)
    (root / "train" / "sad" / "bomb.bmp").write_bytes(bomb)

    with pytest.raises(DataError, match=r"bomb\.bmp"):
        load_dataset(root)


def test_large_binary_images_are_read(tmp_path: Path, drawn: FaceDataset) -> None:
    from drawn import webp

    images = pa.array([webp(face) for face in drawn.images], pa.large_binary())

    assert load_dataset(write_parquet(tmp_path / "a.parquet", drawn, image=images)).digest() == drawn.digest()


@pytest.mark.slow
@pytest.mark.skipif(not FER2013.is_file(), reason=f"needs {FER2013}, which may not be passed on")
def test_fer2013_has_the_published_counts() -> None:
    counts = load_dataset(FER2013).counts()

    assert [sum(part.values()) for part in counts.values()] == [28_709, 3_589, 3_589]
    assert list(counts["Training"].values()) == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert list(counts["PublicTest"].values()) == [467, 56, 496, 895, 653, 415, 607]
    assert list(counts["PrivateTest"].values()) == [491, 55, 528, 879, 594, 416, 626]
