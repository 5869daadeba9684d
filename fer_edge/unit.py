"""A systemd unit for `fer-edge run` or `fer-edge serve`: watched, restarted within limits, and locked away from what it does not need.

What is allowed follows from the options: a camera's devices only with a camera, the network only with something that
uses it. Directives are those of systemd 252 (Debian bookworm); systemd.service(5), systemd.exec(5) and
systemd.resource-control(5) describe them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from fer_edge_runtime.errors import BundleError, ConfigError, MissingPackageError
from fer_edge_runtime.shipped import ASSETS, shipped_folder
from fer_edge_runtime.sources.base import display_url

INPUTS = (
    "source", "model", "detector", "require_signature", "mqtt_ca", "mqtt_cert", "mqtt_key", "token_file", "tls_cert", "tls_key",
)  # fmt: skip
OUTPUTS = ("json", "csv", "save")
# Another start would end the same way.
HOPELESS = (ConfigError.exit_code, BundleError.exit_code, MissingPackageError.exit_code)
_HOMES = ("/home", "/root", "/run/user")
# An address that is read from the environment is one of a stream, too.
_URL = re.compile(r"[a-z0-9+.-]+://|env:", re.IGNORECASE)
_WITH_USER = r"://[^/@]*:.*@"


class Plan(NamedTuple):
    """What a service is to run.

    Attributes:
        name: of the unit and of its folders below /var/lib and /var/cache.
        arguments: ``run`` or ``serve`` and its options, completed.
        values: the same, parsed: option -> value.
        watchdog_s: seconds without a frame or an idle turn after which it is restarted.
        memory: limit, as systemd writes it.
    """

    name: str
    arguments: tuple[str, ...]
    values: dict[str, Any]
    watchdog_s: int = 30
    memory: str = "400M"


def planned(plan: Plan, here: Path) -> Plan:
    """The plan with files named in full, addresses with passwords left to the environment, on the CPU unless told, and with patience
    for a camera that comes later.

    Raises:
        ConfigError: a service could not reach a file.
    """
    for option in OUTPUTS:
        _check_output(option, plan.values.get(option), plan.name)
    arguments, values = list(plan.arguments), dict(plan.values)
    for option in secret_addresses(values):
        values[option] = f"env:{address_variable(option)}"
        arguments = _replaced(arguments, option, values[option])
    for option in INPUTS:
        value = values.get(option)
        if value is not None and _is_file(option, str(value), values):
            arguments = _replaced(arguments, option, _in_full(str(value), here))
    if not any(argument.partition("=")[0] == "--device" for argument in arguments):
        arguments += ["--device", "cpu"]
        values["device"] = "cpu"
    if source_kind(values) != "files" and not values.get("wait_for_source"):
        arguments.append("--wait-for-source")
    return plan._replace(arguments=tuple(arguments), values=values)


def secret_addresses(values: dict[str, Any]) -> list[str]:
    """Options whose address holds what other users of the machine, who can read units and command lines, should not see."""
    given = {option: str(values[option]) for option in ("source", "camera", "mqtt") if values.get(option) is not None}
    return [
        option
        for option, address in given.items()
        if re.search(_WITH_USER, address) or (option != "mqtt" and "://" in address and display_url(address) != address)
    ]


def address_variable(option: str) -> str:
    """Such as ``FER_EDGE_SOURCE``: what the address of an option is called in the service's environment."""
    return f"FER_EDGE_{option.upper()}"


def _is_file(option: str, value: str, values: dict[str, Any]) -> bool:
    """Whether a value names a file rather than a word such as ``demo``, ``default`` or ``short``, or an address."""
    if option == "source":
        return source_kind(values) == "files" and value != "demo" and not value.startswith("test-pattern")
    if option == "detector":
        return value.startswith("yunet:")
    return option != "model" or shipped_folder(value) is None


def _in_full(value: str, here: Path) -> str:
    prefix = "yunet:" if value.startswith("yunet:") else ""
    full = os.path.normpath(here / os.path.expanduser(value.removeprefix(prefix)))  # noqa: PTH111 this one never raises
    if full.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108 only refused
        raise ConfigError(f"{full}: a service has a /tmp of its own. Copy it to /opt or /etc.")
    return f"{prefix}{full}"


def _check_output(option: str, value: Any, name: str) -> None:
    state = f"/var/lib/{name}/"
    if value is None or value == "-" or str(value).startswith(state):
        return
    path = Path(str(value))
    if path.is_absolute() or str(value).startswith("~") or ".." in path.parts:
        raise ConfigError(
            f"--{option} {value}: a service writes below {state} only. Give a relative name, such as {path.name}."
        )


def _replaced(arguments: list[str], option: str, value: str) -> list[str]:
    """The arguments with another value for an option, written ``--option value`` or ``--option=value``."""
    flag = f"--{option.replace('_', '-')}"
    replaced, take = [], False
    for argument in arguments:
        if take:
            argument, take = value, False
        elif argument == flag:
            take = True
        elif argument.startswith(f"{flag}="):
            argument = f"{flag}={value}"
        replaced.append(argument)
    return replaced


def source_kind(values: dict[str, Any]) -> str:
    """``stream``, ``csi`` (a Raspberry Pi's ribbon-cable camera), ``camera`` or ``files``."""
    camera, source = values.get("camera"), values.get("source")
    given = str(source if camera is None else camera)
    if _URL.match(given):
        return "stream"
    if given.startswith("picamera2"):
        return "csi"
    is_camera = camera is not None or given.startswith(("/dev/", "camera:")) or given.isdecimal()
    return "camera" if is_camera else "files"


