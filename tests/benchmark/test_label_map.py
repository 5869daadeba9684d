"""Classes of other data sets as labels of a model."""

import json

import pytest

from fer_edge.benchmark.label_map import LEFT_OUT, UNKNOWN, label_numbers, read_map
from fer_edge_runtime.errors import ConfigError, DataError

LABELS = ("angry", "happy", "sad")


def test_pairs_and_files_come_together(tmp_path):
    toml, jsn = tmp_path / "map.toml", tmp_path / "map.json"
    toml.write_text('anger = "angry"\n')
    jsn.write_text(json.dumps({"sadness": "sad"}))
    assert read_map(["happiness=happy", str(toml), str(jsn), "other="]) == {
        "happiness": "happy", "anger": "angry", "sadness": "sad", "other": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["happiness", "map.yaml", "=happy", "missing.toml", "bad.json", "list.json", "numbers.toml"]
)
def test_what_is_no_map_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "numbers.toml").write_text("anger = 3")
    with pytest.raises(ConfigError, match="--map"):
        read_map([text])


def test_class_with_two_labels_is_refused():
    with pytest.raises(ConfigError, match="'anger' more than one"):
        read_map(["anger=angry", "anger=sad"])


def test_names_agree_or_are_mapped_or_left_out():
    found = label_numbers(("sad", "anger", "bored"), LABELS, {"anger": "angry", "bored": ""})
    assert found.tolist() == [2, 0, LEFT_OUT]


def test_class_that_may_be_unknown_is_marked_and_can_still_be_mapped():
    assert label_numbers(("sad", "contempt"), LABELS, {}, may_be_unknown=("contempt",)).tolist() == [2, UNKNOWN]
    assert label_numbers(("sad", "contempt"), LABELS, {"contempt": "angry"}, may_be_unknown=("contempt",)).tolist() == [
        2,
        0,
    ]


def test_class_without_a_label_is_refused_with_the_option_that_helps():
    with pytest.raises(DataError, match="anger, joy are no labels .* --map anger=angry.* --map anger="):
        label_numbers(("anger", "joy", "sad"), LABELS, {})


@pytest.mark.parametrize(
    ("mapping", "said"),
    [({"angr": "angry"}, "class 'angr'.*Did you mean 'anger'"), ({"anger": "agry"}, "Did you mean 'angry'")],
)
def test_misspelt_map_is_refused_with_a_guess(mapping, said):
    with pytest.raises(ConfigError, match=said):
        label_numbers(("anger", "sad"), LABELS, mapping)
