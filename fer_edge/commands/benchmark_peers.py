"""``fer-edge benchmark peers``: install other packages, measure them beside fer-edge, print."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fer_edge.commands.benchmark import check_page
from fer_edge.commands.display import Display, interruptible, need
from fer_edge_runtime.errors import OutputError

if TYPE_CHECKING:
    from fer_edge.benchmark.peers.measure import Plan
    from fer_edge.commands.display import Display as Shown


@dataclass(frozen=True, slots=True)
class PeersOptions:
    """The options of ``benchmark peers``, as given."""

    peers: list[str]
    reference: str
    cache: Path
    data: Path | None
    rounds: int
    frames: int
    seconds: float
    one_core: bool
    timeout_s: float
    html: Path | None
    json: bool


def peers_command(options: PeersOptions) -> None:
    """Measure and print; the exit code is that of the first peer that could not be measured."""
    check_page(options.html)
    if options.data is not None and options.data.suffix == ".parquet":
        need(("pyarrow",), "benchmark")
    from fer_edge.benchmark.peers.measure import measure_peers
    from fer_edge.benchmark.peers.text import peer_lines

    with interruptible("no process was left behind, no figures were written."), Display() as display:
        plan = _plan(options, display)
        record, failures = measure_peers(plan, say=display.say, progress=display.progress)
        for line in peer_lines(record):
            display.say(line)
        if options.html:
            from fer_edge.benchmark.peers.page import write_peers_page

            write_peers_page(options.html, record)
            display.say(f"Page: {options.html}")
    if options.json:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
        sys.stdout.flush()
    if failures:
        raise typer.Exit(failures[0].exit_code)


def _plan(options: PeersOptions, display: Shown) -> Plan:
    """Everything that can be refused before anything is installed."""
    from fer_edge.benchmark.peers.accuracy import read_test_faces
    from fer_edge.benchmark.peers.catalogue import check_names, read_peer, shipped_peers
    from fer_edge.benchmark.peers.measure import Plan

    names = options.peers or [name for name in shipped_peers() if name != options.reference]
    peers = [read_peer(name) for name in (options.reference, *names)]
    check_names(peers)
    cache = options.cache.expanduser().absolute()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{cache} cannot be made: {error.strerror}. Choose another --cache.") from error
    test = None
    if options.data is not None:
        display.say(f"Reading {options.data} …")
        test = read_test_faces(options.data)
    return Plan(
        peers, cache, rounds=options.rounds, frames=options.frames, clip_s=options.seconds, one_core=options.one_core,
        timeout_s=options.timeout_s, test=test,
    )  # fmt: skip
