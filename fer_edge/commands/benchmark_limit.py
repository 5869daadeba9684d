"""``fer-edge benchmark limit``: how much of this core's int8 rate a bundle's layers reach."""

from __future__ import annotations

import json
import sys
from typing import Any

from fer_edge import __version__
from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import ConfigError


def limit_command(bundle: str, *, rounds: int, as_json: bool) -> None:
    """Measure, print a table, and JSON where it was asked for."""
    need(("onnx", "onnxruntime"), "benchmark")
    from fer_edge.benchmark.limit import SIDE, measure_limit
    from fer_edge.benchmark.watch import Watch
    from fer_edge_runtime.bundle import load_bundle

    loaded = load_bundle(bundle)
    artefact = loaded.artefact("onnx")
    if artefact.precision != "int8":
        raise ConfigError(
            f"The ONNX model of '{loaded.manifest.name}' is {artefact.precision}; this compares with the int8 rate."
        )
    with interruptible("nothing was written."), Display() as display:
        display.say(
            f"{loaded.manifest.name} {artefact.path}, one face, one thread, against a {SIDE}×{SIDE} int8 matrix product in ONNX Runtime."
        )
        watch = Watch()
        found = measure_limit(loaded.contents[artefact.path], rounds=rounds, between=watch.look)
        watched = watch.as_json()
        for line in [*limit_lines(found), *state_lines(watched)]:
            display.say(line)
    if as_json:
        record = {
            "schema": 1, "command": "benchmark limit", "fer_edge": __version__, **watched,
            "bundle": loaded.manifest.name, "artefact": artefact.path, "sha256": artefact.sha256, "rounds": rounds, **found,
        }  # fmt: skip
        sys.stdout.write(json.dumps(record, indent=1) + "\n")


def state_lines(watched: dict[str, Any]) -> list[str]:
    """What speaks against the figures."""
    return [f"NOT VALID: {reason}" for reason in watched["invalid_because"]] + [
        f"Note: {remark}" for remark in watched["remarks"]
    ]


def limit_lines(found: dict[str, Any]) -> list[str]:
    """The table: one row a kind of layer, the costliest first."""
    from fer_edge.table import aligned

    rows = [("layers", "number", "million MACs", "µs", "of the peak")]
    for kind, group in found["groups"].items():
        share = f"{group['share']:.0%}" if group["mmacs"] else ""
        rows.append((kind, str(group["count"]), f"{group['mmacs']:.2f}", f"{group['us']:.0f}", share))
    return [
        *aligned(rows),
        f"A face takes {found['face_us']:.0f} µs for {found['mmacs']:.1f} million multiply-accumulates: {found['share']:.0%} of the peak, "
        f"{found['peak_gmacs']:.0f} billion a second. At the peak it would take {found['face_us'] * found['share']:.0f} µs. The rows were "
        "timed with the profiler, which costs a layer a microsecond or two.",
    ]
