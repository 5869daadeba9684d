"""The command line's surface: names, options, help. What a command does is in `fer_edge.commands`, imported on use."""

import os
from typing import Annotated

import typer

from fer_edge import __version__
from fer_edge.cli.device import annotate, doctor, run, serve


def app_for(arguments: list[str]) -> typer.Typer:
    """The command line; for ``run``, which a device starts often, that command alone: reading the others' options costs 8 ms."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help="Facial expression recognition from a GPU to a device: train, export to int8, run, check.\n\n"
        "The label names an apparent expression, not what a person feels.",
        epilog="Exit codes: 0 done, 1 bug, 2 wrong use, 3 gate, 4 source or device not available, 5 bundle refused, "
        "6 data unusable, 7 package missing, 8 output not writable, 130 interrupted. FER_EDGE_DEBUG=1 shows tracebacks.",
    )
    app.callback()(root)
    app.command()(run)
    if arguments[:1] != ["run"]:
        _add_others(app)
    return app


def _add_others(app: typer.Typer) -> None:
    from fer_edge.cli.benchmark import benchmark_app
    from fer_edge.cli.data import data_app
    from fer_edge.cli.models import models_app
    from fer_edge.cli.service import service_app
    from fer_edge.cli.workstation import evaluate, export, train, tune

    for command in (serve, annotate, train, tune, export, evaluate, doctor):
        app.command()(command)
    groups = {"data": data_app, "benchmark": benchmark_app, "models": models_app, "service": service_app}
    for name, group in groups.items():
        app.add_typer(group, name=name)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fer-edge {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["FER_EDGE_DEBUG"] = "1"
