"""``fer-edge data``: fetch FER2013, look into a data set, align its faces."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.commands.display import Display, interruptible, need

if TYPE_CHECKING:
    from fer_edge_train.inspection import Inspection

LISTED = 10


def fetch_command(*, out: Path | None, folders: bool) -> None:
    """Download FER2013 from Kaggle; its path is all that goes to stdout."""
    need(("kagglehub",), "train")
    from fer_edge_train.fetch import fetch

    with interruptible("start again to go on with what is there."):
        path = fetch(out, folders=folders)
    sys.stdout.write(f"{path}\n")
    with Display() as display:
        display.say(f"Next: fer-edge data inspect {path}")


def inspect_command(path: Path, *, page: Path | None, as_json: bool, skip_bad: bool) -> None:
    """Say what a data set holds; exit code 6 when it has broken rows and they are not to be skipped."""
    need(("pyarrow",), "train")
    from fer_edge_runtime.errors import DataError
    from fer_edge_train.data import listed_problems
    from fer_edge_train.inspection import inspect_rows
    from fer_edge_train.readers import read_rows

    with interruptible("nothing was written."), Display() as display:
        display.say(f"Reading {path} …")
        rows = read_rows(path)
        if not rows.places:
            raise DataError(listed_problems(rows))

        def show(done: int, total: int) -> None:
            display.progress("comparing faces", done, total)

        inspection = inspect_rows(rows, progress=show)
        for line in _summary(inspection):
            display.say(line)
        if as_json:
            sys.stdout.write(json.dumps(inspection.as_json(), indent=1, ensure_ascii=False) + "\n")
        if page is not None:
            from fer_edge_train.data_page import write_data_page

            write_data_page(inspection, page)
            display.say(f"Page: {page}")
        if rows.broken and not skip_bad:
            raise DataError(f"{listed_problems(rows)}\nMend them, or leave them out with --skip-bad.")


def align_command(path: Path, *, out: Path, detector: str, size: int, keep_undetected: bool, skip_bad: bool) -> None:
    """Write aligned faces as class folders."""
    need(("pyarrow",), "train")
    from fer_edge_train.align import UNDETECTED, align_dataset

    with interruptible("nothing was written; the folder appears when it is complete."), Display() as display:

        def show(done: int, total: int) -> None:
            display.progress("aligning faces", done, total)

        result = align_dataset(
            path, out, detector=detector, size=size, keep_undetected=keep_undetected, skip_bad=skip_bad, progress=show
        )  # fmt: skip
        if result.unreadable:
            display.say(f"{len(result.unreadable):,} cannot be read and are left out:")
            _list(display, [f"{place}: {reason}" for place, reason in result.unreadable])
        if result.undetected:
            kept = "kept as a whole" if keep_undetected else "left out"
            display.say(f"No face was found in {len(result.undetected):,}, which are {kept} ({out / UNDETECTED}):")
            _list(display, result.undetected)
        display.say(f"{result.written:,} faces of {size}×{size} pixels are in {out}.")


def _list(display: Display, lines: list[str]) -> None:
    for line in lines[:LISTED]:
        display.say(f"  {line}")
    if len(lines) > LISTED:
        display.say(f"  … and {len(lines) - LISTED:,} more")


def _summary(inspection: Inspection) -> list[str]:
    facts = inspection.as_json()
    near, exact, across = facts["near_duplicates"], facts["exact_duplicates"], facts["crossing"]
    sizes = [f"{size['width']}×{size['height']} ({size['pictures']:,})" for size in facts["sizes"]]
    lines = [
        *_table(facts["counts"], facts["classes"]),
        f"Picture sizes: {', '.join(sizes[:5])}{f' and {len(sizes) - 5} more' if len(sizes) > 5 else ''}",
        f"Exact duplicates: {exact['faces']:,} faces in {exact['groups']:,} groups, "
        f"{exact['groups_with_several_labels']:,} groups with several labels",
        f"Near-duplicates: {near['faces']:,} faces in {near['groups']:,} groups, {near['groups_with_several_labels']:,} groups with "
        f"several labels; {near['mirrored_pairs']:,} of {near['pairs']:,} pairs are mirrored",
        *(f"  {name}: {count:,} pairs" for name, count in near["pairs_by_parts"].items()),
        f"Training faces that are near-duplicates of a face in another part: {len(across):,}",
        *(f"  {_pair(pair)}" for pair in across[:LISTED]),
    ]
    if len(across) > LISTED:
        lines.append(f"  … and {len(across) - LISTED:,} more: --json lists all, --html shows them")
    if any((size["width"], size["height"]) != (48, 48) for size in facts["sizes"]):
        lines.append("Training resizes every picture to 48×48 as a whole; fer-edge data align cuts the faces out.")
    return lines


def _pair(pair: dict[str, Any]) -> str:
    (a, b), (_, part), (first, second) = pair["places"], pair["parts"], pair["labels"]
    mirrored = ", mirrored" if pair["mirrored"] else ""
    return f"{a} ({first}) and {part} {b} ({second}): {pair['correlation']:.3f}{mirrored}"


def _table(counts: dict[str, dict[str, int]], names: list[str]) -> list[str]:
    width = max(len(name) for name in ["class", *names])
    table = [("class", *counts)]
    table += [(name, *(f"{part[name]:,}" for part in counts.values())) for name in names]
    table += [("all", *(f"{sum(part.values()):,}" for part in counts.values()))]
    return [f"  {name:<{width}}" + "".join(f"{cell:>13}" for cell in cells) for name, *cells in table]
