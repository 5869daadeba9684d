#!/usr/bin/env python3
"""Fill the README's tables from the JSON files that hold the numbers; --check only compares.

Accuracy comes from the embedded bundle's manifest (written by `fer-edge export`, measured again by
benchmarks/accuracy.py); times from benchmarks/results (written by benchmarks/stages.py and benchmarks/startup.py).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BUNDLE = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"
RESULTS = ROOT / "benchmarks" / "results"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def accuracy_table() -> str:
    manifest = read(BUNDLE / "manifest.json")
    sizes = {artefact["path"]: artefact["size_bytes"] for artefact in manifest["artefacts"]}
    rows = [
        "| artefact | size | runs on | FER2013 split | n | accuracy (95 % interval) | macro-F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for metric in manifest["metrics"]:
        low, high = metric["interval95"]
        size = f"{sizes[metric['artefact']] / 1e6:.2f} MB" if metric["artefact"] in sizes else "not shipped"
        rows.append(
            f"| {metric['artefact']} ({metric['precision']}) | {size} | {metric['engine']} | {metric['split']} | {metric['n']:,} | "
            f"{metric['accuracy']:.2%} ({low:.1%} to {high:.1%}) | {metric['macro_f1']:.3f} |"
        )
    return "\n".join(rows)


def stages_table() -> str:
    values = read(RESULTS / "stages_full.json")
    machine = values["machine"]
    rows = ["| stage | median ms |", "|---|---|"]
    rows += [f"| {name} | {cost:.2f} |" for name, cost in values["median_ms"].items()]
    rows += [f"| bare {name} model alone | {cost:.2f} |" for name, cost in values["bare_ms"].items()]
    return (
        "\n".join(rows)
        + f"\n\n{values['frame']}; {values['threads']} thread; {machine['cpu']}, {machine['cores']} cores, "
        f"load {machine['load_1min']}; {machine['date']}. The whole is {values['ratio_to_bare']:.2f} times the two bare models; its mean is "
        f"{values['mean_total_ms']:.2f} ms, because every {values['scan_every']}th detection also looks for faces under 50 pixels."
    )


def startup_table() -> str:
    values = read(RESULTS / "startup.json")
    machine = values["machine"]
    rows = ["| whole process | median ms | peak memory MiB |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {cost:.0f} | {values['peak_mib'][name]:.0f} |" for name, cost in values["median_ms"].items()
    ]
    return (
        "\n".join(rows)
        + f"\n\n{values['rounds']} interleaved rounds; {machine['cpu']}, {machine['cores']} cores; {machine['date']}. "
        + " ".join(
            "`{}` takes {:.2f} × `{}`.".format(name.split(" / ")[0], ratio, name.split(" / ")[1])
            for name, ratio in values["ratios"].items()
        )
    )


def train_table() -> str:
    """One row a file that benchmarks/train_results.py wrote."""
    rows = [
        "| Recipe | params | PublicTest | PrivateTest (95 %) | macro-F1 | device, time |",
        "|---|---|---|---|---|---|",
    ]
    notes, changed = [], []
    for path in sorted(RESULTS.glob("train_*.json")):
        run = read(path)
        private, recipe = run["PrivateTest"], run["recipe"]
        low, high = private["interval95"]
        split = "" if recipe["split"] == "usage" else f" ({recipe['split']} split)"
        rows.append(
            f"| {run['name']}{split} | {run['parameters'] / 1e6:.2f} M | {run['PublicTest']['accuracy']:.2%} | "
            f"{private['accuracy']:.2%} ({low:.1%} to {high:.1%}) | {private['macro_f1']:.3f} | "
            f"{run['device']}, {hours(run['seconds'])} |"
        )
        if run["changes"]:
            changed.append(f"{run['name']} {', '.join(f'{key} {value}' for key, value in run['changes'].items())}")
        if without := run["without_finetuning"]:
            notes.append(
                f"{run['name']} {without['PrivateTest']['accuracy']:.2%} ({run['finetuning_points']:+.1f} points by fine-tuning)"
            )
    others = f" Other settings than the recipe's: {'; '.join(changed)}." if changed else ""
    frozen = f" The same networks without fine-tuning: {'; '.join(notes)}." if notes else ""
    return (
        "\n".join(rows)
        + "\n\nSingle crop, float32. PublicTest chose the epoch, PrivateTest was looked at once; for another split than FER2013's "
        f"own they are its validation and test parts. Times are wall time on a machine that also did other work.{frozen}{others}"
    )


def int8_table() -> str:
    """One row a file that benchmarks/int8_results.py wrote."""
    rows = [
        "| run | int8 file | method | float | int8 TFLite | int8 ONNX | lost, points | formats agree | a face in int8, TFLite / ONNX (× float) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    machines = set()
    for path in sorted(RESULTS.glob("int8_*.json")):
        found = read(path)
        private, times, speedup = (
            found["PrivateTest"]["accuracy"],
            found["latency"]["artefacts"],
            found["latency"]["int8_speedup"],
        )
        exact, *rounded = (private[f"model.{name}"] for name in ("fp32.tflite", "int8.tflite", "int8.onnx"))
        costs = " / ".join(
            f"{times[f'model.int8.{kind}']['median_ms']:.2f} ms ({speedup[kind]:.1f})" for kind in ("tflite", "onnx")
        )
        rows.append(
            f"| {named(found)}, {found['input_size']} px | {found['size_bytes']['model.int8.tflite'] / 1e6:.2f} MB | {found['method']} | {exact:.2%} | "
            f"{rounded[0]:.2%} | {rounded[1]:.2%} | {100 * (exact - min(rounded)):+.2f} | {found['formats_agree']:.1%} | {costs} |"
        )
        machines.add(found["latency"]["machine"])
    return (
        "\n".join(rows)
        + "\n\nPrivateTest of FER2013, single crop, by the runtime on the files named (for another split its test part); agreement on "
        f"PublicTest. Times: one thread, float and int8 files taking turns, {', '.join(sorted(machines))}, most of them while it also did other work: "
        "the ratios count. All but "
        "mobilenetv2, cnn4 and inceptionv3 were trained for three epochs only, enough to show what quantization costs them."
    )


def named(found: dict[str, Any]) -> str:
    """A run, and its architecture where the name does not say it."""
    return found["run"] if found["run"] == found["architecture"] else f"{found['run']} ({found['architecture']})"


def quantization_table() -> str:
    """Post-training against quantization-aware, by benchmarks/quantization.py."""
    found = read(RESULTS / "quantization_mobilenetv2.json")
    rows = ["| seed | float | post-training | quantization-aware |", "|---|---|---|---|"]
    gains = []
    for seed, row in found["seeds"].items():
        reached = row["int8_public"]
        gains.append(100 * (reached["quantization-aware training"] - reached["post-training"]))
        rows.append(
            f"| {seed} | {row['float_public']:.2%} | {reached['post-training']:.2%} | {reached['quantization-aware training']:.2%} |"
        )
    return (
        "\n".join(rows)
        + f"\n\n{found['run']}, int8 TFLite on PublicTest, {found['epochs']} epochs. Training gained {sum(gains) / len(gains):+.2f} points on average."
    )


def read_data_table() -> str:
    values = read(RESULTS / "read_data.json")
    machine = values["machine"]
    forms = "; ".join(
        f"{name} {form['seconds']:.1f} s, {form['peak_mb']:.0f} MB at the peak"
        for name, form in values["forms"].items()
    )
    return f"Reading all of FER2013, the whole process: {forms} ({machine['cpu']}, {machine['cores']} cores; {machine['date']})."


def hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


TABLES = {
    "accuracy": accuracy_table,
    "stages": stages_table,
    "startup": startup_table,
    "train": train_table,
    "read_data": read_data_table,
    "int8": int8_table,
    "quantization": quantization_table,
}


def fill(text: str) -> str:
    """The README with every ``<!-- table:NAME -->`` block made anew."""

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table:{name} -->\n{TABLES[name]()}\n<!-- /table -->"

    return re.sub(r"<!-- table:(?P<name>\w+) -->\n.*?<!-- /table -->", one, text, flags=re.DOTALL)


def main() -> None:
    before = README.read_text()
    after = fill(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            sys.exit("README.md's tables are not what the JSON files say. Run: python scripts/readme_tables.py")
        return
    README.write_text(after)


if __name__ == "__main__":
    main()
