#!/usr/bin/env python3
"""Write down which manifests are shipped: SHA-256 of each, in ``assets/digests.json``; with --check, see that it says so."""

from __future__ import annotations

import hashlib
import json
import sys

from fer_edge_runtime.manifest import MANIFEST_NAME
from fer_edge_runtime.shipped import ASSETS, DIGESTS_NAME


def main() -> int:
    found = {
        path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(ASSETS.glob(f"*/{MANIFEST_NAME}"))
    }
    text = json.dumps(found, indent=1) + "\n"
    target = ASSETS / DIGESTS_NAME
    if "--check" in sys.argv[1:]:
        if not target.exists() or target.read_text() != text:
            print(f"{target} is not of the shipped manifests; run scripts/shipped_digests.py", file=sys.stderr)
            return 1
        return 0
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
