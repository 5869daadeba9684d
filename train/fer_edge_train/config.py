"""What a training run is told: a typed recipe, read from TOML, with unknown keys refused."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from fer_edge_runtime.errors import ConfigError
from fer_edge_train.architectures import check_architecture

SPLITS = ("usage", "80-20")
CLASS_WEIGHTS = ("none", "sqrt", "balanced")


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
    """

    flip: bool = True
    rotation_degrees: float = 10.0
    shift: float = 0.08
    zoom: float = 0.1
    brightness: float = 0.15
    contrast: float = 0.2


@dataclass(frozen=True, slots=True)
class HeadStage:
    """Stage 1: the backbone is frozen, only the new head learns."""

    epochs: int = 1
    learning_rate: float = 1e-3


@dataclass(frozen=True, slots=True)
class FineTuneStage:
    """Stage 2: the upper layers learn too.

    Attributes:
        unfreeze: share of the backbone's layers that learn, counted from the top, in [0, 1].
        learning_rate: start of a cosine to zero.
        weight_decay: decoupled (AdamW, arXiv 1711.05101).
        patience: epochs without a better validation accuracy before the stage stops.
    """

    epochs: int = 10
    learning_rate: float = 2e-4
    unfreeze: float = 0.5
    weight_decay: float = 1e-4
    patience: int = 5


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole recipe. See ``recipes/*.toml`` for the ones that ship."""

    architecture: str
    input_size: int = 96
    width: float = 1.0
    split: str = "usage"
    seed: int = 7
    batch_size: int = 64
    dropout: float = 0.3
    label_smoothing: float = 0.1
    class_weights: str = "sqrt"
    augment: Augment = field(default_factory=Augment)
    head: HeadStage = field(default_factory=HeadStage)
    finetune: FineTuneStage = field(default_factory=FineTuneStage)

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        check_architecture(self.architecture)
        augment, head, finetune = self.augment, self.head, self.finetune
        checks = (
            ("input_size", self.input_size, 32 <= self.input_size <= 512, "32 to 512 pixels"),
            ("width", self.width, 0 < self.width <= 4, "above 0, up to 4"),
            ("seed", self.seed, 0 <= self.seed <= 10**9, "0 to 1000000000"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "0 up to, not including, 1"),
            ("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "0 up to, not including, 1"),
            ("split", self.split, self.split in SPLITS, " or ".join(SPLITS)),
            ("class_weights", self.class_weights, self.class_weights in CLASS_WEIGHTS, " or ".join(CLASS_WEIGHTS)),
            ("augment.rotation_degrees", augment.rotation_degrees, 0 <= augment.rotation_degrees <= 180, "0 to 180"),
            ("augment.shift", augment.shift, 0 <= augment.shift <= 1, "0 to 1"),
            ("augment.zoom", augment.zoom, 0 <= augment.zoom < 1, "0 up to, not including, 1"),
            ("augment.brightness", augment.brightness, 0 <= augment.brightness <= 1, "0 to 1"),
            ("augment.contrast", augment.contrast, 0 <= augment.contrast <= 1, "0 to 1"),
            ("head.epochs", head.epochs, head.epochs >= 0, "0 or more"),
            ("head.learning_rate", head.learning_rate, 0 < head.learning_rate <= 10, "above 0, up to 10"),
            ("finetune.epochs", finetune.epochs, finetune.epochs >= 0, "0 or more"),
            ("finetune.learning_rate", finetune.learning_rate, 0 < finetune.learning_rate <= 10, "above 0, up to 10"),
            ("finetune.unfreeze", finetune.unfreeze, 0 <= finetune.unfreeze <= 1, "0 to 1"),
            ("finetune.weight_decay", finetune.weight_decay, 0 <= finetune.weight_decay <= 1, "0 to 1"),
            ("finetune.patience", finetune.patience, finetune.patience >= 1, "1 or more"),
        )
        for name, value, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} = {value!r} cannot be used; allowed: {allowed}.")
        if self.head.epochs + self.finetune.epochs == 0:
            raise ConfigError("Both stages have 0 epochs: nothing would be trained.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, where: str) -> TrainConfig:
        """Build from parsed TOML or JSON; ``where`` names the file in messages."""
        return _build(cls, values, where)


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
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {name_or_path} is not valid TOML: {error}.") from error
    return TrainConfig.from_dict(values, where=name_or_path)


def override(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The recipe with some values replaced; None means 'as the recipe says'. Stage keys are ``head_epochs`` and the like."""
    chosen = {key: value for key, value in changes.items() if value is not None}
    for stage in ("head", "finetune"):
        prefix = f"{stage}_"
        nested = {key.removeprefix(prefix): chosen.pop(key) for key in list(chosen) if key.startswith(prefix)}
        if nested:
            chosen[stage] = replace(getattr(config, stage), **nested)
    return replace(config, **chosen)


def _build(kind: type, values: dict[str, Any], where: str, prefix: str = "") -> Any:
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" Did you mean '{prefix}{close[0]}'?" if close else f" Known: {', '.join(known)}."
            raise ConfigError(f"{where}: unknown key '{prefix}{key}'.{hint}")
        wanted = hints[key]
        if is_dataclass(wanted):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: '{prefix}{key}' must be a table, received {value!r}.")
            built[key] = _build(wanted, value, where, f"{prefix}{key}.")  # type: ignore[arg-type]
            continue
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise ConfigError(f"{where}: '{prefix}{key}' must be {wanted.__name__}, received {value!r}.")
        built[key] = value
    missing = [item.name for item in fields(kind) if item.name not in built and _required(item)]
    if missing:
        raise ConfigError(f"{where}: the key '{prefix}{missing[0]}' is missing.")
    try:
        return kind(**built)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
