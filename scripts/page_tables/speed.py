"""What a frame, a face and a start cost on the machine that measured them."""

from __future__ import annotations

from typing import Any

from page_tables.cells import made_with, ratio, table, versions_of

AXES = {"faces": "faces", "size": "frame", "every": "`--detect-every`"}


def stages_table(values: dict[str, Any]) -> str:
    """The stages of a frame, by benchmarks/stages.py."""
    rows = [[name, f"{cost:.2f}"] for name, cost in values["median_ms"].items()]
    rows += [[f"bare {name} model alone", f"{cost:.2f}"] for name, cost in values["bare_ms"].items()]
    return (
        table(["stage", "median ms"], rows)
        + f"\n\n{values['frame']}; {values['threads']} thread; {made_with(values)}. The whole is {ratio(values['ratio_to_bare'])} times the two bare models; its mean is "
        f"{values['mean_total_ms']:.2f} ms, because every {values['scan_every']}th detection also looks for faces under 50 pixels."
    )


def startup_table(values: dict[str, Any]) -> str:
    """Whole processes, by benchmarks/startup.py."""
    rows = [
        [f"`{name}`", f"{cost:.0f}", f"{values['peak_mib'][name]:.0f}"] for name, cost in values["median_ms"].items()
    ]
    return (
        table(["whole process", "median ms", "peak memory MiB"], rows)
        + f"\n\n{values['rounds']} interleaved rounds; {made_with(values)}. "
        + " ".join(
            "`{}` takes {} × `{}`.".format(name.split(" / ")[0], ratio(found), name.split(" / ")[1])
            for name, found in values["ratios"].items()
        )
    )


def again_table(values: dict[str, Any]) -> str:
    """Another run's ratios against the kept ones, by benchmarks/again.py."""
    rows = [
        [entry["ratio"], ratio(entry["kept"]), ratio(entry["again"]), "yes" if entry["within"] else "**no**"]
        for entry in values["ratios"]
    ]
    return table(["ratio", "kept: median (p10 to p90)", "again", "within"], rows) + f"\n\n{made_with(values)}."


def gpu_table(values: dict[str, Any]) -> str:
    """A machine with a real GPU, by `fer-edge benchmark latency --json`."""
    columns = [
        "bundle",
        "runs on",
        "operators delegated",
        "load ms",
        "first face ms",
        "p50 ms of 1 face",
        "faces/s, 1",
        "faces/s, 64",
        "peak MiB",
    ]
    rows, refused = [], []
    for case in values["cases"]:
        if case["failed"]:
            refused.append(f"{case['bundle']} on {case['asked']['device']}: not measured. {case['failed']}")
            continue
        speed = {found["faces"]: found for found in case["faces"]}
        operators = case["operators"]
        rows.append([
            case["bundle"], case["runs_on"], f"{operators['delegated']} of {operators['total']}", f"{case['load_ms']:.0f}",
            f"{case['first_ms']:.1f}", f"{speed[1]['p50_ms']:.2f}", f"{speed[1]['faces_per_s']:,.0f}", f"{speed[64]['faces_per_s']:,.0f}",
            f"{case['peak_mib']:.0f}",
        ])  # fmt: skip
    machine = values["machine"]
    made = f"{machine['cpu']}, {machine['cores']} cores; {versions_of(machine)}; {machine['before']['date'][:10]}"
    return "\n\n".join([table(columns, rows), *refused, f"{values['settings']['rounds']} interleaved rounds; {made}."])


def limit_table(values: dict[str, Any]) -> str:
    """How much of a core's int8 rate the layers reach, by benchmarks/limit.py."""
    rows = []
    for kind, group in values["groups"].items():
        reached = f"{group['share']:.0%}" if group["mmacs"] else ""
        rows.append([kind, group["count"], f"{group['mmacs']:.2f}", f"{group['us']:.0f}", reached])
    return (
        table(["layers", "number", "million MACs", "µs", "of the peak"], rows)
        + f"\n\n{values['bundle']} {values['artefact']} in ONNX Runtime, one face, one thread: {values['face_us']:.0f} µs for {values['mmacs']:.1f} million "
        f"multiply-accumulates, {values['share']:.0%} of the peak, which is a large int8 matrix product's {values['peak_gmacs']:.0f} billion a second in the "
        f"same library. The rows hold the profiler's own microsecond or two a layer. {made_with(values)}."
    )


def sweep_table(values: dict[str, Any]) -> str:
    """The work of a frame, by benchmarks/sweep.py."""
    points = values["points"]
    stages = list(points[0]["mean_ms"])
    rows = []
    for point in points:
        place = f"{point['width']}×{point['height']}" if point["axis"] == "size" else point[point["axis"]]
        missed = "" if point["found"] == point["faces"] else f" ({point['found']} found)"
        costs = (f"{point['mean_ms'][stage]:.2f}" for stage in stages)
        rows.append([AXES[point["axis"]], f"{place}{missed}", *costs])
    return (
        table(["by", "at", *(f"{stage}, ms" for stage in stages)], rows)
        + f"\n\nMeans a frame of {values['settings']['rounds']} rounds, without decoding and drawing; faces of the demonstration clip tiled on grey; unless a row says "
        f"otherwise 640×480, one face, detection on every frame. No more than 64 faces of a frame are classified. {values['bundle']} on "
        f"{values['runs_on']}. {made_with(values)}."
    )
