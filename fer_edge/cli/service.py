"""Options of ``fer-edge service``."""

from typing import Annotated

import typer

from fer_edge.cli.choices import ServiceCommand

service_app = typer.Typer(no_args_is_help=True, help="Run as a service of systemd.")


@service_app.command("unit", context_settings={"ignore_unknown_options": True})
def service_unit(
    context: typer.Context,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPTIONS OF THE COMMAND]...", help="Any options of fer-edge run, or serve."),
    ] = None,
    command: Annotated[
        ServiceCommand, typer.Option(help="What the service does: watch a camera, or take pictures over HTTP.")
    ] = ServiceCommand.run,
    name: Annotated[str, typer.Option(help="Name of the service and of its folders.")] = "fer-edge",
    watchdog: Annotated[
        int,
        typer.Option(min=2, max=3600, help="Seconds without a frame, or a sign of waiting for one, until a restart."),
    ] = 30,
    memory: Annotated[str, typer.Option(help="Limit, such as 400M; beyond it the service is ended.")] = "400M",
) -> None:
    """Print a systemd unit for a run or for serve: watched, restarted within limits, sandboxed by what the options need."""
    from fer_edge.commands.service import unit_command

    click_command = context.find_root().command.commands[command.value]  # type: ignore[attr-defined]
    unit_command(click_command, options or [], name=name, watchdog_s=watchdog, memory=memory)
