"""What int8 costs in points and gains in time."""

from __future__ import annotations

from typing import Any

from page_tables.cells import table, versions_of


def int8_table(exports: list[dict[str, Any]]) -> str:
    """One row a file that benchmarks/int8_results.py wrote."""
    columns = [
        "run", "int8 file", "method", "float", "int8 TFLite", "int8 ONNX", "lost, points", "formats agree",
        "a face in int8, TFLite / ONNX (× float)",
    ]  # fmt: skip
    machines = {found["latency"]["machine"] for found in exports}
    versions = {versions_of(found["machine"]) for found in exports}
    return (
        table(columns, map(int8_cells, exports))
        + "\n\nPrivateTest of FER2013, single crop, by the runtime on the files named (for another split its test part); agreement on "
        f"PublicTest. Times: one thread, float and int8 files taking turns, {', '.join(sorted(machines))}, most of them while it also did other work: "
        "the ratios count. All but "
        "mobilenetv2, cnn4 and inceptionv3 were trained for three epochs only, enough to show what quantization costs them. "
        f"Reports kept with {' and with '.join(sorted(versions))}."
    )


def int8_cells(found: dict[str, Any]) -> list[str]:
    private, latency = found["PrivateTest"]["accuracy"], found["latency"]
    exact, *rounded = (private[f"model.{name}"] for name in ("fp32.tflite", "int8.tflite", "int8.onnx"))
    costs = " / ".join(
        f"{latency['artefacts'][f'model.int8.{kind}']['median_ms']:.2f} ms ({latency['int8_speedup'][kind]:.1f})"
        for kind in ("tflite", "onnx")
    )
    return [
        f"{named(found)}, {found['input_size']} px", f"{found['size_bytes']['model.int8.tflite'] / 1e6:.2f} MB", found["method"],
        *(f"{accuracy:.2%}" for accuracy in (exact, *rounded)), f"{100 * (exact - min(rounded)):+.2f}",
        f"{found['formats_agree']:.1%}", costs,
    ]  # fmt: skip


def named(found: dict[str, Any]) -> str:
    """A run, and its architecture where the name does not say it."""
    return found["run"] if found["run"] == found["architecture"] else f"{found['run']} ({found['architecture']})"


def quantization_table(values: dict[str, Any]) -> str:
    """Post-training against quantization-aware, by benchmarks/quantization.py."""
    rows, gains = [], []
    for seed, row in values["seeds"].items():
        after, aware = (row["int8_public"][name] for name in ("post-training", "quantization-aware training"))
        gains.append(100 * (aware - after))
        rows.append([seed, *(f"{accuracy:.2%}" for accuracy in (row["float_public"], after, aware))])
    return (
        table(["seed", "float", "post-training", "quantization-aware"], rows)
        + f"\n\n{values['run']}, int8 TFLite on PublicTest, {values['epochs']} epochs. Training gained {sum(gains) / len(gains):+.2f} points on average."
    )
