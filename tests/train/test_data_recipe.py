"""What a recipe asks of its data: classes gathered, balanced, FER+ votes, faces aligned, then split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn import TINY, csv_line, drawn_dataset, write_csv, write_folders, write_parquet

from fer_edge_runtime.errors import ConfigError, DataError
from fer_edge_train.config import Data
from fer_edge_train.data import FaceDataset, load_dataset, load_for
from fer_edge_train.ferplus import VOTES

pytestmark = pytest.mark.train
BINARY = {"positive": ("happy",), "negative": ("angry", "fear", "sad")}


@pytest.fixture(scope="module")
def drawn() -> FaceDataset:
    return drawn_dataset(training=10, selection=2, test=3)


def recipe(split: str = "usage", **data: object) -> object:
    return replace(TINY, split=split, data=Data(**data))


def votes_of(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in VOTES]


def write_votes(path: Path, data: FaceDataset, votes: list[list[int]], header: str = "") -> Path:
    names = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    lines = [header or ",".join(["Usage", "Image name", *names])]
    lines += [
        ",".join([str(usage), f"fer{row:07}.png", *map(str, line)])
        for row, (usage, line) in enumerate(zip(data.usage, votes, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


# Classes and balance


def test_plain_recipe_reads_what_load_dataset_reads(tmp_path: Path, drawn: FaceDataset) -> None:
    path = write_parquet(tmp_path / "a.parquet", drawn)
    for split in ("usage", "80-20", "binary-60-20-20"):
        assert load_for(recipe(split), path).digest() == load_dataset(path, split=split).digest()
    root = write_folders(tmp_path / "set", drawn)
    assert load_for(recipe(), root).digest() == load_dataset(root).digest()


def test_classes_are_gathered_and_the_others_left_out(tmp_path: Path, drawn: FaceDataset) -> None:
    read = load_for(recipe(classes=BINARY), write_parquet(tmp_path / "a.parquet", drawn))

    assert read.names == ("positive", "negative")
    assert [list(part.values()) for part in read.counts().values()] == [[10, 30], [2, 6], [3, 9]]
    happy = {image.tobytes() for image in drawn.images[drawn.labels == 3]}
    assert {image.tobytes() for image in read.images[read.labels == 0]} == happy


def test_binary_system_is_balanced_and_split_60_20_20_over_all_rows(tmp_path: Path, drawn: FaceDataset) -> None:
    path = write_parquet(tmp_path / "a.parquet", drawn)
    asked = recipe("binary-60-20-20", classes=BINARY, per_class=15)

    first, again, other = load_for(asked, path), load_for(asked, path), load_for(replace(asked, seed=8), path)

    assert [list(part.values()) for part in first.counts().values()] == [[9, 9], [3, 3], [3, 3]]
    assert first.digest() == again.digest() != other.digest()
    assert len({image.tobytes() for image in first.images}) == 30, "no face twice"


@pytest.mark.parametrize(
    ("data", "error", "expected"),
    [
        ({"classes": {"a": ("happy",), "b": ("angy",)}}, ConfigError, ["'angy'", "Did you mean 'angry'?", "surprise"]),
        ({"classes": {"a": ("happy",), "b": ("happy",)}}, ConfigError, ["'happy' more than once"]),
        ({"classes": BINARY, "per_class": 16}, DataError, ["16 rows", "positive 15, negative 45", "15 or less"]),
    ],
)
def test_what_the_data_cannot_give_is_refused(
    data: dict[str, object], error: type[Exception], expected: list[str], tmp_path: Path, drawn: FaceDataset
) -> None:
    with pytest.raises(error) as caught:
        load_for(recipe(**data), write_parquet(tmp_path / "a.parquet", drawn))

    assert all(part in str(caught.value) for part in expected), caught.value


# FER+


@pytest.fixture(scope="module")
def votes(drawn: FaceDataset) -> list[list[int]]:
    """Eight for the label and two for neutral, but for the first rows."""
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    lines = [votes_of(**{columns[label]: 8, "contempt": 2}) for label in drawn.labels]
    lines[0] = votes_of(sadness=5, anger=5)  # labelled angry
    lines[1] = votes_of(unknown=6, NF=4)
    lines[2] = votes_of(contempt=9, fear=1)
    lines[3] = votes_of(unknown=5, happiness=3, NF=2)
    return lines


def test_soft7_mixes_votes_into_the_training_targets_only(
    tmp_path: Path, drawn: FaceDataset, votes: list[list[int]]
) -> None:
    write_votes(tmp_path / "fer2013new.csv", drawn, votes)
    path = write_csv(tmp_path / "fer2013.csv", drawn)

    read = load_for(recipe(ferplus="soft7", ferplus_weight=0.5), path)

    assert read.targets is not None
    assert read.targets.dtype == np.float32
    assert np.allclose(read.targets.sum(axis=1), 1)
    assert np.array_equal(read.labels, drawn.labels), "the labels stay FER2013's"
    certain = np.eye(7)[drawn.labels]
    assert np.allclose(read.targets[0], [0.75, 0, 0, 0, 0.25, 0, 0])
    assert np.allclose(read.targets[1], certain[1]), "only unknown and not-a-face votes: the label"
    assert np.allclose(read.targets[2], certain[2])
    assert np.allclose(read.targets[drawn.usage != "Training"], certain[drawn.usage != "Training"])
    assert read.digest() == load_dataset(path).digest(), "the same rows: a teacher without votes may teach this student"


def test_soft8_takes_the_majority_and_drops_what_is_no_clear_face(
    tmp_path: Path, drawn: FaceDataset, votes: list[list[int]]
) -> None:
    path = write_csv(tmp_path / "faces.csv", drawn)
    said: list[str] = []

    elsewhere = write_votes(tmp_path / "votes.csv", drawn, votes)
    read = load_for(recipe(ferplus="soft8", ferplus_weight=1.0), path, ferplus=elsewhere, say=said.append)

    assert read.names[-1] == "contempt"
    assert len(read.names) == 8
    assert len(read.labels) == len(drawn.labels) - 2, "rows 1 and 3"
    assert read.labels[:3].tolist() == [0, 7, 4], "a tie goes to the label of FER2013"
    assert read.targets is not None
    assert np.allclose(read.targets[0], [0.5, 0, 0, 0, 0.5, 0, 0, 0])
    assert np.allclose(read.targets[1], [0, 0, 0.1, 0, 0, 0, 0, 0.9])
    assert any(sentence.startswith("2 faces are left out") for sentence in said)


def test_votes_follow_their_rows_past_broken_ones_and_through_classes(
    tmp_path: Path, drawn: FaceDataset, votes: list[list[int]]
) -> None:
    rows = list(zip(drawn.images, drawn.labels, drawn.usage, strict=True))
    lines = ["emotion, Usage, pixels"]
    for number, (face, label, usage) in enumerate(rows):
        emotion, pixels, usage = csv_line(face, 9 if number == 1 else label, usage).split(",")
        lines.append(f"{emotion}, {usage}, {pixels}")
    path = tmp_path / "icml_face_data.csv"
    path.write_text("\n".join(lines) + "\n")
    write_votes(tmp_path / "fer2013new.csv", drawn, votes)
    gathered = {"up": ("happy", "surprise", "disgust"), "down": ("angry", "sad", "fear", "neutral")}

    read = load_for(recipe(ferplus="soft7", classes=gathered), path, skip_bad=True)

    assert len(read.labels) == len(drawn.labels) - 1
    assert read.targets is not None
    assert np.allclose(read.targets[:3], [[0, 1], [0, 1], [1, 0]]), "sad and angry are one class; row 1 is away"
    assert np.allclose(read.targets.sum(axis=1), 1)


def test_votes_of_the_parquet_columns_equal_those_of_the_csv(
    tmp_path: Path, drawn: FaceDataset, votes: list[list[int]]
) -> None:
    columns = {f"ferplus_{name.lower()}": [line[k] for line in votes] for k, name in enumerate(VOTES)}
    parquet = write_parquet(tmp_path / "a.parquet", drawn, **columns)
    csv = write_csv(tmp_path / "fer2013.csv", drawn)
    write_votes(tmp_path / "fer2013new.csv", drawn, votes)

    for mode in ("soft7", "soft8"):
        assert load_for(recipe(ferplus=mode), parquet).digest() == load_for(recipe(ferplus=mode), csv).digest()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path, data, votes: None, ["no", "fer2013new.csv", "--ferplus"]),
        (
            lambda path, data, votes: write_votes(path, replace(data, usage=data.usage[:-1]), votes[:-1]),
            ["104 rows", "105", "same rows"],
        ),
        (lambda path, data, votes: write_votes(path, replace(data, usage=data.usage[::-1]), votes), ["row 0", "same order"]),
        (lambda path, data, votes: write_votes(path, data, votes, header="Usage,neutral"), ["lacks", "happiness", "NF"]),
        (lambda path, data, votes: write_votes(path, data, [*votes[:-1], ["x"] * 10]), ["line 106", "numbers"]),
        (lambda path, data, votes: write_votes(path, data, [*votes[:-1], []]), ["line 106", "numbers"]),
        (lambda path, data, votes: path.write_bytes(b"\xff\xfe\x00"), ["cannot be read as CSV"]),
    ],
)  # fmt: skip
def test_votes_that_are_not_of_these_rows_are_refused(
    change: object, expected: list[str], tmp_path: Path, drawn: FaceDataset, votes: list[list[int]]
) -> None:
    path = write_csv(tmp_path / "fer2013.csv", drawn)
    change(tmp_path / "fer2013new.csv", drawn, votes)

    with pytest.raises(DataError) as caught:
        load_for(recipe(ferplus="soft7"), path)

    assert all(part in str(caught.value) for part in expected), caught.value


def test_folders_have_no_votes(tmp_path: Path, drawn: FaceDataset) -> None:
    with pytest.raises(DataError, match=r"fer2013\.csv.*data\.ferplus = 'none'"):
        load_for(recipe(ferplus="soft7"), write_folders(tmp_path / "set", drawn))


# Alignment


def test_aligned_recipe_straightens_the_faces_that_are_found(tmp_path: Path, drawn: FaceDataset) -> None:
    import cv2
    from places import SAMPLES

    picture = cv2.imread(str(SAMPLES / "astronaut.jpg"), cv2.IMREAD_GRAYSCALE)
    turn = cv2.getRotationMatrix2D((225.0, 130.0), 15, 1)
    leaning = cv2.resize(
        cv2.warpAffine(picture, turn, (512, 512))[65:195, 160:290], (48, 48), interpolation=cv2.INTER_AREA
    )
    images = drawn.images.copy()
    images[::7] = leaning  # every angry face
    path = write_parquet(tmp_path / "a.parquet", replace(drawn, images=images))
    said: list[str] = []
    shown: list[tuple[str, int, int]] = []

    asked = recipe(align="short", classes={"a": ("angry",), "b": ("disgust",)})
    read = load_for(asked, path, say=said.append, progress=lambda *step: shown.append(step))

    assert read.images.shape == (30, 48, 48)
    assert not np.array_equal(read.images[0], leaning)
    assert said[-1].endswith("of 30 faces were found and straightened; the others stay as they are.")
    assert 15 <= int(said[-1].split()[0]) <= 30
    assert shown[-1] == ("aligning faces", 30, 30)
