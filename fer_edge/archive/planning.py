"""How work is cut into groups, and how many processes share it."""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge.archive.inputs import Input
from fer_edge_runtime.engines.select import available_cores

# A worker's peak, measured on x86: 86 MiB on small pictures, 116 on a video of 480×360, 401 on a picture of 48 megapixels.
WORKER_MIB = 400
SMALLEST, LARGEST, SHARES = 8, 512, 16


def default_workers() -> int:
    """One a core, as long as each has the memory."""
    from fer_edge.doctor.check import Host
    from fer_edge.doctor.memory import read_budget

    budget = read_budget(Host())
    fits = budget.available // WORKER_MIB if budget else available_cores()
    return max(1, min(available_cores(), fits))


def make_groups(inputs: Sequence[Input], done: set[Input], *, workers: int) -> list[list[Input]]:
    """Groups of what is not done, in the order in which to do them.

    A video is a group of its own, because its faces are followed from frame to frame; the largest come first, so that none
    is left to run alone at the end. Pictures are grouped as they follow each other, in at least 16 groups a worker.
    """
    left = [item for item in inputs if item not in done]
    videos = [[item] for item in sorted(left, key=lambda item: -item.size) if item.kind == "video"]
    pictures = sum(item.kind == "picture" for item in left)
    size = max(SMALLEST, min(LARGEST, -(-pictures // (workers * SHARES))))
    groups: list[list[Input]] = [[]]
    for item in inputs:
        if item in done or item.kind == "video":
            if groups[-1]:
                groups.append([])  # a part is a run of neighbours, so that the table keeps the order
        else:
            if len(groups[-1]) == size:
                groups.append([])
            groups[-1].append(item)
    return videos + [group for group in groups if group]
