"""Boards that nobody here has: times that are estimated, answers that are emulated."""

from __future__ import annotations

from typing import Any

from page_tables.cells import table


def boards_table(values: dict[str, Any]) -> str:
    """An estimate, by benchmarks/boards.py."""
    columns = list(values["rows"][0]["frames_per_s"])
    rows = []
    for row in values["rows"]:
        rates = (f"{low:.0f} to {high:.0f}" for low, high in (row["frames_per_s"][name] for name in columns))
        rows.append([
            row["board"], row["bundle"], spread(row["classify_ms"]), spread(row["detect_ms"]), f"{row['rest_ms']:.0f}", *rates,
        ])  # fmt: skip
    sources = "; ".join(
        sorted({f"{model} {ms:g} ms on a {board} ({source})" for board, model, ms, source in values["anchors"]})
    )
    return (
        table(
            ["board", "model", "a face, ms", "detection, ms", "rest, ms", *(f"{name}, frames/s" for name in columns)],
            rows,
        )
        + f"\n\n**Estimates, not measurements**: our operation counts divided by the rates of published times. {sources}. The slowest of the "
        "anchors to the fastest; an operation counts the same in every layer, though the dense convolutions of nano and binary reach a higher rate than "
        "MobileNetV1's depthwise ones, so their rows are rather too slow. The rest of a frame is this machine's, times the board's slowdown with one and the same network "
        f"({'; '.join(dict.fromkeys(row['basis'] for row in values['rows']))})."
    )


def spread(pair: list[float]) -> str:
    return f"{pair[1]:g}" if pair[0] == pair[1] else f"{pair[1]:g} to {pair[0]:g}"


def pi_emulated_table(values: dict[str, Any]) -> str:
    """By scripts/pi-emulated; no times, since an emulation has none."""
    models = list(values["systems"][0]["models"])
    kinds = [(model, kind) for model in models for kind in ("logits", "scores")]
    rows = []
    for found in values["systems"]:
        counted = found["instructions_per_frame"]
        rows.append([
            f"{found['suite']}, {found['python']}", found["cpu"],
            *(equality(found["models"][model][kind]) for model, kind in kinds), f"{counted / 1e6:.0f} million" if counted else "–",
        ])  # fmt: skip
    runs = [found["run"] for found in values["systems"]]
    faces = values["systems"][0]["models"][models[0]]["logits"]["faces"]
    return (
        table(
            ["Debian, Python", "processor", *(f"{model}, {kind}" for model, kind in kinds), "instructions a frame"],
            rows,
        )
        + f"\n\nBytes of {faces} faces (golden, the demonstration clip's, noise) that differ from x86 ({values['machine']['cpu']}), QEMU "
        f"{values['qemu'].split()[0]}; {values['machine']['date']}. Whole runs: {sum(run['same_labels'] for run in runs)} of {sum(run['frames'] for run in runs)} "
        f"frames with the same labels, boxes within {max(run['box_px'] for run in runs):.1f} pixels, scores within {max(run['score'] for run in runs):.3f}. "
        "Instructions: `fer-edge run` on the clip, one face, one thread, every stage; counted in the first suite."
    )


def equality(found: dict[str, Any]) -> str:
    if not found["differing_bytes"]:
        return f"0 of {found['bytes']:,}"
    return f"{found['differing_bytes']} of {found['bytes']:,}, by {found['largest_difference']} at most"
