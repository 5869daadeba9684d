"""A recipe is read strictly: what is wrong, where, and what would be right."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge_runtime.errors import ConfigError
from fer_edge_train.config import (
    Augment,
    FineTuneStage,
    HeadStage,
    TrainConfig,
    load_recipe,
    override,
    recipe_names,
    with_settings,
)

pytestmark = pytest.mark.train
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

RECIPE = """
architecture = "mobilenetv2"
input_size = 64
dropout = 0
[augment]
flip = false
[finetune]
epochs = 3
"""


def recipe_file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_shipped_recipes_parse_and_say_everything() -> None:
    assert "mobilenetv2" in recipe_names()
    for name in recipe_names():
        config = load_recipe(name)
        assert config.reproduces
        assert config.expects
        if config.head.epochs and config.finetune.epochs:
            assert config.finetune.learning_rate < config.head.learning_rate


def test_what_a_recipe_expects_is_what_was_measured() -> None:
    results = {path.stem.removeprefix("train_"): json.loads(path.read_text()) for path in RESULTS.glob("train_*.json")}
    for name in recipe_names():
        expects = load_recipe(name).expects
        if name in results:
            assert f"{100 * results[name]['PrivateTest']['accuracy']:.1f} %" in expects
        else:
            assert expects == "not measured yet"


def test_own_recipe_fills_in_the_defaults(tmp_path: Path) -> None:
    config = load_recipe(recipe_file(tmp_path, RECIPE))

    assert (config.input_size, config.dropout, config.batch_size) == (64, 0.0, 64)
    assert isinstance(config.dropout, float)
    assert config.augment == Augment(flip=False)
    assert config.finetune == FineTuneStage(epochs=3)
    assert config.head == HeadStage()


WRONG = {
    "unknown key": ("learning_rat = 1", ["unknown key 'learning_rat'", "Known: architecture"]),
    "misspelt key": ("batchsize = 8", ["unknown key 'batchsize'", "Did you mean 'batch_size'?"]),
    "misspelt nested key": ("head.epoch = 8", ["unknown key 'head.epoch'", "Did you mean 'head.epochs'?"]),
    "key of a table without it": ("noise = 0.1", ["unknown key 'noise'", "Did you mean 'augment.noise'?"]),
    "key of two tables": ("patience = 3", ["Did you mean 'head.patience' or 'finetune.patience'?"]),
    "text for a number": ("batch_size = '8'", ["'batch_size' must be int", "'8'"]),
    "number with a point": ("batch_size = 8.0", ["'batch_size' must be int", "8.0"]),
    "truth for a number": ("width = true", ["'width' must be float", "True"]),
    "number for a truth": ("augment.flip = 1", ["'augment.flip' must be bool", "1"]),
    "value for a table": ("head = 3", ["'head' must be a table", "3"]),
    "out of range": ("dropout = 1.0", ["dropout = 1.0", "not including, 1"]),
    "not a number": ("width = nan", ["width = nan", "above 0"]),
    "infinite": ("finetune.learning_rate = inf", ["finetune.learning_rate = inf", "above 0"]),
    "no rate": ("head.learning_rate = 0", ["head.learning_rate = 0.0", "above 0"]),
    "share above one": ("finetune.unfreeze = 1.5", ["finetune.unfreeze = 1.5", "0 to 1"]),
    "negative patience": ("finetune.patience = -1", ["finetune.patience = -1", "0 (never stops) or more"]),
    "text for a list": ("distill.teachers = 'runs/a'", ["'distill.teachers' must be a list", "'runs/a'"]),
    "text in a list of numbers": ("top.dense = ['256']", ["'top.dense' must be int", "'256'"]),
    "list for a table": ("data.classes = ['happy']", ["'data.classes' must be a table", "happy"]),
    "one class": ("data.classes = {good = ['happy']}", ["data.classes", "at least two classes"]),
    "unknown optimizer": ("head.optimizer = 'lion'", ["head.optimizer = 'lion'", "sgd or adam or adamw"]),
    "width of a network with one": ("architecture_ = 1", ["unknown key 'architecture_'"]),
    "negative seed": ("seed = -1", ["seed = -1", "0 to"]),
    "negative shift": ("augment.shift = -0.1", ["augment.shift = -0.1", "0 to 1"]),
    "input too small": ("input_size = 16", ["input_size = 16", "32 to 512"]),
    "unknown split": ("split = 'random'", ["split = 'random'", "usage or 80-20 or binary-60-20-20"]),
    "unknown class weights": ("class_weights = 'log'", ["class_weights = 'log'", "none or sqrt or balanced"]),
    "nothing to do": ("head.epochs = 0\nfinetune.epochs = 0", ["Both stages have 0 epochs"]),
    "not TOML": ("dropout = ", ["not valid TOML", "line 2"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_recipe_is_refused_with_file_key_and_allowed_values(case: str, tmp_path: Path) -> None:
    text, expected = WRONG[case]
    path = recipe_file(tmp_path, f'architecture = "mobilenetv2"\n{text}\n')

    with pytest.raises(ConfigError) as caught:
        load_recipe(path)

    assert all(part in str(caught.value) for part in [path, *expected]), str(caught.value)


def test_recipe_without_its_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml: the key 'architecture' is missing"):
        load_recipe(recipe_file(tmp_path, "width = 1.0"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"architecture": "inceptionv3", "input_size": 48}, "input_size = 48 is too small for inceptionv3: 75"),
        ({"architecture": "vgg16", "width": 0.5}, "width = 0.5 cannot be used: vgg16 has one width"),
    ],
)
def test_sizes_that_an_architecture_cannot_have_are_refused(values: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        TrainConfig.from_dict(values, where="mine.toml")


def test_settings_change_any_key_with_values_as_in_toml() -> None:
    before = load_recipe("mobilenetv2")

    after = with_settings(
        before,
        [
            "augment.noise=0.05",
            "top.dense=[64, 32]",
            "split=80-20",
            "data.classes.bad=['sad']",
            "data.classes.good=['happy']",
        ],
    )

    assert (after.augment.noise, after.top.dense, after.split) == (0.05, (64, 32), "80-20")
    assert after.data.classes == {"bad": ("sad",), "good": ("happy",)}
    assert after.augment.flip == before.augment.flip
    assert with_settings(before, []) == before


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("augment.noise", "--set needs key=value"),
        ("=1", "--set needs key=value"),
        ("augment.nois=1", "Did you mean 'augment.noise'"),
        ("seed.more=1", "'seed' is a value, not a table"),
        ("augment.noise=much", "'augment.noise' must be float, received 'much'"),
    ],
)
def test_wrong_setting_is_refused(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        with_settings(load_recipe("mobilenetv2"), [setting])


def test_unknown_architecture_is_refused_with_the_closest_match(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no architecture 'mobilenet2'.*Did you mean 'mobilenetv2'"):
        load_recipe(recipe_file(tmp_path, 'architecture = "mobilenet2"'))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v2", "Did you mean 'mobilenetv2'"),
        ("zzz", "Known: .*mobilenetv2.*or a .toml file"),
        ("none.toml", "none.toml cannot be read: No such file"),
    ],
)
def test_unknown_recipe_is_refused_with_the_known_ones(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_recipe(name)


def test_recipe_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xfe\x81")

    with pytest.raises(ConfigError, match="it is not text"):
        load_recipe(str(path))


def test_override_replaces_only_what_is_given() -> None:
    before = load_recipe("mobilenetv2")

    after = override(before, seed=11, batch_size=None, head_epochs=3, finetune_epochs=4)

    assert (after.seed, after.batch_size, after.head.epochs, after.finetune.epochs) == (11, before.batch_size, 3, 4)
    assert after.finetune.learning_rate == before.finetune.learning_rate
    assert override(before, seed=None) == before


def test_override_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size = 0 cannot be used; allowed: 1 or more"):
        override(load_recipe("mobilenetv2"), batch_size=0)


recipes = st.builds(
    TrainConfig,
    architecture=st.just("mobilenetv2"),
    input_size=st.integers(32, 512),
    width=st.floats(0.1, 4),
    split=st.sampled_from(["usage", "80-20"]),
    seed=st.integers(0, 10**9),
    dropout=st.floats(0, 0.99),
    augment=st.builds(Augment, shift=st.floats(0, 1), flip=st.booleans()),
    head=st.builds(HeadStage, epochs=st.integers(0, 9)),
    finetune=st.builds(FineTuneStage, epochs=st.integers(1, 9), unfreeze=st.floats(0, 1)),
)


@given(recipes)
def test_recipe_survives_json_for_any_values(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())), where="config.json") == config


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())
names = st.sampled_from([item.name for item in fields(TrainConfig)]) | st.text(max_size=8)


@given(st.dictionaries(names, scalars | st.dictionaries(st.text(max_size=8), scalars)))
def test_any_table_gives_a_recipe_or_a_config_error(values: dict[str, object]) -> None:
    try:
        config = TrainConfig.from_dict({"architecture": "mobilenetv2"} | values, where="fuzz.toml")
    except ConfigError as error:
        message = str(error)
    else:
        message = "fuzz.toml: fine"
        assert config.head.epochs + config.finetune.epochs > 0
    assert message.startswith("fuzz.toml: ")
