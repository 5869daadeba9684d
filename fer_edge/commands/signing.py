"""``fer-edge models keygen`` and ``fer-edge models sign``."""

from __future__ import annotations

import sys
from pathlib import Path

from fer_edge.model_facts import printable
from fer_edge.signing import make_keys, read_private_key, sign
from fer_edge_runtime.keys import REQUIRE_VARIABLE, key_id


def keygen_command(out: Path) -> None:
    """Make a private key and its public key, and say which belongs where."""
    pair = make_keys(out)
    sys.stderr.write(
        f"Key {pair.id}\n"
        f"  private  {pair.private}: signs. Keep it off the devices, and a copy of it somewhere safe.\n"
        f"  public   {pair.public}: checks. For the devices: fer-edge run --require-signature, or {REQUIRE_VARIABLE}.\n"
    )


def sign_command(model: str, key: Path) -> None:
    """Sign a bundle that verifies."""
    private = read_private_key(key)
    target = sign(model, private)
    sys.stderr.write(f"{printable(model)} signed with key {key_id(private.public_key())}. Written: {target}\n")
