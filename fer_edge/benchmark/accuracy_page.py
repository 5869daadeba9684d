"""The record of an accuracy measurement as one HTML file."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge.benchmark.accuracy import remarks_on
from fer_edge_train.page import Mistake, cards, page, paragraph, table
from fer_edge_train.report import mistakes_section, result_section
from fer_edge_train.run_folder import write_whole

_TRAINED = {True: "yes", False: "no: these are figures across data sets", None: "unknown"}


def write_accuracy_page(target: Path, record: Mapping[str, Any], mistakes: Sequence[Mistake]) -> None:
    """Write the page, whole or not at all.

    Args:
        target: the page.
        record: what the command prints with ``--json``.
        mistakes: of its first model.

    Raises:
        OutputError: the page cannot be written.
    """
    results = record["results"]
    title = f"{record['name']} on {Path(record['data']).name}, {record['split']}"
    body = f"<h1>{html.escape(title)}</h1>" + cards([_card(result) for result in results])
    facts = [
        ("data", record["data"]), ("labels", record["label_source"]), ("digest (SHA-256)", record["dataset_digest"]),
        ("the model was trained on this data", _TRAINED[record["trained_on_this_data"]]),
        ("faces are found by the detector", "yes" if record["detect"] else "no, they are cut out already"),
        ("map", ", ".join(f"{name} → {label or 'left out'}" for name, label in record["map"].items()) or "none"),
        ("processor", record["machine"]["cpu"] or "unknown"),
    ]  # fmt: skip
    body += table(("what", "value"), facts, kind="facts")
    for result in results:
        body += f"<h2>{html.escape(result['artefact'])}</h2>{paragraph(result['engine'])}"
        body += "".join(map(paragraph, remarks_on(result))) + result_section(result)
    body += mistakes_section(mistakes, f"{results[0]['artefact']}")
    content = page(title, body)
    write_whole(target, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def _card(result: Mapping[str, Any]) -> tuple[str, str, str]:
    everything = result["all"]
    low, high = everything["interval95"]
    return (
        result["artefact"],
        f"{everything['accuracy']:.2%}",
        f"of {everything['n']:,} faces, 95 % interval {low:.1%} to {high:.1%}",
    )
