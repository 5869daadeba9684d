"""What a training run is told: a typed recipe, read from TOML, with unknown keys refused."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fer_edge_runtime.errors import ConfigError
from fer_edge_train.architectures import check_architecture

SPLITS = ("usage", "80-20", "binary-60-20-20")
CLASS_WEIGHTS = ("none", "sqrt", "balanced")
SAMPLING = ("all", "balanced")
FERPLUS = ("none", "soft7", "soft8")
ALIGN = ("none", "full", "short")
POOLS = ("average", "flatten")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "plateau")
MONITORS = ("accuracy", "loss")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True, slots=True)
class Data:
    """Which rows are learned and what is asked of them.

    Attributes:
        classes: new class name -> the data set's names it gathers; rows of no class are left out. Empty keeps the data
            set's own classes.
        per_class: keep so many rows of every class, seeded; 0 keeps all.
        ferplus: ``soft7`` mixes the votes of FER+ (arXiv 1608.01041) into the targets of the training rows, the labels stay
            FER2013's; ``soft8`` replaces the labels by the majority of the votes, contempt being the eighth class.
        ferplus_weight: share of the votes in a training target; the label has the rest.
        align: detect and straighten every face first, with this detector of the runtime.
    """

    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    per_class: int = 0
    ferplus: str = "none"
    ferplus_weight: float = 0.5
    align: str = "none"


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of a training face, made inside the graph at the face's own resolution.

    Attributes:
        flip: mirror left and right.
        rotation_degrees: up to this angle either way.
        shift: up to this share of the side, both ways.
        zoom: scale changes up to this share.
        brightness: offset up to this share of the full range.
        contrast: contrast changes up to this share.
        noise: standard deviation of a Gaussian noise layer, in the network's range [-1, 1].
        erase: probability of random erasing (arXiv 1708.04896).
        mixup: alpha of mixup's Beta distribution (arXiv 1710.09412), made before the graph; 0 is none.
        cutmix: alpha of CutMix's Beta distribution (arXiv 1905.04899), made before the graph; 0 is none. With mixup, every
            batch is changed by one of the two.
        camera: probability that a face is made smaller, blurred, compressed, dark or noisy, as a camera gives it.
    """

    flip: bool = True
    rotation_degrees: float = 10.0
    shift: float = 0.08
    zoom: float = 0.1
    brightness: float = 0.15
    contrast: float = 0.2
    noise: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    camera: float = 0.0


@dataclass(frozen=True, slots=True)
class Top:
    """What stands on the backbone: pooling, dense blocks, scores.

    Attributes:
        pool: ``average`` over the map, or ``flatten`` it.
        batch_norm: an extra batch norm after the pooling and after every dense layer.
        dense: units of the dense layers before the scores.
        l2: penalty on their kernels.
        sigmoid: two classes from one logit, trained with binary cross-entropy.
    """

    pool: str = "average"
    batch_norm: bool = False
    dense: tuple[int, ...] = ()
    l2: float = 0.0
    sigmoid: bool = False


@dataclass(frozen=True, slots=True)
class HeadStage:
    """Stage 1: the backbone is frozen, only the new head learns.

    Attributes:
        epochs: at most.
        learning_rate: at the start.
        optimizer: ``sgd`` (Nesterov, momentum 0.9), ``adam`` or ``adamw``.
        schedule: ``constant``, ``cosine`` to zero, or ``plateau`` (a fifth after half the patience without progress).
        weight_decay: decoupled, of AdamW and SGD (arXiv 1711.05101).
        patience: epochs without progress before the stage stops; 0 never stops it.
    """

    epochs: int = 1
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    weight_decay: float = 0.0
    patience: int = 0


@dataclass(frozen=True, slots=True)
class FineTuneStage:
    """Stage 2: the upper layers learn too.

    Attributes:
        unfreeze: share of the backbone's layers that learn, counted from the top, in [0, 1].
        epochs, learning_rate, optimizer, schedule, weight_decay, patience: as in `HeadStage`.
    """

    epochs: int = 10
    learning_rate: float = 2e-4
    unfreeze: float = 0.5
    weight_decay: float = 1e-4
    patience: int = 5
    optimizer: str = "adamw"
    schedule: str = "cosine"


