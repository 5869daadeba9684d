"""Make keys and sign bundles with them. Checking is the device's part: `fer_edge_runtime.signature`."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_edge_runtime.bundle_files import BundleZip, manifest_bytes, open_files
from fer_edge_runtime.errors import BundleError, ConfigError, OutputError
from fer_edge_runtime.keys import key_id, read_pem, require_cryptography
from fer_edge_runtime.manifest import MANIFEST_NAME, SIGNATURE_NAME
from fer_edge_runtime.signature import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE_MODE, PUBLIC_MODE = 0o600, 0o644
PUBLIC_SUFFIX = ".pub"


class KeyPair(NamedTuple):
    """Two files and the name of the key in them."""

    private: Path
    public: Path
    id: str


def make_keys(out: Path) -> KeyPair:
    """Write a new private key to ``out``, only its owner may read it, and the public one beside it.

    Raises:
        ConfigError: one of the files exists; OutputError: the disk refused; MissingPackageError: no `cryptography`.
    """
    public = out.with_name(out.name + PUBLIC_SUFFIX) if out.name else out
    if not out.name or out.suffix == PUBLIC_SUFFIX:
        raise ConfigError(f"--out names the private key, received {out}. The public one is written beside it, with {PUBLIC_SUFFIX}.")  # fmt: skip
    require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, public_pem, PUBLIC_MODE)
    try:
        _write_new(out, private_pem, PRIVATE_MODE)
    except BaseException:
        public.unlink()
        raise
    return KeyPair(out, public, key_id(key.public_key()))


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a PEM file.

    Raises:
        ConfigError: it is not there or no Ed25519 private key; MissingPackageError: `cryptography` is not installed.
    """
    content = read_pem(path, "private")
    if b"PUBLIC KEY" in content:
        raise ConfigError(f"{path} is a public key, which only checks. Give the private key that it belongs to.")
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise ConfigError(
            f"The private key {path} has a password, and nobody is asked for it here. Give one without; its file's permissions protect it."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} is not a readable private key in PEM form. fer-edge models keygen --out KEY writes one."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{path} is a private key, but not an Ed25519 one. fer-edge models keygen --out KEY writes one."
        )
    return key


def sign(model: str, key: Ed25519PrivateKey) -> Path:
    """Put a signature into a bundle folder that verifies, in place of an earlier one.

    Args:
        model: a bundle folder, or the name of a shipped bundle.
        key: to sign with.

    Returns:
        The signature's file.

    Raises:
        BundleError: the bundle does not verify; ConfigError: it is a zip; OutputError: the disk refused.
    """
    from fer_edge.verification import FAILED, verify

    files = open_files(model)
    if isinstance(files, BundleZip):
        raise ConfigError(
            f"{model} is a zip, and a signature is written into a folder. Sign the bundle folder, then zip it again."
        )
    content = manifest_bytes(files)
    failed = [f"{check.check}: {check.found}" for check in verify(model) if check.status == FAILED]
    if failed:
        raise BundleError(f"{model} is not signed, because it does not verify. {'; '.join(failed)}")
    if manifest_bytes(files) != content:
        raise BundleError(f"{model} is not signed, because its {MANIFEST_NAME} changed while it was verified. Try again.")  # fmt: skip
    signature = Signature(key_id(key.public_key()), key.sign(content))
    target = files.path / SIGNATURE_NAME
    _replace(target, signature.to_json().encode())
    return target


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Not under a temporary name: a rename would replace a key that somebody else writes at the same time."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists, and a key is never overwritten. Name another --out.") from error
    except OSError as error:
        raise OutputError(f"The key {path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise OutputError(f"The key {path} cannot be written: {error.strerror}.") from error


def _replace(target: Path, content: bytes) -> None:
    partial = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            partial = Path(file.name)
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), PUBLIC_MODE)
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        if partial:
            with suppress(OSError):
                partial.unlink()
        raise OutputError(f"The signature {target} cannot be written: {error.strerror}.") from error
