"""``fer-edge service unit``: print a systemd unit for a run or for a picture service."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from fer_edge.__main__ import complete
from fer_edge.unit import OUTPUTS, Plan, address_variable, planned, secret_addresses, unit_text
from fer_edge_runtime.errors import ConfigError


def unit_command(command: Any, arguments: list[str], *, name: str, watchdog_s: int, memory: str) -> None:
    """Check the command's options as it would itself, and print the unit.

    Args:
        command: the click command of ``fer-edge run`` or ``fer-edge serve``.
        arguments: its options.
        name: of the service.
        watchdog_s: seconds of silence after which it is restarted.
        memory: limit, such as ``400M``.

    Raises:
        ConfigError: a name, limit or option cannot be used in a service.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise ConfigError(
            f"'{name}' cannot name a service. Use lower-case letters, digits and '-', such as fer-edge-door."
        )
    if not re.fullmatch(r"[1-9][0-9]*[KMG]", memory):
        raise ConfigError(f"'{memory}' is no limit of memory. Write it such as 400M or 1G.")
    words = tuple(complete([command.name, *arguments]))
    values = command.make_context(command.name, list(words[1:])).params
    if command.name == "run":
        _check_run(values)
    sys.stdout.write(unit_text(planned(Plan(name, words, values, watchdog_s, memory), Path.cwd())))
    for line in _advice(name, values):
        sys.stderr.write(f"{line}\n")


def _check_run(values: dict[str, Any]) -> None:
    if (values["camera"] is None) == (values["source"] is None):
        raise ConfigError(
            "A service needs one of --camera and --source. Give the options of the run, such as --camera 0."
        )
    if values["show"]:
        raise ConfigError("A service has no screen. Give --serve 127.0.0.1:8080 in the place of --show.")


def _advice(name: str, values: dict[str, Any]) -> list[str]:
    lines = [
        f"Install it: fer-edge service unit … | sudo tee /etc/systemd/system/{name}.service",
        f"Start it:   sudo systemctl daemon-reload && sudo systemctl enable --now {name}",
        f"Watch it:   systemctl status {name}; journalctl -u {name} -f",
    ]
    lines += [
        f"Note: the address of --{option} may hold a password, and everybody on this machine can read units, so it is not in this one. "
        f"Write it into /etc/{name}.env, which only root may read (chmod 600), as {address_variable(option)}='ADDRESS'."
        for option in secret_addresses(values)
    ]
    files = [f"--{option}" for option in OUTPUTS if values.get(option) not in (None, "-")]
    if files and values["rotate"] is None:
        lines.append(
            f"Note: every start writes {' and '.join(files)} anew, under a temporary name until the service stops. For results that "
            "outlive a restart use --rotate 1h with --keep-days 7, --json without a path (the journal keeps them) or --mqtt."
        )
    return lines
