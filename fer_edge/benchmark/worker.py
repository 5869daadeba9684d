"""A case's worker process: ``python -m fer_edge.benchmark.worker``. The first request opens the case."""

from __future__ import annotations

from typing import Any

from fer_edge.startup import loaded, start_light
from fer_edge.worker.answers import answer_requests

ACTIONS = ("faces", "clip", "scene", "memory")


def main() -> None:
    """Answer until there are no more requests."""
    start_light()
    bench: Any = None

    def answer(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        nonlocal bench
        if action == "open":
            bench = _open(**arguments)
            found = bench.describe()
        elif action in ACTIONS:
            found = getattr(bench, action)(**arguments)
        else:
            raise ValueError(f"unknown request {action!r}")
        return dict(found)

    answer_requests(answer)


def _open(case: dict[str, Any], clip: str) -> Any:
    from fer_edge.benchmark.bench import Bench
    from fer_edge.benchmark.case import Case
    from fer_edge_runtime.sources.base import quiet_opencv

    quiet_opencv()
    bench = Bench(Case(**case), clip)
    loaded()
    return bench


if __name__ == "__main__":
    main()