Stage = HeadStage | FineTuneStage


@dataclass(frozen=True, slots=True)
class Distill:
    """Learn from teachers as well (arXiv 1503.02531).

    Attributes:
        teachers: run folders, or ``.npz`` files written by ``fer-edge evaluate --save-probabilities``; averaged.
        weight: share of the teachers in the loss.
        temperature: softens teachers and student alike.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 0.5
    temperature: float = 2.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole recipe. See ``recipes/*.toml`` for the ones that ship.

    Attributes:
        name: of the recipe that was started from; its file's name unless the file says another.
        reproduces: the system that the recipe follows.
        expects: the result to expect, and where.
        architecture: a key of `fer_edge_train.architectures.BACKBONES`.
        weights: of the backbone: ``none``, ``imagenet`` (downloaded by Keras), a ``.weights.h5`` file, the folder of another run, or a
            bundle: the name of a shipped one, a folder or a zip.
        input_size: side of the network's input in pixels; a face of 48 pixels is enlarged to it.
        width: width multiplier of mobilenetv2, cnn4, nano and resnet14.
        split: ``usage`` (FER2013's own), ``80-20`` (a fifth of the training rows selects, the test rows are untouched)
            or ``binary-60-20-20`` (all rows, stratified).
        seed: of everything random.
        batch_size: faces a step.
        dropout: rate before the scores, and after every dense layer.
        label_smoothing: share of the target spread over all classes.
        class_weights: loss weight by inverse class frequency: ``none``, its root ``sqrt``, or ``balanced``.
        sampling: ``balanced`` draws every class equally often, in place of class weights.
        focal: gamma of the focal loss (arXiv 1708.02002); 0 is plain cross-entropy.
        ema: momentum of an average of the weights, which is what is evaluated and kept; 0 is none.
        monitor: what chooses the best epoch and stops a stage: validation ``accuracy`` or ``loss``.
        precision: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``; the kept model is always float32.
    """

    architecture: str
    name: str = ""
    reproduces: str = ""
    expects: str = ""
    weights: str = "none"
    input_size: int = 96
    width: float = 1.0
    split: str = "usage"
    seed: int = 7
    batch_size: int = 64
    dropout: float = 0.3
    label_smoothing: float = 0.1
    class_weights: str = "sqrt"
    sampling: str = "all"
    focal: float = 0.0
    ema: float = 0.0
    monitor: str = "accuracy"
    precision: str = "float32"
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    top: Top = field(default_factory=Top)
    head: HeadStage = field(default_factory=HeadStage)
    finetune: FineTuneStage = field(default_factory=FineTuneStage)
    distill: Distill = field(default_factory=Distill)

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        data, augment, top, distill = self.data, self.augment, self.top, self.distill
        checks = [
            ("input_size", self.input_size, 32 <= self.input_size <= 512, "32 to 512 pixels"),
            ("width", self.width, 0 < self.width <= 4, "above 0, up to 4"),
            ("seed", self.seed, 0 <= self.seed <= 10**9, "0 to 1000000000"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "0 up to, not including, 1"),
            ("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "0 up to, not including, 1"),
            ("focal", self.focal, 0 <= self.focal <= 10, "0 to 10"),
            ("ema", self.ema, 0 <= self.ema < 1, "0 up to, not including, 1"),
            _choice("split", self.split, SPLITS),
            _choice("class_weights", self.class_weights, CLASS_WEIGHTS),
            _choice("sampling", self.sampling, SAMPLING),
            _choice("monitor", self.monitor, MONITORS),
            _choice("precision", self.precision, PRECISIONS),
            ("data.classes", data.classes, len(data.classes) != 1, "none, or at least two classes"),
            ("data.per_class", data.per_class, data.per_class >= 0, "0 or more"),
            _choice("data.ferplus", data.ferplus, FERPLUS),
            ("data.ferplus_weight", data.ferplus_weight, 0 <= data.ferplus_weight <= 1, "0 to 1"),
            _choice("data.align", data.align, ALIGN),
            ("augment.rotation_degrees", augment.rotation_degrees, 0 <= augment.rotation_degrees <= 180, "0 to 180"),
            ("augment.shift", augment.shift, 0 <= augment.shift <= 1, "0 to 1"),
            ("augment.zoom", augment.zoom, 0 <= augment.zoom < 1, "0 up to, not including, 1"),
            ("augment.brightness", augment.brightness, 0 <= augment.brightness <= 1, "0 to 1"),
            ("augment.contrast", augment.contrast, 0 <= augment.contrast <= 1, "0 to 1"),
            ("augment.noise", augment.noise, 0 <= augment.noise <= 1, "0 to 1"),
            ("augment.erase", augment.erase, 0 <= augment.erase <= 1, "0 to 1"),
            ("augment.mixup", augment.mixup, 0 <= augment.mixup <= 10, "0 to 10"),
            ("augment.cutmix", augment.cutmix, 0 <= augment.cutmix <= 10, "0 to 10"),
            ("augment.camera", augment.camera, 0 <= augment.camera <= 1, "0 to 1"),
            _choice("top.pool", top.pool, POOLS),
            ("top.dense", top.dense, all(units >= 1 for units in top.dense), "numbers of units, 1 or more each"),
            ("top.l2", top.l2, 0 <= top.l2 <= 1, "0 to 1"),
            ("distill.weight", distill.weight, 0 <= distill.weight <= 1, "0 to 1"),
            ("distill.temperature", distill.temperature, 0.1 <= distill.temperature <= 100, "0.1 to 100"),
            ("finetune.unfreeze", self.finetune.unfreeze, 0 <= self.finetune.unfreeze <= 1, "0 to 1"),
        ]
        for name, stage in (("head", self.head), ("finetune", self.finetune)):
            checks += [
                (f"{name}.epochs", stage.epochs, stage.epochs >= 0, "0 or more"),
                (f"{name}.learning_rate", stage.learning_rate, 0 < stage.learning_rate <= 10, "above 0, up to 10"),
                (f"{name}.weight_decay", stage.weight_decay, 0 <= stage.weight_decay <= 1, "0 to 1"),
                (f"{name}.patience", stage.patience, stage.patience >= 0, "0 (never stops) or more"),
                _choice(f"{name}.optimizer", stage.optimizer, OPTIMIZERS),
                _choice(f"{name}.schedule", stage.schedule, SCHEDULES),
            ]
        for name, value, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} = {value!r} cannot be used; allowed: {allowed}.")
        check_architecture(self.architecture, self.input_size, self.width)
        if self.head.epochs + self.finetune.epochs == 0:
            raise ConfigError("Both stages have 0 epochs: nothing would be trained.")

    def stages(self) -> tuple[tuple[str, Stage, float], ...]:
        """Name, settings and share of the backbone that learns, of both stages in order."""
        return ("head", self.head, 0.0), ("finetune", self.finetune, self.finetune.unfreeze)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, where: str) -> TrainConfig:
        """Build from parsed TOML or JSON; ``where`` names the file in messages."""
        return _build(cls, values, where)


