"""Options of ``fer-edge models``."""

from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    no_args_is_help=True, help="List bundles, show what one says about itself, check and sign them."
)


@models_app.command("list")
def models_list(
    bundles: Annotated[
        list[str] | None, typer.Argument(metavar="[BUNDLE]...", help="More bundle folders or zips to list.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON on stdout.")] = False,
) -> None:
    """List shipped bundles and yours. Task, labels, size, accuracy; exit code 5 when one is broken."""
    from fer_edge.commands.models import list_command

    list_command(bundles or [], as_json=json)


@models_app.command("info")
def models_info(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped bundle's name, a bundle folder or zip.")],
    card: Annotated[bool, typer.Option("--card", help="Print the model card on stdout instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Show what a bundle says about itself. Models, tensors, preprocessing, metrics, where it comes from."""
    from fer_edge.commands.models import info_command

    info_command(model, card=card, as_json=json)


@models_app.command("verify")
def models_verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|PATH]...", help="Every shipped bundle without any.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="KEY.pub", help="Also require a signature that was made with this key.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON on stdout.")] = False,
) -> None:
    """Check bundles to the last byte. Files, models and their answers to the golden vectors; exit code 5 when anything is wrong."""
    from fer_edge.commands.models import verify_command

    verify_command(models or [], key=key, as_json=json)


@models_app.command("keygen")
def models_keygen(
    out: Annotated[Path, typer.Option(metavar="KEY", help="File of the private key; KEY.pub will be the public one.")],
) -> None:
    """Make a pair of keys for signatures. Neither file is ever overwritten."""
    from fer_edge.commands.signing import keygen_command

    keygen_command(out)


@models_app.command("sign")
def models_sign(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A bundle folder, or a shipped bundle's name.")],
    key: Annotated[Path, typer.Option(metavar="KEY", help="Private key; fer-edge models keygen makes one.")],
) -> None:
    """Verify a bundle and write its signature, manifest.sig, into it."""
    from fer_edge.commands.signing import sign_command

    sign_command(model, key)
