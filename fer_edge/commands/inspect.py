"""``fer-edge export inspect``: what models are made of."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Any

from fer_edge.commands.display import need
from fer_edge_runtime.errors import ConfigError

SHOWN = 12


def inspect_command(paths: list[Path], *, json: bool) -> None:
    """Show models, or print all that was found as JSON on stdout.

    Args:
        paths: model files and bundle folders.
        json: for other programs.
    """
    if not paths:
        raise ConfigError("Say which .tflite or .onnx files, or bundle folders, to inspect.")
    need(("onnx", "onnxruntime", "flatbuffers"), "export")
    from fer_edge_export.inspection import inspect_file, models_of

    found = [inspect_file(file) for path in paths for file in models_of(path)]
    for model in found:
        _show(model)
    if json:
        sys.stdout.write(json_module.dumps(found) + "\n")


def _show(model: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    integer, exact = model["integer_operators"], model["float_operators"]
    console.print(
        f"\n{model['file']}: {model['size_bytes'] / 1e6:.2f} MB, {sum(integer.values())} integer and {sum(exact.values())} float "
        f"operators, {model['per_channel']} tensors with a scale per channel",
        markup=False, style="bold", soft_wrap=True,
    )  # fmt: skip
    for kind, counts in (("integer", integer), ("float", exact)):
        if counts:
            listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
            console.print(f"  {kind}: {listed}", markup=False, soft_wrap=True)
    for name, value in model["about"].items():
        console.print(f"  {name}: {value}", markup=False, soft_wrap=True)
    scaled = [tensor for tensor in model["tensors"] if tensor["scale"]]
    if not scaled:
        return
    table = Table("tensor", "dtype", "scale", "zero point", box=None, padding=(0, 2, 0, 2))
    for tensor in scaled[:SHOWN]:
        table.add_row(
            *map(Text, (tensor["name"], tensor["dtype"], f"{tensor['scale']:.6g}", str(tensor["zero_point"])))
        )
    console.print(table)
    if len(scaled) > SHOWN:
        console.print(f"  … and {len(scaled) - SHOWN} more; --json prints them all", markup=False)
