"""The same work as a Ray Data job on an existing cluster: a task a group, the parts come back to whoever started it.

Tasks, not actors: one that loses its process or its machine starts again wherever there is room, and nothing waits for a
machine that is gone. The worker process outlives its task in Ray's process, so the model is loaded once for each. A repeated
task makes the same part under the same name, and only the driver writes into the folder, so each input counts once, without
a file system that the machines share. The inputs themselves must be readable on every node: a bucket, or a shared folder.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.archive.group import Progress, Seat, annotate_group
from fer_edge.archive.inputs import Input
from fer_edge.archive.part import Covered, PartWriter
from fer_edge.archive.parts import Parts
from fer_edge.archive.settings import Settings
from fer_edge.archive.table import table_schema
from fer_edge_runtime.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pyarrow as pa

KNOCK_S = 10.0
# Of a Ray process: the worker that its next task uses again.
_seats: dict[str, Seat] = {}


def connect(address: str) -> AbstractContextManager[Any]:
    """Join a cluster as a driver.

    Args:
        address: ``auto`` for the one of this machine, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        DeviceError: there is none.
    """
    _knock(address)
    import ray

    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        context: AbstractContextManager[Any] = ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(
            f"No Ray cluster answers at '{address}': {reason.rstrip('.')}. Start one with 'ray start --head', or leave --ray out."
        ) from None
    for number, handler in ours.items():  # Ray's end the process without a word of ours
        signal.signal(number, handler)
    return context


def _knock(address: str) -> None:
    """Ray waits for ever for an address that nobody listens at."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"No Ray cluster answers at '{address}': {error}. Start one with 'ray start --head', or leave --ray out."
        ) from None


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """What Ray prints to standard output goes to standard error, so that the first stays machine output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def cluster_slots() -> tuple[int, int]:
    """CPUs of the cluster that is connected, and its live nodes."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0)), sum(node["Alive"] for node in ray.nodes())


def run_ray(
    groups: Sequence[Sequence[Input]], parts: Parts, schema: pa.Schema, *, settings: Settings, buckets: dict[str, str],
    facts: dict[str, Any], workers: int, show: Callable[[Progress], None],
) -> dict[Path, list[Covered]]:  # fmt: skip
    """Annotate all groups on the connected cluster.

    Args:
        groups: a task each.
        parts: gets a part a group.
        schema: of the table.
        settings: of the annotators.
        buckets: see `fer_edge.archive.inputs.Listing`.
        facts: what must run on every node.
        workers: tasks at a time, a CPU each.
        show: called with the progress of each group that comes back.

    Returns:
        The new parts.

    Raises:
        FerEdgeError: a node has another model or version, or none; a part cannot be written.
    """
    made: dict[Path, list[Covered]] = {}
    for number, answer in enumerate(_answers(groups, settings, buckets, facts, workers)):
        if answer["problem"]:
            raise ConfigError(f"A node of the cluster cannot annotate: {answer['problem']}")
        covered = [Covered(Input(*item), *rest) for item, *rest in json.loads(answer["covered"])]
        made[parts.commit(parts.receive(f"group-{number}", answer["part"]), covered)] = covered
        for one, problem in zip(covered, json.loads(answer["problems"]), strict=True):
            show(Progress(one.frames, one.faces, done=True, problem=problem))
    return made


def _answers(
    groups: Sequence[Sequence[Input]], settings: Settings, buckets: dict[str, str], facts: dict[str, Any], workers: int
) -> Iterator[dict[str, Any]]:
    if not groups:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray's own, about its own
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        items = [{"inputs": json.dumps(group)} for group in groups]
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            annotate_batch,
            batch_size=1,
            fn_kwargs={"settings": settings, "buckets": buckets, "facts": facts},
            compute=ray.data.TaskPoolStrategy(size=workers),
            num_cpus=1,
            max_retries=-1,
        )
        yield from dataset.iter_rows()


def annotate_batch(
    batch: dict[str, Any], *, settings: Settings, buckets: dict[str, str], facts: dict[str, Any]
) -> dict[str, list[Any]]:
    """A task: one group, as JSON, into a part, as bytes, with what it covers; or a reason why this node cannot."""
    group = [Input(*item) for item in json.loads(str(batch["inputs"][0]))]
    key = json.dumps([settings, buckets])
    seat = _seats.setdefault(key, Seat(settings, buckets))
    problem = _differs(seat, facts)
    if problem:
        return {"part": [b""], "covered": ["[]"], "problems": ["[]"], "problem": [problem]}
    problems: list[str | None] = []

    def report(progress: Progress) -> None:
        if progress.done:
            problems.append(progress.problem)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part")
        part = PartWriter(path, table_schema(facts["labels"], {}))
        annotate_group(seat, group, part, report=report, stopped=lambda: False)
        part.close()
        content = path.read_bytes()
    return {
        "part": [content], "covered": [json.dumps(part.covered)], "problems": [json.dumps(problems)], "problem": [""],
    }  # fmt: skip


def _differs(seat: Seat, facts: dict[str, Any]) -> str:
    """Why this node's rows would not be the driver's; empty when they would."""
    from fer_edge_runtime.errors import FerEdgeError

    try:
        here = seat.facts()
    except FerEdgeError as error:
        return str(error)
    for name in ("fer_edge", "manifest_sha256", "artefact_sha256"):
        if here[name] != facts[name]:
            return f"its {name} is {here[name]}, that of the machine where the command runs is {facts[name]}."
    return ""
