"""``fer-edge train compare``: read runs, print them side by side, write the page, the Markdown and the plots."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.commands.display import need

if TYPE_CHECKING:
    from fer_edge_train.comparison import Comparison

DEFAULT_OUT = Path("runs-compare")


def compare_command(runs: list[Path], *, out: Path | None, json: bool) -> None:
    """Compare runs, finished or not.

    Args:
        runs: run folders.
        out: folder for ``compare.html``, ``compare.md`` and ``plots/``; ``runs-compare`` otherwise.
        json: print everything as one JSON object on stdout.
    """
    need(("matplotlib",), "train")
    from fer_edge_train.comparison import compare, write_comparison

    comparison = compare(runs)
    page, markdown = write_comparison(comparison, out or DEFAULT_OUT)
    _show(comparison)
    sys.stderr.write(f"Page: {page}\nMarkdown: {markdown}\n")
    if json:
        files = {"html": str(page), "markdown": str(markdown)}
        sys.stdout.write(json_module.dumps({**comparison.to_dict(), "files": files}) + "\n")


def _show(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fer_edge_train.comparison import recipe_lines, short_table

    header, rows = short_table(comparison)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for number, name in enumerate(header):
        table.add_column(name, overflow="fold", justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(stderr=True, highlight=False)
    console.print(table)
    for line in (*recipe_lines(comparison), *comparison.warnings):
        console.print(line, soft_wrap=True, markup=False)
