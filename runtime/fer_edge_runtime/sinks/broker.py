"""Which MQTT broker, as whom, and under which topics: what the address and the options beside it say."""

from __future__ import annotations

import os
import re
import socket
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.sources.base import display_name, display_url

if TYPE_CHECKING:
    import ssl

PASSWORD_VARIABLE = "FER_EDGE_MQTT_PASSWORD"  # noqa: S105 the variable's name
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_SHAPE = (
    "Write mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS; the password goes into the environment variable "
    f"{PASSWORD_VARIABLE}, or behind the user as USER:PASSWORD with its special characters as %40 and the like."
)


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """The options of a run that concern MQTT, as given.

    Attributes:
        url: the broker; may hold a password.
        name: of this device; None is the machine's own.
        ca: file of the certificate authority to trust, instead of the system's.
        cert: file of this device's certificate; key: of its private key, when that is another one.
        every_frame: also send the JSON Lines record of every frame.
        discovery: tell Home Assistant what there is.
        version: of the program, for Home Assistant.
        patient: a broker that is away at the start is waited for while the run goes on, instead of being an error.
    """

    url: str = field(repr=False)
    name: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    every_frame: bool = False
    discovery: bool = True
    version: str = ""
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and who talks to it.

    Attributes:
        host, port, tls: where it is.
        user, password: how to log in, or None.
        name: of this device, for people.
        prefix: of all topics, without a slash at its end.
        ca, cert, key: files for TLS, or None.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)
    name: str
    prefix: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def address(self) -> str:
        """For people: no user, no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{display_name(host)}:{self.port}"

    @property
    def identity(self) -> str:
        """One word of ``[A-Za-z0-9_-]`` that stays the same from run to run and differs where the topics do."""
        text = self.prefix if self.prefix.startswith("fer-edge/") else f"fer-edge/{self.prefix}"
        word = re.sub(r"[^A-Za-z0-9-]", "_", text)
        return word if word == text.replace("/", "_") else f"{word}_{zlib.crc32(text.encode()):08x}"


def parse_broker(options: MqttOptions) -> Broker:
    """Read the address and what belongs to it.

    Raises:
        ConfigError: it is not an address, or the options do not fit it; the message holds no password.
    """
    parts, port = _split(options.url)
    tls = parts.scheme == "mqtts"
    if not tls and (options.ca or options.cert or options.key):
        raise ConfigError("--mqtt-ca, --mqtt-cert and --mqtt-key are for TLS. Write the address as mqtts://… .")
    if options.key and not options.cert:
        raise ConfigError("--mqtt-key is the key of a certificate. Give --mqtt-cert FILE as well.")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password is not None else os.environ.get(PASSWORD_VARIABLE)
    if password is not None and user is None:
        raise ConfigError(f"There is a password for the MQTT broker but no user. {_SHAPE}")
    name = _checked_name(socket.gethostname() if options.name is None else options.name)
    return Broker(
        host=parts.hostname or "", port=port, tls=tls, user=user, password=password, name=name,
        prefix=_checked_prefix(unquote(parts.path).strip("/") or f"fer-edge/{name}"),
        ca=options.ca, cert=options.cert, key=options.key,
    )  # fmt: skip


def _split(url: str) -> tuple[SplitResult, int]:
    """The address in its parts, and the port."""
    shown = display_url(url if re.match(r"\w+://", url) else f"mqtt://{url}")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        # What stands where the port should be may be a password, so the address is not repeated.
        raise ConfigError(f"The MQTT address has no port that is a number from 1 to 65535. {_SHAPE}") from None
    # An @ behind the host means that a password with a slash was cut in two; its rest must not become a topic.
    misread = parts.query or parts.fragment or "@" in parts.path or "?" in url or "#" in url
    if parts.scheme not in _PORTS or not parts.hostname or misread or not _is_host(parts.hostname):
        raise ConfigError(f"'{shown}' is not the address of an MQTT broker. {_SHAPE}")
    return parts, port


def _is_host(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return host.isprintable() and " " not in host


def _checked_name(name: str) -> str:
    if not name.strip() or re.search(r"[/+#]", name) or not name.isprintable():
        raise ConfigError(
            f"'{display_name(name)}' cannot be the name of this device. Give --mqtt-name with letters, digits, - or _."
        )
    return name


def _checked_prefix(prefix: str) -> str:
    if re.search(r"[+#]|^\$", prefix) or not prefix.isprintable():
        raise ConfigError(
            f"'{display_name(prefix)}' cannot start topics: + and # are wildcards, $ is the broker's own. "
            "Write mqtt://HOST/PREFIX with letters, digits, - and /."
        )
    return prefix


def tls_context(broker: Broker) -> ssl.SSLContext:
    """What to trust and what to show.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    import ssl

    try:
        context = ssl.create_default_context(cafile=broker.ca)
    except OSError as error:  # an SSLError is one, too
        raise ConfigError(f"--mqtt-ca {broker.ca}: {_why(error)}. Give a file of certificates in PEM form.") from error
    if broker.cert is not None:
        try:
            # Without a password of ours OpenSSL would ask on the terminal and wait.
            context.load_cert_chain(broker.cert, broker.key, password=lambda: "-")
        except OSError as error:
            files = f"{broker.cert} and {broker.key}" if broker.key else str(broker.cert)
            raise ConfigError(
                f"--mqtt-cert: {files}: {_why(error)}. Give a certificate and its key in PEM form, without a passphrase."
            ) from error
    return context


def _why(error: OSError) -> str:
    """Such as ``No such file or directory`` or ``KEY_VALUES_MISMATCH``."""
    return str(getattr(error, "reason", None) or error.strerror or error)
