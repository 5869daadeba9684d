"""Who vouches for a bundle: an Ed25519 signature of the exact bytes of its manifest, which vouches for every other file.

It lies beside the manifest in ``manifest.sig``: JSON with ``schema`` (1), ``algorithm`` (``ed25519``), ``key`` (see
`fer_edge_runtime.keys.PublicKey`) and ``signature`` (64 bytes in base64).
"""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge_runtime.errors import BundleError
from fer_edge_runtime.keys import ID_DIGITS
from fer_edge_runtime.manifest import MANIFEST_NAME, SIGNATURE_NAME
from fer_edge_runtime.shipped import ASSETS

if TYPE_CHECKING:
    from fer_edge_runtime.bundle_files import BundleFolder, BundleZip
    from fer_edge_runtime.keys import PublicKey

SCHEMA = 1
ALGORITHM = "ed25519"
SIGNATURE_BYTES = 64
MAX_SIGNATURE_BYTES = 10_000
SIGNED, MISSING, WRONG_KEY, BROKEN = "ok", "missing", "wrong key", "broken"


class Signature(NamedTuple):
    """What ``manifest.sig`` says.

    Attributes:
        key: id of the key that made it.
        value: the 64 bytes.
    """

    key: str
    value: bytes

    def to_json(self) -> str:
        """The text of ``manifest.sig``."""
        value = binascii.b2a_base64(self.value, newline=False).decode()
        record = {"schema": SCHEMA, "algorithm": ALGORITHM, "key": self.key, "signature": value}
        return json.dumps(record, indent=1) + "\n"


class Verdict(NamedTuple):
    """On the signature of a bundle.

    Attributes:
        state: ``ok``, ``missing``, ``wrong key`` or ``broken``.
        found: for people.
    """

    state: str
    found: str


def judge(files: BundleFolder | BundleZip, manifest: bytes, key: PublicKey) -> Verdict:
    """Whether a key signed a bundle.

    Args:
        files: the bundle's.
        manifest: the bytes that will be parsed; the file may be another one by the time it is read again.
        key: that has to have signed them.
    """
    if not files.holds(SIGNATURE_NAME):
        return Verdict(MISSING, f"there is no {SIGNATURE_NAME}")
    try:
        signature = parse_signature(files.read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES))
    except BundleError as error:
        return Verdict(BROKEN, str(error).rstrip("."))
    if signature.key != key.id:
        return Verdict(WRONG_KEY, f"made with key {signature.key}, not with {key.id} ({key.origin})")
    if not key.signed(signature.value, manifest):
        return Verdict(
            BROKEN, f"{MANIFEST_NAME} is not what key {key.id} ({key.origin}) signed, or {SIGNATURE_NAME} is damaged"
        )
    return Verdict(SIGNED, f"{MANIFEST_NAME} is what key {key.id} signed")


def refuse_unsigned(files: BundleFolder | BundleZip, manifest: bytes, key: PublicKey) -> None:
    """Refuse a bundle unless a key signed it; arguments as of `judge`.

    Raises:
        BundleError: says what is wrong with its signature, and where to get a right one.
    """
    verdict = judge(files, manifest, key)
    if verdict.state == SIGNED:
        return
    name = "BUNDLE"
    shipped = ""
    if files.path.parent == ASSETS:
        name = files.path.name
        shipped = " Bundles that came with fer-edge have to be signed too."
    raise BundleError(
        f"{files.path} is refused, because only bundles signed with key {key.id} ({key.origin}) may run here. Signature "
        f"{verdict.state}: {verdict.found}.{shipped} Whoever has the private key signs with: "
        f"fer-edge models sign {name} --key KEY"
    )


def parse_signature(content: bytes) -> Signature:
    """Parse and check ``manifest.sig``.

    Raises:
        BundleError: says what was received and what is allowed.
    """
    if len(content) > MAX_SIGNATURE_BYTES:
        raise BundleError(f"{SIGNATURE_NAME} has more than {MAX_SIGNATURE_BYTES} bytes; so many are no signature.")
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{SIGNATURE_NAME} is not valid JSON: {error}.") from error
    if not isinstance(record, dict):
        raise BundleError(f"{SIGNATURE_NAME} must be a JSON object.")
    _expect(record, "schema", f"{SCHEMA}", record.get("schema") == SCHEMA)
    _expect(record, "algorithm", ALGORITHM, record.get("algorithm") == ALGORITHM)
    key, value = record.get("key"), _unpacked(record.get("signature"))
    plain = isinstance(key, str) and len(key) == ID_DIGITS and set(key) <= set("0123456789abcdef")
    _expect(record, "key", f"{ID_DIGITS} lower-case hexadecimal digits", plain)
    _expect(record, "signature", f"{SIGNATURE_BYTES} bytes in base64", len(value) == SIGNATURE_BYTES)
    return Signature(str(key), value)


def _expect(record: dict[str, Any], name: str, wanted: str, fits: bool) -> None:
    if not fits:
        received = repr(record.get(name)) if name in record else "nothing"
        shown = received if len(received) <= 80 else f"{received[:77]}..."
        raise BundleError(f"{SIGNATURE_NAME}: '{name}' must be {wanted}, received {shown}.")


def _unpacked(value: Any) -> bytes:
    """Base64 as bytes; none when it is not base64."""
    try:
        return binascii.a2b_base64(value, strict_mode=True) if isinstance(value, str) else b""
    except ValueError:
        return b""
