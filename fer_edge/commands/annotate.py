"""``fer-edge annotate``: list the inputs, let processes or a cluster work, put the table together, say what happened."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge import __version__
from fer_edge.commands.annotate_display import AnnotateDisplay, counted
from fer_edge.commands.display import interruptible, need
from fer_edge.first_run import first_run_notice
from fer_edge_runtime.errors import ConfigError, OutputError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from fer_edge.archive.inputs import Input, Listing
    from fer_edge.archive.part import Covered
    from fer_edge.archive.parts import Parts
    from fer_edge.archive.results import Totals

LISTED = 10
SLOW_S = 30.0


class AnnotateOptions(NamedTuple):
    """The command's options, as given."""

    sources: list[str]
    out: Path
    model: str
    engine: str
    detector: str
    min_face: int
    largest: bool
    detect_every: int
    workers: int
    ray: str | None
    require_signature: Path | None
    overwrite: bool
    json: bool


def annotate_command(options: AnnotateOptions) -> None:
    """Annotate; exit code 0 unless nothing at all could be read (4)."""
    need(("pyarrow",), "annotate")
    if options.ray is not None:
        need(("ray",), "ray")
    from fer_edge.archive.parts import Parts
    from fer_edge.archive.results import refuse_target

    refuse_target(options.out)
    with interruptible("what is done is kept; give the same command again to go on."), Parts(options.out) as parts:
        _Job(options, parts).run()


