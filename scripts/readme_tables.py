#!/usr/bin/env python3
"""Fill the tables of README.md, the guides and SECURITY.md from the JSON files that hold the numbers; --check only compares.

Accuracy comes from the embedded bundle's manifest (written by `fer-edge export`, measured again by
benchmarks/accuracy.py); times from benchmarks/results (written by benchmarks/stages.py and benchmarks/startup.py).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from reliability_table import reliability_line as line_of_faults
from reliability_table import reliability_table as table_of_faults

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / name for name in ("README.md", "SECURITY.md", "train/README.md", "export/README.md", "benchmarks/RESULTS.md")
]
BUNDLE = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "default"
RESULTS = ROOT / "benchmarks" / "results"
NOT_MEASURED = "Not measured yet."
OF_SHIPPED_MODELS = ("stages_full", "flagships", "robustness", "pi_emulated", "boards", "limit", "sweep")
OWN_ROWS = "; models of two classes on the test rows of their own recipe, which fer's model may have learned from"


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


def made_with(values: dict[str, Any]) -> str:
    """Machine, versions and date of a file of benchmarks/results, as far as it has them."""
    machine = values["machine"]
    parts = [machine["cpu"], f"{machine['cores']} cores"]
    parts += [f"load {machine['load_1min']}"] if "load_1min" in machine else []
    versions = versions_of(machine)
    return "; ".join([", ".join(parts), *([versions] if versions else []), machine["date"]])


def versions_of(machine: dict[str, Any]) -> str:
    """Such as ``fer-edge 0.1.0 (058539c12ab3), numpy 2.4.6, Python 3.11.7``."""
    versions = dict(machine.get("versions", {}))
    if "fer-edge" in versions and machine.get("commit"):
        versions["fer-edge"] += f" ({machine['commit']})"
    return ", ".join(
        f"{name} {found}" for name, found in [*versions.items(), ("Python", machine.get("python"))] if found
    )


def stages_table() -> str:
    values = read(RESULTS / "stages_full.json")
    rows = ["| stage | median ms |", "|---|---|"]
    rows += [f"| {name} | {cost:.2f} |" for name, cost in values["median_ms"].items()]
    rows += [f"| bare {name} model alone | {cost:.2f} |" for name, cost in values["bare_ms"].items()]
    return (
        "\n".join(rows)
        + f"\n\n{values['frame']}; {values['threads']} thread; {made_with(values)}. The whole is {values['ratio_to_bare']:.2f} times the two bare models; its mean is "
        f"{values['mean_total_ms']:.2f} ms, because every {values['scan_every']}th detection also looks for faces under 50 pixels."
    )


def startup_table() -> str:
    values = read(RESULTS / "startup.json")
    rows = ["| whole process | median ms | peak memory MiB |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {cost:.0f} | {values['peak_mib'][name]:.0f} |" for name, cost in values["median_ms"].items()
    ]
    return (
        "\n".join(rows)
        + f"\n\n{values['rounds']} interleaved rounds; {made_with(values)}. "
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


def ensemble_table() -> str:
    """The runs that answer together, by benchmarks/ensemble.py."""
    if (values := measured("ensemble")) is None:
        return NOT_MEASURED
    rows = ["| model | PublicTest | PrivateTest (95 %) |", "|---|---|---|"]
    for member in values["members"]:
        rows.append(f"| {member['name']} | {member['PublicTest']:.2%} | {member['PrivateTest']:.2%} |")
    rows.append(
        f"| **{' + '.join(values['chosen'])}** | {share(values['PublicTest'])} | {with_interval(values['PrivateTest'])} |"
    )
    return (
        "\n".join(rows)
        + f"\n\nSingle crop, float32, the mean of the probabilities; {values['parameters'] / 1e6:.2f} M parameters together, macro-F1 "
        f"{values['PrivateTest']['macro_f1']:.3f}. PublicTest chose among {values['looked_at']} combinations; PrivateTest was looked at for the chosen one."
    )


def train_throughput_table() -> str:
    """How fast recipes learn, by benchmarks/train_throughput.py."""
    if (values := measured("throughput")) is None:
        return NOT_MEASURED
    rows = [
        "| recipe | device, backend | precision | batch | faces/s | faces/s made ready alone | waits for data, median (range) |",
        "|---|---|---|---|---|---|---|",
    ]
    for e in values["entries"]:
        backend = f"{e['backend']} {e['versions'].get(e['backend'], '')}".strip()
        waits = e["waiting"]
        rows.append(
            f"| {e['recipe']} | {e['device']}, {backend} | {e['precision']} | {e['batch_size']} | {e['faces_per_s']:,.0f} | "
            f"{e['faces_per_s_made']:,.0f} | "
            f"{waits['median']:.1%} ({waits['min']:.1%} to {waits['max']:.1%}) |"
        )
    return (
        "\n".join(rows)
        + "\n\nFine-tuning stage, through `fit`, against the same steps on one batch that is made once; under 0 is noise."
    )


def int8_table() -> str:
    """One row a file that benchmarks/int8_results.py wrote."""
    rows = [
        "| run | int8 file | method | float | int8 TFLite | int8 ONNX | lost, points | formats agree | a face in int8, TFLite / ONNX (× float) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    machines, versions = set(), set()
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
        versions.add(versions_of(found["machine"]))
    return (
        "\n".join(rows)
        + "\n\nPrivateTest of FER2013, single crop, by the runtime on the files named (for another split its test part); agreement on "
        f"PublicTest. Times: one thread, float and int8 files taking turns, {', '.join(sorted(machines))}, most of them while it also did other work: "
        "the ratios count. All but "
        "mobilenetv2, cnn4 and inceptionv3 were trained for three epochs only, enough to show what quantization costs them. "
        f"Reports kept with {' and with '.join(sorted(versions))}."
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
    forms = "; ".join(
        f"{name} {form['seconds']:.1f} s, {form['peak_mb']:.0f} MB at the peak"
        for name, form in values["forms"].items()
    )
    return f"Reading all of FER2013, the whole process: {forms} ({made_with(values)})."


def flagships_table() -> str:
    """The shipped models and fer's, by benchmarks/flagships.py."""
    if (values := measured("flagships")) is None:
        return NOT_MEASURED
    rows = [
        "| model | size | a face (× fer) | FER2013, single crop (95 %) | flip | TenCrop | macro-F1 | disgust F1 | ECE | FER+, 8 classes | FER+, known classes | happy against angry, fear, sad |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for model in values["models"]:
        own, votes, pair = (model.get(key) for key in ("fer2013", "ferplus", "binary"))
        cells = [
            model["name"], f"{model['size_bytes'] / 1e6:.2f} MB", f"{model['median_ms']:.2f} ms ({model['ratio_to_peer']:.2f})",
            with_interval(own), *(share(own and own["protocols"].get(name)) for name in ("flip", "TenCrop")),
            *(f"{value:.3f}" if value is not None else "" for value in ((own or {}).get("macro_f1"), (own or {}).get("f1", {}).get("disgust"), (own or {}).get("ece"))),
            share(votes and votes["all"]), share(votes), beside_peer(pair),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    peer = values["models"][-1]
    own_rows = any("peer" in model.get("binary", {}) for model in values["models"])
    return (
        "\n".join(rows)
        + f"\n\nPrivateTest, {peer['fer2013']['n']:,} faces, the same for all, measured by the runtime in one process; {values['peer']}'s model is a mini_XCEPTION whose "
        f"training is not known to have left PrivateTest aside. FER+ is the majority of ten votes ({peer['ferplus']['all']['n']:,} faces that it keeps); "
        f"nobody here knows contempt, which counts as wrong among the 8 classes ({peer['ferplus']['n']:,} faces without it). The pair has as many "
        f"faces of either side ({peer['binary']['n']:,}{OWN_ROWS if own_rows else ''}). Times: the network alone, one thread, the models taking turns, "
        f"{made_with(values)}."
    )


def measured(name: str) -> dict[str, Any] | None:
    """A file of benchmarks/results, where it is there."""
    path = RESULTS / f"{name}.json"
    return read(path) if path.is_file() else None


def beside_peer(pair: dict[str, Any] | None) -> str:
    """A figure over the pair; of a two-class model over its own rows, with the peer's over the same."""
    if pair is None or "peer" not in pair:
        return with_interval(pair)
    return f"{with_interval(pair)} of {pair['n']:,} own test faces; fer {with_interval(pair['peer'])}"


def share(found: dict[str, Any] | None) -> str:
    return f"{found['accuracy']:.2%}" if found else ""


def with_interval(found: dict[str, Any] | None) -> str:
    return f"{found['accuracy']:.2%} ({found['interval95'][0]:.1%} to {found['interval95'][1]:.1%})" if found else ""


def robustness_table() -> str:
    """Points lost under every change, by benchmarks/robustness.py."""
    if (values := measured("robustness")) is None:
        return NOT_MEASURED
    names = list(values["accuracy"]["none"])
    rows = [f"| change | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    rows.append(f"| none | {' | '.join(share(values['accuracy']['none'][name]) for name in names)} |")
    for change, points in values["lost_points"].items():
        cells = (f"{share(values['accuracy'][change][name])} ({-points[name]:+.1f})" for name in names)
        rows.append(f"| {change} | {' | '.join(cells)} |")
    return (
        "\n".join(rows)
        + f"\n\n{values['split']}, {values['n']:,} faces, int8 TFLite, single crop; in brackets the points against the unchanged faces. {more_lost(values)} Measured on {made_with(values)}."
    )


def more_lost(values: dict[str, Any]) -> str:
    """Where a shipped model loses more points than the peer, in words."""
    peer, lost = values["peer"], values["lost_points"]
    sentences = []
    for name in values["accuracy"]["none"]:
        worse = [change for change, points in lost.items() if points[name] > points[peer]]
        if name != peer:
            sentences.append(f"{name} loses more points than {peer} on: {', '.join(worse) or 'none of them'}.")
    return " ".join(sentences)


def peers_table() -> str:
    """Whole packages side by side, by benchmarks/peers.py; a machine at work gives no figures for this table."""
    values = measured("peers")
    if values is None or values["machine_busy"] or not values["valid"]:
        return NOT_MEASURED
    clips = list(dict.fromkeys(name for case in values["cases"] for name in case["clips"]))
    rows = [
        f"| package | on disk | cold start | peak memory | {' | '.join(f'frames/s, {name}' for name in clips)} | PrivateTest |",
        f"|---|---|---|---|{'---|' * len(clips)}---|",
    ]
    for case in values["cases"]:
        rates = (f"{clip['frames_per_s']['median']:.1f} ({clip['faces_found']:.0%})" for clip in case["clips"].values())
        rows.append(
            f"| {case['name']} | {case['install']['size_bytes'] / 1e6:,.0f} MB | {case['cold_start_s']['median']:.2f} s | "
            f"{case['peak_mib']['median']:.0f} MiB | {' | '.join(rates)} | {share(accuracy_of(values, case['name']))} |"
        )
    machine, settings = values["machine"], values["settings"]
    used = "; ".join(f"{case['name']}: `{case['words'].split(':')[0]}`" for case in values["cases"])
    return (
        "\n".join(rows)
        + f"\n\n{used}. Versions: {peer_versions(values)}. Each in a clean environment; {settings['rounds']} rounds in rotating order, medians. Cold start: from "
        "starting Python to the first labelled face, files cached. Frames/s end to end without decoding, the same frames for all; in brackets the "
        f"share of the faces that were found. {machine['cpu']}, {machine['cores']} cores, load {machine['before']['load_1min']}; "
        f"{machine['before']['date'][:10]}. {goal_sentences(values)}"
    )


def accuracy_of(values: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The accuracy of a case, which may be that of another case or stand in another file."""
    cases = {case["name"]: case for case in values["cases"]}
    found = cases[cases[name]["classifier_of"] or name]["accuracy"]
    if found and "file" in found:
        models = {model["name"]: model for model in read(RESULTS / found["file"])["models"]}
        return models[found["model"]]["fer2013"]
    return found


def peer_versions(values: dict[str, Any]) -> str:
    """What each package runs on, once a package."""
    shown = {}
    for case in values["cases"]:
        packages = case["install"]["packages"]
        own = ("tensorflow", "torch", "ai-edge-litert", "opencv-contrib-python", "opencv-python-headless", "numpy")
        parts = ", ".join(f"{name} {packages[name]}" for name in own if name in packages)
        shown[case["peer"]] = (
            f"{case['peer']} {packages.get(case['peer'], '')} ({parts}, Python {case['install']['python']})"
        )
    return "; ".join(shown.values())


def goal_sentences(values: dict[str, Any]) -> str:
    """Ratios to `fer` with its default detector, and whether the goals are met."""
    sentences = []
    for goal in values["goals"]:
        found = goal["found"]
        low, middle, high = (f"{found[key]:.3g}" for key in ("min", "median", "max"))
        verdict = "met" if goal["met"] else "missed"
        sentences.append(f"{goal['what']} {middle} × `fer`'s ({low} to {high}; goal {goal['asked']}, {verdict})")
    ours, theirs = (accuracy_of(values, name) for name in ("fer-edge", "fer"))
    if ours and theirs:
        points = 100 * (ours["accuracy"] - theirs["accuracy"])
        sentences.append(f"accuracy {points:+.1f} points (goal > 0, {'met' if points > 0 else 'missed'})")
    return f"fer-edge against `fer` with its default detector: {'; '.join(sentences)}.{film_sentence(values)}"


def film_sentence(values: dict[str, Any]) -> str:
    """The ratio of what `fer-edge run` does with a film, which the goals do not count."""
    clips = {case["name"]: case["clips"] for case in values["cases"]}
    if not {"fer-edge, video", "fer"} <= set(clips):
        return ""
    rates = [
        found["frames_per_s"]["median"] / clips["fer"][name]["frames_per_s"]["median"]
        for name, found in clips["fer-edge, video"].items()
    ]
    return f" As `fer-edge run` looks at films, not counted by the goals: {min(rates):.1f} to {max(rates):.1f} × `fer`'s frames/s."


def boards_table() -> str:
    """An estimate, by benchmarks/boards.py."""
    values = read(RESULTS / "boards.json")
    columns = list(values["rows"][0]["frames_per_s"])
    rows = [
        f"| board | model | a face, ms | detection, ms | rest, ms | {' | '.join(f'{name}, frames/s' for name in columns)} |",
        f"|---|---|---|---|---|{'---|' * len(columns)}",
    ]
    for row in values["rows"]:
        low_high = [f"{low:.0f} to {high:.0f}" for low, high in (row["frames_per_s"][name] for name in columns)]
        rows.append(
            f"| {row['board']} | {row['bundle']} | {spread(row['classify_ms'])} | {spread(row['detect_ms'])} | "
            f"{row['rest_ms']:.0f} | {' | '.join(low_high)} |"
        )
    sources = "; ".join(
        sorted({f"{model} {ms:g} ms on a {board} ({source})" for board, model, ms, source in values["anchors"]})
    )
    return (
        "\n".join(rows)
        + f"\n\n**Estimates, not measurements**: our operation counts divided by the rates of published times. {sources}. The slowest of the "
        "anchors to the fastest; an operation counts the same in every layer, though the dense convolutions of nano and binary reach a higher rate than "
        "MobileNetV1's depthwise ones, so their rows are rather too slow. The rest of a frame is this machine's, times the board's slowdown with one and the same network "
        f"({'; '.join(dict.fromkeys(row['basis'] for row in values['rows']))})."
    )


def limit_table() -> str:
    """How much of a core's int8 rate the layers reach, by benchmarks/limit.py."""
    if (values := measured("limit")) is None:
        return NOT_MEASURED
    rows = ["| layers | number | million MACs | µs | of the peak |", "|---|---|---|---|---|"]
    for kind, group in values["groups"].items():
        reached = f"{group['share']:.0%}" if group["mmacs"] else ""
        rows.append(f"| {kind} | {group['count']} | {group['mmacs']:.2f} | {group['us']:.0f} | {reached} |")
    return (
        "\n".join(rows)
        + f"\n\n{values['bundle']} {values['artefact']} in ONNX Runtime, one face, one thread: {values['face_us']:.0f} µs for {values['mmacs']:.1f} million "
        f"multiply-accumulates, {values['share']:.0%} of the peak, which is a large int8 matrix product's {values['peak_gmacs']:.0f} billion a second in the "
        f"same library. The rows hold the profiler's own microsecond or two a layer. {made_with(values)}."
    )


AXES = {"faces": "faces", "size": "frame", "every": "`--detect-every`"}


def sweep_table() -> str:
    """The work of a frame, by benchmarks/sweep.py."""
    if (values := measured("sweep")) is None:
        return NOT_MEASURED
    points = values["points"]
    stages = list(points[0]["mean_ms"])
    rows = [f"| by | at | {' | '.join(f'{stage}, ms' for stage in stages)} |", f"|---|---|{'---|' * len(stages)}"]
    for point in points:
        place = f"{point['width']}×{point['height']}" if point["axis"] == "size" else point[point["axis"]]
        costs = (f"{point['mean_ms'][stage]:.2f}" for stage in stages)
        missed = "" if point["found"] == point["faces"] else f" ({point['found']} found)"
        rows.append(f"| {AXES[point['axis']]} | {place}{missed} | {' | '.join(costs)} |")
    return (
        "\n".join(rows)
        + f"\n\nMeans a frame of {values['settings']['rounds']} rounds, without decoding and drawing; faces of the demonstration clip tiled on grey; unless a row says "
        f"otherwise 640×480, one face, detection on every frame. No more than 64 faces of a frame are classified. {values['bundle']} on "
        f"{values['runs_on']}. {made_with(values)}."
    )


def pi_emulated_table() -> str:
    """By scripts/pi-emulated; no times, since an emulation has none."""
    values = measured("pi_emulated")
    if values is None:
        return NOT_MEASURED
    models = list(values["systems"][0]["models"])
    kinds = [(model, kind) for model in models for kind in ("logits", "scores")]
    rows = [
        f"| Debian, Python | processor | {' | '.join(f'{model}, {kind}' for model, kind in kinds)} | instructions a frame |",
        f"|---|---|{'---|' * len(kinds)}---|",
    ]
    for found in values["systems"]:
        cells = [equality(found["models"][model][kind]) for model, kind in kinds]
        counted = found["instructions_per_frame"]
        rows.append(
            f"| {found['suite']}, {found['python']} | {found['cpu']} | {' | '.join(cells)} | {f'{counted / 1e6:.0f} million' if counted else '–'} |"
        )
    runs = [found["run"] for found in values["systems"]]
    faces = values["systems"][0]["models"][models[0]]["logits"]["faces"]
    return (
        "\n".join(rows)
        + f"\n\nBytes of {faces} faces (golden, the demonstration clip's, noise) that differ from x86 ({values['machine']['cpu']}), QEMU "
        f"{values['qemu'].split()[0]}; {values['machine']['date']}. Whole runs: {sum(run['same_labels'] for run in runs)} of {sum(run['frames'] for run in runs)} "
        f"frames with the same labels, boxes within {max(run['box_px'] for run in runs):.1f} pixels, scores within {max(run['score'] for run in runs):.3f}. "
        "Instructions: `fer-edge run` on the clip, one face, one thread, every stage; counted in the first suite."
    )


def equality(found: dict[str, Any]) -> str:
    if not found["differing_bytes"]:
        return f"0 of {found['bytes']:,}"
    return f"{found['differing_bytes']} of {found['bytes']:,}, by {found['largest_difference']} at most"


def spread(pair: list[float]) -> str:
    return f"{pair[1]:g}" if pair[0] == pair[1] else f"{pair[1]:g} to {pair[0]:g}"


def hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def reliability_table() -> str:
    values = measured("reliability")
    return NOT_MEASURED if values is None else table_of_faults(values)


def reliability_line() -> str:
    values = measured("reliability")
    return NOT_MEASURED if values is None else line_of_faults(values)


TABLES = {
    "accuracy": accuracy_table,
    "stages": stages_table,
    "startup": startup_table,
    "train": train_table,
    "ensemble": ensemble_table,
    "train_throughput": train_throughput_table,
    "read_data": read_data_table,
    "int8": int8_table,
    "quantization": quantization_table,
    "flagships": flagships_table,
    "robustness": robustness_table,
    "boards": boards_table,
    "limit": limit_table,
    "sweep": sweep_table,
    "pi_emulated": pi_emulated_table,
    "peers": peers_table,
    "reliability": reliability_table,
    "reliability_line": reliability_line,
}


def other_files() -> list[str]:
    """Sentences about results that were measured on other model files than those that ship now, or do not say on which."""
    found = []
    for name in OF_SHIPPED_MODELS:
        values = measured(name)
        if values is None:
            continue
        files = values.get("measured_files")
        if files is None:
            found.append(f"{name}.json does not say which model files it was measured on.")
        found += [
            f"{name}.json was measured on another {file} than the one that ships now."
            for file, digest in (files or {}).items()
            if (shipped := shipped_digest(file)) is not None and shipped != digest
        ]
    return found


def shipped_digest(file: str) -> str | None:
    """SHA-256 of ``BUNDLE/FILE`` in this package, by its manifest; None of what does not ship."""
    bundle, _, path = file.partition("/")
    manifest = BUNDLE.parent / bundle / "manifest.json"
    artefacts = read(manifest)["artefacts"] if manifest.is_file() else []
    return next((artefact["sha256"] for artefact in artefacts if artefact["path"] == path), None)


def fill(text: str) -> str:
    """A page with every ``<!-- table:NAME -->`` block made anew."""

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table:{name} -->\n{TABLES[name]()}\n<!-- /table -->"

    return re.sub(r"<!-- table:(?P<name>\w+) -->\n.*?<!-- /table -->", one, text, flags=re.DOTALL)


def main() -> None:
    for sentence in other_files():
        print(f"warning: {sentence}", file=sys.stderr)
    for page in PAGES:
        before = page.read_text()
        after = fill(before)
        if "--check" not in sys.argv[1:]:
            page.write_text(after)
        elif before != after:
            sys.exit(f"{page.name}'s tables are not what the JSON files say. Run: python scripts/readme_tables.py")


if __name__ == "__main__":
    main()
