"""The gate: int8 may lose only so much accuracy against float32, or no bundle is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fer_edge_export.evaluate import Measured, change, compare, drop_points
from fer_edge_export.parity_page import REPORT_PAGE
from fer_edge_runtime.errors import GateError, OutputError
from fer_edge_train.run_folder import write_json, write_whole

REPORT = "parity.json"


def judge(selection: Sequence[Measured], max_drop_points: float, min_agreement: float) -> dict[str, Any]:
    """The gate: the worst int8 artefact against float32, and the formats against each other, on the selection split alone.

    Args:
        selection: every artefact on PublicTest, the float32 one first.
        max_drop_points: percentage points of accuracy that int8 may lose.
        min_agreement: share of faces to which int8 TFLite and int8 ONNX must give the same label.
    """
    reference, *_ = selection
    rounded = [m for m in selection if m.precision == "int8"]
    worst = max((drop_points(reference, other), other.artefact) for other in rounded)
    agreed = compare(rounded[0].probabilities, rounded[1].probabilities)["top1_agreement"] if rounded[1:] else None
    return {
        "split": reference.split, "n": reference.result["n"], "max_drop_points": max_drop_points, "drop_points": worst[0],
        "artefact": worst[1], "float_accuracy": reference.result["accuracy"],
        "int8_accuracy": {other.artefact: other.result["accuracy"] for other in rounded}, "formats_agree": agreed,
        "min_agreement": min_agreement,
        "passed": worst[0] <= max_drop_points and (agreed is None or agreed >= min_agreement),
    }  # fmt: skip


def parity(measured: Sequence[Measured]) -> dict[str, Any]:
    """Every artefact's full result on one split, the float32 one first, how the others agree with it and what they changed."""
    reference, *others = measured
    return {
        "artefacts": {m.artefact: {"precision": m.precision, "engine": m.engine, **m.result} for m in measured},
        "against_float32": {
            m.artefact: {**compare(reference.probabilities, m.probabilities), "change_points": change(reference, m)}
            for m in others
        },
    }


def reject(out: Path, report: dict[str, Any], page: str) -> NoReturn:
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
    write_whole(folder / REPORT_PAGE, lambda temporary: temporary.write_text(page))
    kept = f"no bundle was written. The report is {folder / REPORT_PAGE}."
    if gate["drop_points"] <= gate["max_drop_points"]:
        raise GateError(
            f"int8 TFLite and int8 ONNX give only {gate['formats_agree']:.2%} of {gate['split']} the same label, "
            f"{gate['min_agreement']:.0%} are wanted; {kept} Train longer, or export the TFLite model alone with --no-onnx."
        )
    raise GateError(
        f"{gate['artefact']} lost {gate['drop_points']:g} points of {gate['split']} accuracy (float32 {gate['float_accuracy']:.2%}, int8 "
        f"{gate['int8_accuracy'][gate['artefact']]:.2%}); at most {gate['max_drop_points']:g} are allowed, so {kept} Try more epochs "
        f"of quantization-aware training (--qat-epochs), more calibration faces (now {report['calibration']['faces']}), or allow a "
        "larger loss (--max-drop)."
    )