class _Job:
    """One run of the command."""

    def __init__(self, options: AnnotateOptions, parts: Parts) -> None:
        from fer_edge.archive.settings import Settings
        from fer_edge_runtime.shipped import shipped_folder

        path = Path(options.model)
        own = shipped_folder(options.model) is None and path.exists()
        signature = options.require_signature
        self._options, self._parts = options, parts
        self._settings = Settings(
            model=str(path.absolute()) if own else options.model,
            engine=options.engine, detector=options.detector, min_face=options.min_face, largest=options.largest,
            detect_every=options.detect_every, require_signature=None if signature is None else str(signature.absolute()),
        )  # fmt: skip
        self._display = AnnotateDisplay()

    def run(self) -> None:
        from fer_edge.archive.group import Seat
        from fer_edge.archive.inputs import list_inputs
        from fer_edge.archive.results import assemble, complete_already, digest, totals_of
        from fer_edge.archive.table import table_schema

        if self._options.detect_every < 1:
            raise ConfigError(f"--detect-every {self._options.detect_every} cannot be used. Give 1 or more.")
        begin = time.monotonic()
        covered: dict[Path, list[Covered]] = {}
        listing = list_inputs(self._options.sources)
        first = Seat(self._settings, listing.buckets)
        try:
            facts = first.facts()
            self._say(f"fer-edge {__version__}: {facts['runs']}")
            if notice := first_run_notice():
                self._say(notice)
            known = {**self._identity(facts), "labels": facts["labels"]}
            wanted = {**known, "inputs_sha256": digest(listing.inputs)}
            totals = complete_already(self._options.out, wanted)
            if totals is None:
                covered = self._take_over(known, listing)
                covered |= self._work(first, facts, listing, covered, table_schema(facts["labels"], known))
                totals = totals_of(covered)
        finally:
            first.close()
        if covered:
            schema = table_schema(facts["labels"], {**wanted, **totals._asdict()})
            with self._display:
                assemble(self._options.out, schema, covered, listing.inputs, advance=self._assembling)
        else:
            self._say(f"{self._options.out} is complete already.")
        self._parts.leave(known)
        self._summary(totals, time.monotonic() - begin)

    def _assembling(self, done: int, total: int) -> None:
        self._display.bar("putting the table together", done, total)

    def _identity(self, facts: dict[str, Any]) -> dict[str, Any]:
        """What makes rows comparable: model and options, not where the model lies."""
        options = self._settings._asdict()
        for name in ("model", "engine", "require_signature"):
            del options[name]
        return {**{name: facts[name] for name in facts if name not in ("labels", "runs")}, **options}

    def _take_over(self, settings: dict[str, Any], listing: Listing) -> dict[Path, list[Covered]]:
        """What an earlier run has finished; refuses to overwrite a result."""
        out, fresh = self._options.out, self._options.overwrite
        resumed = self._parts.claim(settings, fresh=fresh)
        covered, dropped = self._parts.covered(listing.inputs)
        if out.exists() and not fresh:
            if not covered:
                self._parts.remove()
            raise OutputError(f"{out} exists. Choose another --out, or give --overwrite to replace it.")
        if dropped:
            self._say(
                f"{counted(dropped, 'finished group')} must be done again: inputs have changed or are gone, or a part is damaged."
            )
        if resumed and covered:
            done = sum(map(len, covered.values()))
            self._say(f"Going on: {done:,} of {counted(len(listing.inputs), 'input')} done.")
        if listing.left_out:
            self._say(f"Left out: {counted(listing.left_out, 'other file')}, neither picture nor video by name.")
        return covered

    def _work(
        self, first: Any, facts: dict[str, Any], listing: Listing, covered: dict[Path, list[Covered]], schema: pa.Schema
    ) -> dict[Path, list[Covered]]:
        done = {one.item for group in covered.values() for one in group}
        if self._options.ray is None:
            return self._on_this_machine(first, listing, done, schema)
        return self._on_ray(first, facts, listing, done, schema)

    def _on_this_machine(
        self, first: Any, listing: Listing, done: set[Input], schema: pa.Schema
    ) -> dict[Path, list[Covered]]:
        from fer_edge.archive.group import Seat
        from fer_edge.archive.planning import default_workers, make_groups
        from fer_edge.archive.pool import run_pool

        workers = self._options.workers or default_workers()
        groups = make_groups(listing.inputs, done, workers=workers)
        seats = [first, *(Seat(self._settings, listing.buckets) for _ in range(min(workers, len(groups)) - 1))]
        self._announce(listing, done, f"{len(seats)} worker process{'es' * (len(seats) != 1)}")
        with self._display:
            self._display.start(len(listing.inputs) - len(done))
            return run_pool(seats, groups, self._parts, schema, show=self._display.show, tick=self._display.tick)

    def _on_ray(
        self, first: Any, facts: dict[str, Any], listing: Listing, done: set[Input], schema: pa.Schema
    ) -> dict[Path, list[Covered]]:
        from fer_edge.archive.planning import make_groups
        from fer_edge.archive.ray_job import cluster_slots, connect, quiet_stdout, run_ray

        first.close()  # it was here to say what runs
        with quiet_stdout(), connect(str(self._options.ray)):
            slots, nodes = cluster_slots()
            workers = self._options.workers or max(1, slots)
            groups = make_groups(listing.inputs, done, workers=workers)
            self._announce(listing, done, f"Ray: {workers} tasks at a time on {nodes} node{'s' * (nodes != 1)}")
            with self._display:
                self._display.start(len(listing.inputs) - len(done))
                return run_ray(
                    groups, self._parts, schema, settings=self._settings, buckets=listing.buckets, facts=facts,
                    workers=workers, show=self._display.show,
                )  # fmt: skip

    def _announce(self, listing: Listing, done: set[Input], how: str) -> None:
        left = [item for item in listing.inputs if item not in done]
        videos = sum(item.kind == "video" for item in left)
        size = sum(item.size for item in left)
        self._say(
            f"{counted(len(left) - videos, 'picture')} and {counted(videos, 'video')}, {size / 1e6:,.1f} MB; {how}."
        )

    def _summary(self, totals: Totals, seconds: float) -> None:
        from fer_edge.archive.results import errors_file

        errors = errors_file(self._options.out) if totals.bad else None
        done, shown = self._display.done, self._display.problems
        rate = f", {done / seconds:.1f} inputs/s" if seconds else ""
        now = f"; {counted(done, 'input')} in {seconds:.1f} s{rate}" if done else ""
        self._say(
            f"{counted(totals.inputs, 'input')}, {counted(totals.frames, 'frame')}, {counted(totals.faces, 'face')}{now}."
        )
        for problem in shown[:LISTED]:
            self._say(f"Could not be read: {problem}")
        if errors is not None:
            self._say(
                f"{counted(totals.bad, 'input')} could not be read, or not to the end; the whole list is in {errors}."
            )
        self._say(f"Written: {self._options.out}")
        if self._options.json:
            record = {
                "schema": 1, "command": "annotate", "fer_edge": __version__, "out": str(self._options.out), **totals._asdict(),
                "errors": None if errors is None else str(errors), "done_now": done, "seconds": round(seconds, 2),
            }  # fmt: skip
            sys.stdout.write(json.dumps(record) + "\n")
        if totals.bad and not totals.frames:
            raise SourceError(f"Nothing can be read of {counted(totals.inputs, 'input')}. The reasons are in {errors}.")

    def _say(self, sentence: str) -> None:
        self._display.say(sentence)
