"""Pieces of a self-contained HTML page: tables, figures, grids of faces; readable on a phone and in dark mode."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

ETHICS = (
    "Labels are apparent expressions, not feelings. In the EU, emotion recognition at work and in education is banned, and "
    "people must be told where it is used."
)
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#2563eb}
@media(prefers-color-scheme:dark){:root{--accent:#7fb0ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:68rem;margin:0 auto;padding:1rem;background:Canvas;color:CanvasText}
h1{font-size:1.7rem;margin:.5rem 0;overflow-wrap:anywhere}h2{margin:2.2rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{margin:1.4rem 0 .4rem}p{margin:.4rem 0}a{color:var(--accent)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4rem 0}
td,th{border:1px solid var(--line);padding:.25rem .6rem;text-align:right}
th,td{white-space:nowrap}th:first-child,td:first-child{text-align:left}thead th{background:var(--soft)}
td small{opacity:.75}.confusion td:not(:first-child){text-align:center;min-width:3.4rem;line-height:1.25}
.confusion thead th{text-align:center}.facts td,.facts th{text-align:left}caption{text-align:left;white-space:nowrap;font-size:.85rem;opacity:.8}
.side{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem;align-items:start}
.row{display:flex;flex-wrap:wrap;gap:0 1.5rem;align-items:end}.row>*{max-width:100%}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.card{flex:1 1 12rem;border:1px solid var(--line);border-radius:.6rem;padding:.7rem 1rem;background:var(--soft)}
.card b{display:block;font-size:1.6rem;line-height:1.3}
figure{margin:.4rem 0}figcaption{font-size:.85rem;opacity:.8}figure svg{width:100%;max-width:30rem;height:auto}
.faces{display:grid;grid-template-columns:repeat(auto-fill,minmax(7rem,1fr));gap:.8rem}
.faces img{width:100%;height:auto;image-rendering:pixelated;border-radius:.3rem}
pre{overflow-x:auto;background:var(--soft);padding:.8rem;border-radius:.4rem;font-size:.85rem}summary{cursor:pointer;font-weight:600}
footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.8rem}
"""


class Mistake(NamedTuple):
    """A face that the model got wrong.

    Attributes:
        face: (48, 48) uint8.
        label, predicted: class names.
        score: probability of the predicted class.
    """

    face: NDArray[np.uint8]
    label: str
    predicted: str
    score: float


def page(title: str, body: str) -> str:
    """The whole document."""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>{body}"
        f"<footer><p>{ETHICS}</p></footer></body></html>\n"
    )


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "figures") -> str:
    """Cells are plain text; the first column names the row; ``kind`` is ``figures`` or ``facts``."""
    head = "".join(f"<th scope='col'>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )  # fmt: skip
    return (
        f"<div class='scroll'><table class='{kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def confusion_table(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Counts and shares of each labelled class; a cell is the bluer the larger its share."""
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in names)
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        shares = [count / max(1, sum(counts)) for count in counts]
        cells = "".join(
            f"<td style='background:rgba(59,130,246,{0.8 * share:.3f})'>{count}<br><small>{share:.0%}</small></td>"
            for count, share in zip(counts, shares, strict=True)
        )
        rows.append(f"<tr><th scope='row'>{html.escape(name)}</th>{cells}</tr>")
    return (
        "<div class='scroll'><table class='confusion'><caption>Confusion: rows labelled, columns predicted</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def figure(svg: str, caption: str) -> str:
    """A plot with its caption."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>\n"


def side_by_side(*parts: str) -> str:
    """Parts beside each other where the screen is wide enough; empty ones are left out."""
    return f"<div class='side'>{''.join(f'<div>{part}</div>' for part in parts if part)}</div>\n"


def in_a_row(*parts: str) -> str:
    """Parts of their own width beside each other, as many as fit."""
    return f"<div class='row'>{''.join(parts)}</div>\n"


def cards(items: Sequence[tuple[str, str, str]]) -> str:
    """Large figures: title, value, remark."""
    shown = "".join(
        f"<div class='card'>{html.escape(title)}<b>{html.escape(value)}</b>{html.escape(remark)}</div>"
        for title, value, remark in items
    )
    return f"<div class='cards'>{shown}</div>\n"


def faces_grid(mistakes: Sequence[Mistake]) -> str:
    """Pictures with what they are labelled and what the model said."""
    return f"<div class='faces'>{''.join(map(_face, mistakes))}</div>\n"


def _face(mistake: Mistake) -> str:
    label, predicted = html.escape(mistake.label), html.escape(mistake.predicted)
    encoded: Any = cv2.imencode(".png", mistake.face)[1]
    source = f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    alt = f"face labelled {label}, predicted {predicted} with {mistake.score:.0%}"
    return (
        f"<figure><img alt='{alt}' width='48' height='48' src='{source}'>"
        f"<figcaption>{label} → <b>{predicted}</b> {mistake.score:.0%}</figcaption></figure>"
    )
