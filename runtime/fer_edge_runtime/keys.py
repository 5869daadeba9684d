"""Public keys that bundles are signed with. The package `cryptography` is imported only when there is one to read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_edge_runtime.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

REQUIRE_VARIABLE = "FER_EDGE_REQUIRE_SIGNATURE"
MAX_KEY_BYTES = 10_000
ID_DIGITS = 16
_KEYGEN = "fer-edge models keygen --out KEY writes KEY, the private one, and KEY.pub"


class PublicKey(NamedTuple):
    """An Ed25519 public key.

    Attributes:
        id: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
        origin: the file it came from, for messages.
    """

    id: str
    origin: str
    key: Ed25519PublicKey

    def signed(self, signature: bytes, content: bytes) -> bool:
        """Whether the owner of the private key signed exactly these bytes."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def required_key(path: str | Path | None = None) -> PublicKey | None:
    """The key that bundles have to be signed with: ``path``, else what ``FER_EDGE_REQUIRE_SIGNATURE`` names, else none.

    Raises:
        ConfigError: it cannot be used; MissingPackageError: `cryptography` is not installed.
    """
    if path is not None:
        return read_public_key(path)
    named = os.environ.get(REQUIRE_VARIABLE)
    if named is None:
        return None
    if not named:  # somebody wanted a check here, so an empty value must not switch it off
        raise ConfigError(f"{REQUIRE_VARIABLE} is empty. Let it name the file of a public key, or unset it.")
    try:
        return read_public_key(named)
    except ConfigError as error:
        raise ConfigError(f"{REQUIRE_VARIABLE}: {error}") from error


def read_public_key(path: str | Path) -> PublicKey:
    """Read a PEM file.

    Raises:
        ConfigError: it is not there or no Ed25519 public key; MissingPackageError: `cryptography` is not installed.
    """
    content = read_pem(path, "public")
    if b"PRIVATE KEY" in content:
        raise ConfigError(
            f"{path} is a private key, which belongs on the machine that signs and nowhere else. Give its KEY.pub."
        )
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is not a readable public key in PEM form. {_KEYGEN}.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is a public key, but not an Ed25519 one. {_KEYGEN}.")
    return PublicKey(key_id(key), str(path), key)


def key_id(key: Ed25519PublicKey) -> str:
    """What people and signatures call a key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:ID_DIGITS]


def read_pem(path: str | Path, kind: str) -> bytes:
    """The bytes of a key file.

    Args:
        path: the file.
        kind: ``public`` or ``private``, for messages.

    Raises:
        ConfigError: it is not there, no plain file, or too large for a key.
    """
    place = Path(path)
    if not place.exists():
        raise ConfigError(f"There is no {kind} key at {path}. {_KEYGEN}.")
    if not place.is_file():
        raise ConfigError(f"{path} is not a file, so it is no {kind} key. {_KEYGEN}.")
    try:
        with place.open("rb") as file:
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"The {kind} key {path} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_KEY_BYTES:
        raise ConfigError(f"{path} has more than {MAX_KEY_BYTES} bytes, so it is no {kind} key. {_KEYGEN}.")
    return content


def require_cryptography() -> None:
    """Fail with the pip command where it is not installed.

    Raises:
        MissingPackageError: it is not.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("cryptography", "signing", "signatures need it") from error
