"""What one training run was and how good it became, in plain numbers: for comparisons and for the README's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import DataError
from fer_edge_train.config import TrainConfig
from fer_edge_train.run_folder import RunFolder, read_json

PARTS = ("PublicTest", "PrivateTest")
_FIGURES = (
    "n",
    "accuracy",
    "interval95",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "auc",
    "positive",
    "protocols",
)


def summarise_run(path: Path) -> dict[str, Any]:
    """The facts of a run, finished or not, of any version; what its files do not hold is None.

    Args:
        path: run folder.

    Returns:
        ``name``, ``finished``, ``recipe`` (all options), ``parameters``, ``labels``, ``counts``, ``epochs`` (per stage),
        ``best_epoch``, ``seconds``, ``PublicTest`` and ``PrivateTest`` and ``without_finetuning`` (with accuracy,
        ``interval95``, ``n``, ``macro_f1``, ``f1`` per class, ``protocols``), ``finetuning_points`` (of PrivateTest accuracy),
        ``best_public_accuracy`` (of any epoch), ``device``, ``versions``, ``git_commit``, ``dataset_digest``, ``split_hash``.
        Files are named without their folders.

    Raises:
        DataError: the path is no run folder, or its files are damaged.
        ConfigError: its recipe has keys that this version does not know.
    """
    run = RunFolder(path)
    if not run.config_file.is_file():
        raise DataError(f"{path} is not a run folder: config.json is missing. fer-edge train … --out {path} makes one.")
    record = read_json(run.config_file)
    metrics = read_json(run.metrics_file) if run.metrics_file.is_file() else {}
    try:
        return _summary(path, record, metrics)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The files of the run {path} are not what fer-edge train wrote: {error!r}.") from error


def read_history(path: Path) -> list[dict[str, Any]]:
    """The finished epochs of a run, whether it has ended or not."""
    progress = path / "progress.json"
    return list(read_json(progress).get("history", [])) if progress.is_file() else []


def duration(seconds: float) -> str:
    """Seconds as people say them: ``48 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _summary(path: Path, record: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    config = TrainConfig.from_dict(record["config"], where=str(path / "config.json"))
    history = metrics.get("history") or read_history(path)
    without = metrics.get("without_finetuning")
    versions = record.get("versions", {})
    results = {part: _figures(metrics[part]) if metrics else None for part in PARTS}
    baseline = (
        {"best_epoch": without["best_epoch"], **{part: _figures(without[part]) for part in PARTS}} if without else None
    )
    gained = 100 * (metrics["PrivateTest"]["accuracy"] - without["PrivateTest"]["accuracy"]) if without else None
    return {
        "name": path.resolve().name,
        "finished": bool(metrics),
        "recipe": _without_folders(config, record),
        "parameters": record.get("parameters"),
        "labels": list(record["labels"]),
        "counts": record.get("counts"),
        "epochs": {stage: sum(row["stage"] == stage for row in history) for stage in ("head", "finetune")},
        "best_epoch": metrics.get("best_epoch"),
        "best_public_accuracy": max((row["public_accuracy"] for row in history), default=None),
        "seconds": round(sum(row.get("seconds", 0) for row in history), 1),
        **results,
        "without_finetuning": baseline,
        "finetuning_points": None if gained is None else round(gained, 3),
        "device": versions.get("device") or versions.get("machine"),
        "versions": versions,
        "git_commit": record.get("git_commit"),
        "dataset_digest": record.get("dataset_digest"),
        "split_hash": record.get("split_hash"),
    }


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    kept = {key: result[key] for key in _FIGURES if result.get(key) is not None}
    return {**kept, "f1": {name: row["f1"] for name, row in result["per_class"].items()}}


def _without_folders(config: TrainConfig, record: dict[str, Any]) -> dict[str, Any]:
    """The recipe with files by their names alone; the first version kept the weights beside it."""
    recipe = config.to_dict()
    recipe["weights"] = Path(record.get("weights") or config.weights).name
    recipe["distill"]["teachers"] = [Path(teacher).name for teacher in config.distill.teachers]
    return recipe
