"""What recipes reach, alone and together, and how fast they learn."""

from __future__ import annotations

from typing import Any

from page_tables.cells import made_with, share, table, with_interval


def train_table(runs: list[dict[str, Any]]) -> str:
    """One row a file that benchmarks/train_results.py wrote."""
    rows, notes, changed = [], [], []
    for run in runs:
        private, recipe = run["PrivateTest"], run["recipe"]
        split = "" if recipe["split"] == "usage" else f" ({recipe['split']} split)"
        rows.append([
            f"{run['name']}{split}", f"{run['parameters'] / 1e6:.2f} M", share(run["PublicTest"]), with_interval(private),
            f"{private['macro_f1']:.3f}", f"{run['device']}, {hours(run['seconds'])}",
        ])  # fmt: skip
        if run["changes"]:
            changed.append(f"{run['name']} {', '.join(f'{key} {value}' for key, value in run['changes'].items())}")
        if without := run["without_finetuning"]:
            notes.append(
                f"{run['name']} {share(without['PrivateTest'])} ({run['finetuning_points']:+.1f} points by fine-tuning)"
            )
    others = f" Other settings than the recipe's: {'; '.join(changed)}." if changed else ""
    frozen = f" The same networks without fine-tuning: {'; '.join(notes)}." if notes else ""
    return (
        table(["Recipe", "params", "PublicTest", "PrivateTest (95 %)", "macro-F1", "device, time"], rows)
        + "\n\nSingle crop, float32. PublicTest chose the epoch, PrivateTest was looked at once; for another split than FER2013's "
        f"own they are its validation and test parts. Times are wall time on a machine that also did other work.{frozen}{others}"
    )


def hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def ensemble_table(values: dict[str, Any]) -> str:
    """The runs that answer together, by benchmarks/ensemble.py."""
    rows = [
        [member["name"], f"{member['PublicTest']:.2%}", f"{member['PrivateTest']:.2%}"] for member in values["members"]
    ]
    together = f"**{' + '.join(values['chosen'])}**"
    rows.append([together, share(values["PublicTest"]), with_interval(values["PrivateTest"])])
    return (
        table(["model", "PublicTest", "PrivateTest (95 %)"], rows)
        + f"\n\nSingle crop, float32, the mean of the probabilities; {values['parameters'] / 1e6:.2f} M parameters together, macro-F1 "
        f"{values['PrivateTest']['macro_f1']:.3f}. PublicTest chose among {values['looked_at']} combinations; PrivateTest was looked at for the chosen one."
    )


def train_throughput_table(values: dict[str, Any]) -> str:
    """How fast recipes learn, by benchmarks/train_throughput.py."""
    columns = [
        "recipe", "device, backend", "precision", "batch", "faces/s", "faces/s made ready alone",
        "waits for data, median (range)",
    ]  # fmt: skip
    rows = []
    for entry in values["entries"]:
        backend = f"{entry['backend']} {entry['versions'].get(entry['backend'], '')}".strip()
        waits = entry["waiting"]
        rows.append([
            entry["recipe"], f"{entry['device']}, {backend}", entry["precision"], entry["batch_size"],
            f"{entry['faces_per_s']:,.0f}", f"{entry['faces_per_s_made']:,.0f}",
            f"{waits['median']:.1%} ({waits['min']:.1%} to {waits['max']:.1%})",
        ])  # fmt: skip
    return (
        table(columns, rows)
        + "\n\nFine-tuning stage, through `fit`, against the same steps on one batch that is made once; under 0 is noise."
    )


def read_data_table(values: dict[str, Any]) -> str:
    """How long FER2013 takes to read, by benchmarks/read_data.py."""
    forms = "; ".join(
        f"{name} {form['seconds']:.1f} s, {form['peak_mb']:.0f} MB at the peak"
        for name, form in values["forms"].items()
    )
    return f"Reading all of FER2013, the whole process: {forms} ({made_with(values)})."