def recipes() -> dict[str, TrainConfig]:
    """The recipes that ship, by name."""
    return {name: load_recipe(name) for name in recipe_names()}


def recipe_names() -> list[str]:
    """Names that `load_recipe` knows."""
    folder = resources.files("fer_edge_train") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> TrainConfig:
    """A recipe that ships, by name, or one of your own, by path to a TOML file."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"The recipe {path} cannot be read: {reason}.") from error
    elif name_or_path in recipe_names():
        text = (resources.files("fer_edge_train") / "recipes" / f"{name_or_path}.toml").read_text()
    else:
        close = difflib.get_close_matches(name_or_path, recipe_names(), 1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(
            f"There is no recipe '{name_or_path}'. Known: {', '.join(recipe_names())}, or a .toml file.{hint}"
        )
    try:
        values = tomllib.loads(text)
        repr(values)  # a hexadecimal number can be too long to be shown
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, tables in tables in tables
        raise ConfigError(f"The recipe {name_or_path} is not valid TOML: {error}.") from error
    config = TrainConfig.from_dict(values, where=name_or_path)
    return replace(config, name=config.name or path.stem)


def override(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The recipe with some values replaced; None means 'as the recipe says'. Keys of tables are ``head_epochs`` and the like."""
    chosen = {key: value for key, value in changes.items() if value is not None}
    for stage in ("data", "augment", "top", "head", "finetune", "distill"):
        prefix = f"{stage}_"
        nested = {key.removeprefix(prefix): chosen.pop(key) for key in list(chosen) if key.startswith(prefix)}
        if nested:
            chosen[stage] = replace(getattr(config, stage), **nested)
    return replace(config, **chosen)


