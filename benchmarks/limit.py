#!/usr/bin/env python3
"""Keep what `fer-edge benchmark limit` measures of a shipped model: how much of this core's int8 rate its layers reach.

python benchmarks/limit.py [BUNDLE] [--rounds 500]
"""

from __future__ import annotations

import argparse

from kept import keep, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="default", metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=500)
    options = parser.parse_args()
    record = measured("limit", options.bundle, "--rounds", str(options.rounds))
    record["measured_files"] = {f"{record['bundle']}/{record['artefact']}": record.pop("sha256")}
    print(keep("limit", record))


if __name__ == "__main__":
    main()