def unit_text(plan: Plan) -> str:
    """The unit file.

    Args:
        plan: out of ``planned``.
    """
    values = plan.values
    network = _network(values)
    lines = [
        "# Written by: fer-edge service unit. Options follow the command's name; write a new unit rather than editing them.",
        "[Unit]",
        f"Description=fer-edge ({plan.name})",
        *(["Wants=network-online.target", "After=network-online.target"] if network.wide else []),
        *(
            ["# Files from before the clock was set would look old.", "After=time-sync.target"]
            if values.get("keep_days")
            else []
        ),
        "# What breaks a loop of crashes: more starts than this in ten minutes, and systemd leaves it alone.",
        "StartLimitIntervalSec=600",
        "StartLimitBurst=20",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart={' '.join(quoted(word) for word in (*_program(), *plan.arguments))}",
        f"WatchdogSec={plan.watchdog_s}",
        "# A GPU's first trial and a slow camera; the end: a video's index on a slow card.",
        "TimeoutStartSec=180",
        "TimeoutStopSec=30",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=5",
        "# Wrong use, a refused bundle, a missing package: another start would end the same way.",
        f"RestartPreventExitStatus={' '.join(map(str, HOPELESS))}",
        "# Passwords, tokens and addresses with them: FER_EDGE_MQTT_PASSWORD=…, FER_EDGE_TOKEN=… in a file that only root reads.",
        f"EnvironmentFile=-/etc/{plan.name}.env",
        f"StateDirectory={plan.name}",
        f"CacheDirectory={plan.name}",
        f"WorkingDirectory=/var/lib/{plan.name}",
        f"Environment=XDG_CACHE_HOME=/var/cache/{plan.name} XDG_STATE_HOME=/var/lib/{plan.name}",
        f"MemoryMax={plan.memory}",
        "TasksMax=64",
        "UMask=0077",
        "",
        "# The sandbox.",
        "DynamicUser=yes",
        *_devices(values),
        *network.lines,
        *_homes(plan),
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "LockPersonality=yes",
        *(["MemoryDenyWriteExecute=yes"] if _no_generated_code(values) else []),
        "RemoveIPC=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged",
        "SystemCallErrorNumber=EPERM",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """A word of ``ExecStart`` that systemd takes literally.

    Raises:
        ConfigError: it holds what a unit file cannot.
    """
    if any(ord(char) < 32 for char in word):
        raise ConfigError(f"{word!r} cannot be written into a unit file.")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", escaped, re.ASCII) else f'"{escaped}"'


def _program() -> list[str]:
    script = Path(sys.executable).with_name("fer-edge")
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "fer_edge"]


def _devices(values: dict[str, Any]) -> list[str]:
    """A camera's devices, a GPU's, or none at all."""
    kind = source_kind(values)
    cameras = {"camera": ["char-video4linux"], "csi": ["char-video4linux", "char-media", "char-dma_heap"]}.get(kind, [])
    gpus = [] if values["device"] == "cpu" else ["char-drm", "char-nvidia-frontend", "char-nvidia-uvm"]
    if not cameras and not gpus:
        return ["PrivateDevices=yes"]
    # A group that does not exist would keep the service from starting.
    groups = [name for name, wanted in (("video", cameras), ("render", gpus)) if wanted and _has_group(name)]
    lines = [f"SupplementaryGroups={' '.join(groups)}"] if groups else []
    return [*lines, "DevicePolicy=closed", *(f"DeviceAllow={name} rw" for name in cameras + gpus)]


class _Network(NamedTuple):
    lines: list[str]
    wide: bool


def _network(values: dict[str, Any]) -> _Network:
    """None, this machine's own, or all."""
    udev = ["AF_NETLINK"] if source_kind(values) == "csi" else []  # libcamera learns of cameras from udev
    serve, wide = (
        values.get("serve", values.get("address")),
        values.get("mqtt") is not None or source_kind(values) == "stream",
    )
    if serve is None and not wide:
        private = [] if udev else ["PrivateNetwork=yes"]
        return _Network(
            [f"RestrictAddressFamilies={' '.join(['AF_UNIX', *udev])}", *private, "IPAddressDeny=any"], wide
        )
    wide = wide or not _local(str(serve))
    limits = [] if wide else ["IPAddressAllow=localhost", "IPAddressDeny=any"]
    return _Network([f"RestrictAddressFamilies={' '.join(['AF_UNIX', 'AF_INET', 'AF_INET6', *udev])}", *limits], wide)


def _local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]") if ":" in address else address
    try:
        return host in ("", "localhost") or host.isdecimal() or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _homes(plan: Plan) -> list[str]:
    """Home folders are hidden, but for what the program is made of and reads."""
    program = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1], ASSETS.parents[1]]
    given = [Path(word.rpartition("=")[2].removeprefix("yunet:")) for word in plan.arguments if "/" in word]
    needed = sorted(
        {str(path) for path in (*program, *given) if str(path).startswith(tuple(f"{home}/" for home in _HOMES))}
    )
    if not needed:
        return ["ProtectHome=yes"]
    return ["ProtectHome=tmpfs", *(f"BindReadOnlyPaths={quoted(path)}" for path in needed)]


def _no_generated_code(values: dict[str, Any]) -> bool:
    """Whether memory need never be written and then executed: a GPU's driver compiles programs, libcamera is not known."""
    return bool(values["device"] == "cpu") and source_kind(values) != "csi"


def _has_group(name: str) -> bool:
    import grp

    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
