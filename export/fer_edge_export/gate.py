"""The gate: int8 may lose only so much accuracy against float32, or no bundle is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fer_edge_export.evaluate import Measured, compare, drop_points
from fer_edge_runtime.errors import GateError, OutputError
from fer_edge_train.run_folder import write_json

REPORT = "parity.json"


def judge(selection: Sequence[Measured], max_drop_points: float) -> dict[str, Any]:
    """The gate: the worst int8 artefact against float32, on the selection split alone.

    Args:
        selection: every artefact on PublicTest, the float32 one first.
        max_drop_points: percentage points of accuracy that int8 may lose.
    """
    reference, *others = selection
    worst = max((drop_points(reference, other), other.artefact) for other in others)
    return {
        "split": reference.split, "n": reference.result["n"], "max_drop_points": max_drop_points, "drop_points": worst[0],
        "artefact": worst[1], "float_accuracy": reference.result["accuracy"],
        "int8_accuracy": {other.artefact: other.result["accuracy"] for other in others}, "passed": worst[0] <= max_drop_points,
    }  # fmt: skip


def parity(measured: Sequence[Measured]) -> dict[str, Any]:
    """Every artefact's full result on one split, the float32 one first, and how the others agree with it."""
    reference, *others = measured
    return {
        "artefacts": {m.artefact: {"precision": m.precision, "engine": m.engine, **m.result} for m in measured},
        "against_float32": {m.artefact: compare(reference.probabilities, m.probabilities) for m in others},
    }


def reject(out: Path, report: dict[str, Any]) -> NoReturn:
    """Leave the report in ``<out>.rejected`` and refuse the export.

    Raises:
        GateError: always; it says what was lost and what to try.
        OutputError: the report cannot be written.
    """
    gate = report["gate"]
    folder = out.with_name(f"{out.name}.rejected")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The report folder {folder} cannot be made: {error.strerror}.") from error
    write_json(folder / REPORT, report)
    raise GateError(
        f"{gate['artefact']} lost {gate['drop_points']:g} points of {gate['split']} accuracy (float32 {gate['float_accuracy']:.2%}, int8 "
        f"{gate['int8_accuracy'][gate['artefact']]:.2%}); at most {gate['max_drop_points']:g} are allowed, so no bundle was written. The "
        f"report is {folder / REPORT}. Try more calibration faces (now {report['calibration']['faces']}) or another seed, train longer, or "
        "allow a larger loss (max_drop_points)."
    )