def with_settings(config: TrainConfig, settings: list[str]) -> TrainConfig:
    """The recipe with ``key=value`` changes applied; keys as in the TOML file (``augment.noise``), values as in TOML.

    A word that is no TOML value is taken as text, so that ``split=80-20`` needs no quotes.
    """
    values = config.to_dict()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (key.strip() and equals):
            raise ConfigError(f"--set needs key=value, such as augment.noise=0.05; received '{setting}'.")
        *tables, last = key.strip().split(".")
        place = values
        for table in tables:
            if not isinstance(place.setdefault(table, {}), dict):
                raise ConfigError(f"--set {setting}: '{table}' is a value, not a table.")
            place = place[table]
        place[last] = _toml_value(text.strip())
    return TrainConfig.from_dict(values, where="--set")


def _toml_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        repr(value)
    except (ValueError, RecursionError):
        return text
    return value


def _build(kind: type, values: dict[str, Any], where: str, prefix: str = "") -> Any:
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = _keys_like(key, hints)
            meant = " or ".join(f"'{prefix}{one}'" for one in close)
            hint = f" Did you mean {meant}?" if close else f" Known: {', '.join(known)}."
            raise ConfigError(f"{where}: unknown key '{prefix}{key}'.{hint}")
        wanted = hints[key]
        if is_dataclass(wanted):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: '{prefix}{key}' must be a table, received {value!r}.")
            built[key] = _build(wanted, value, where, f"{prefix}{key}.")  # type: ignore[arg-type]
            continue
        built[key] = _value(value, wanted, f"{where}: '{prefix}{key}'")
    missing = [item.name for item in fields(kind) if item.name not in built and _required(item)]
    if missing:
        raise ConfigError(f"{where}: the key '{prefix}{missing[0]}' is missing.")
    try:
        return kind(**built)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _keys_like(key: str, hints: dict[str, Any]) -> list[str]:
    """Keys that may have been meant: one of the same name in a table below (``augment.noise`` for ``noise``), or of nearly the same."""
    below = [f"{name}.{key}" for name, kind in hints.items() if is_dataclass(kind) and key in get_type_hints(kind)]
    return below or difflib.get_close_matches(key, list(hints), 1)


def _value(value: Any, wanted: Any, where: str) -> Any:
    """A plain value of the type a field asks for; TOML's arrays become tuples."""
    kind, parts = get_origin(wanted) or wanted, get_args(wanted)
    if kind is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(item, parts[0], where) for item in value)
    if kind is dict and isinstance(value, dict):
        return {key: _value(item, parts[1], where) for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        name = {tuple: "a list", dict: "a table"}.get(kind, kind.__name__)
        raise ConfigError(f"{where} must be {name}, received {value!r}.")
    return value


def _choice(name: str, value: str, known: tuple[str, ...]) -> tuple[str, Any, bool, str]:
    return name, value, value in known, " or ".join(known)


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
