"""Options of ``fer-edge data``."""

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(no_args_is_help=True, help="Fetch FER2013, look into a data set, align its faces.")


@data_app.command("fetch")
def data_fetch(
    out: Annotated[Path | None, typer.Option(help="Folder to put it in; the cache of kagglehub otherwise.")] = None,
    folders: Annotated[
        bool, typer.Option("--folders", help="Class folders (train and test) instead of the challenge's CSV.")
    ] = False,
) -> None:
    """Download FER2013 from Kaggle; needs an account there, and accepted rules for the challenge's CSV."""
    from fer_edge.commands.data import fetch_command

    fetch_command(out=out, folders=folders)


@data_app.command("inspect")
def data_inspect(
    path: Annotated[Path, typer.Argument(help="Data set: .parquet, .csv or a folder with one folder per class.")],
    html: Annotated[Path | None, typer.Option(metavar="PAGE", help="Page with pictures to write.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Broken rows are no error.")] = False,
) -> None:
    """Count classes and find broken rows, duplicates and training faces that are in a test part too."""
    from fer_edge.commands.data import inspect_command

    inspect_command(path, page=html, as_json=json, skip_bad=skip_bad)


@data_app.command("align")
def data_align(
    path: Annotated[Path, typer.Argument(help="Class folders with pictures of any size, a .parquet or a .csv.")],
    out: Annotated[Path, typer.Option(help="New folder for the faces.")],
    detector: Annotated[str, typer.Option(help="Face detector: short, full or yunet:PATH.")] = "full",
    size: Annotated[int, typer.Option(help="Side of the faces in pixels; training uses 48.")] = 48,
    keep_undetected: Annotated[
        bool, typer.Option("--keep-undetected", help="Keep pictures without a face as they are.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
) -> None:
    """Cut out the largest face of every picture, eyes level, as the device does it: grey PNG, one folder per class."""
    from fer_edge.commands.data import align_command

    align_command(path, out=out, detector=detector, size=size, keep_undetected=keep_undetected, skip_bad=skip_bad)
