"""A page that shows a data set: faces of every class, training faces that are in a test part too, contradictions."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge_train.duplicates import Pairs
from fer_edge_train.faces import FACE_SIZE
from fer_edge_train.inspection import Inspection
from fer_edge_train.run_folder import write_whole

PER_CLASS = 60
PAIRS = 120
_COLUMNS = 20
_GAP = 2
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}"
    "th:first-child,td:first-child{text-align:left}img{max-width:100%}li{overflow-wrap:anywhere}"
    ".pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1rem}"
    "figure{margin:0}figcaption{font-size:.75rem;line-height:1.35;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}"
)


def write_data_page(inspection: Inspection, target: Path, *, seed: int = 7) -> None:
    """Write one HTML file with its pictures inside.

    Args:
        inspection: what to show.
        target: the file.
        seed: of the faces drawn for the grids.

    Raises:
        OutputError: it cannot be written.
    """
    rows, facts = inspection.rows, inspection.as_json()
    faces = rows.faces
    generator = np.random.default_rng(seed)
    parts = [f"<h1>{html.escape(faces.source)}</h1>", _counts(facts["counts"], facts["classes"])]
    near, exact = facts["near_duplicates"], facts["exact_duplicates"]
    parts.append(
        f"<p>{exact['faces']:,} faces in {exact['groups']:,} groups of equal pixels, {near['faces']:,} in {near['groups']:,} "
        f"groups of near-duplicates; {near['groups_with_several_labels']:,} of these groups have several labels.</p>"
    )
    for label in np.unique(faces.labels).tolist():
        found = np.flatnonzero(faces.labels == label)
        drawn = np.sort(generator.permutation(found)[:PER_CLASS])
        title = f"{faces.names[label]}: {len(drawn)} of {len(found):,} faces"
        parts.append(f"<h2>{html.escape(title)}</h2>{_picture(_grid(faces.images[drawn]), title)}")
    parts.append(
        _pairs(
            inspection,
            inspection.crossing,
            "Training faces that are in another part too",
            "Training, then the other part",
        )
    )
    parts.append(_pairs(inspection, inspection.contradictions(), "Near-duplicates with different labels", "pairs"))
    if rows.broken:
        lines = "".join(f"<li>{html.escape(place)}: {html.escape(why)}</li>" for place, why in rows.broken[:PAIRS])
        parts.append(f"<h2>Broken rows</h2><p>{len(rows.broken):,} in all.</p><ul>{lines}</ul>")
    title = html.escape(Path(faces.source).name)
    page = f"<!doctype html><meta charset='utf-8'><title>{title}</title><style>{_STYLE}</style>{''.join(parts)}\n"
    write_whole(target, lambda temporary: temporary.write_text(page))


def _counts(counts: dict[str, dict[str, int]], names: list[str]) -> str:
    heads = "".join(f"<th>{part}</th>" for part in counts)
    body = "".join(
        f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{part[name]:,}</td>' for part in counts.values())}</tr>"
        for name in names
    )
    total = "".join(f"<td>{sum(part.values()):,}</td>" for part in counts.values())
    return f"<table><tr><th>class</th>{heads}</tr>{body}<tr><td>all</td>{total}</tr></table>"


def _pairs(inspection: Inspection, pairs: Pairs, title: str, what: str) -> str:
    if not len(pairs):
        return f"<h2>{title}</h2><p>None.</p>"
    figures = []
    for number in np.unique(np.linspace(0, len(pairs) - 1, PAIRS).astype(int)).tolist():
        facts = inspection.pair(pairs, number)
        both = "<br>".join(
            html.escape(f"{part} {place}: {label}")
            for part, place, label in zip(facts["parts"], facts["places"], facts["labels"], strict=True)
        )
        note = f"{facts['correlation']:.3f}{', mirrored' if facts['mirrored'] else ''}"
        image = _picture(_grid(inspection.rows.faces.images[pairs.rows[number]], enlarge=2), note)
        figures.append(f"<figure>{image}<figcaption>{both}<br>{note}</figcaption></figure>")
    shown = f"{len(figures):,} of {len(pairs):,}, from the most to the least similar: {what}."
    return f"<h2>{title}</h2><p>{shown}</p><div class='pairs'>{''.join(figures)}</div>"


def _grid(faces: NDArray[np.uint8], *, enlarge: int = 1) -> NDArray[np.uint8]:
    """Faces side by side, at most `_COLUMNS` in a row, on white."""
    columns = min(_COLUMNS, len(faces))
    lines = -(-len(faces) // columns)
    cell = FACE_SIZE + _GAP
    sheet = np.full((lines * cell, columns * cell), 255, np.uint8)
    for number, face in enumerate(faces):
        top, left = number // columns * cell, number % columns * cell
        sheet[top : top + FACE_SIZE, left : left + FACE_SIZE] = face
    return sheet.repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def _picture(image: NDArray[np.uint8], caption: str) -> str:
    encoded = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return f"<img alt='{html.escape(caption)}' src='data:image/png;base64,{encoded}'>"
