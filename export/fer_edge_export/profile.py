"""Where an int8 model's time goes, operator by operator, in ONNX Runtime; LiteRT's Python package has no profiler."""

from __future__ import annotations

import errno
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

RUNS = 100
_SLOWEST = 5
_SUFFIX = "_kernel_time"


def profile_onnx(content: bytes, face: NDArray[Any], *, runs: int = RUNS) -> dict[str, Any]:
    """Microseconds of one face on one thread, by kind of operator and of the slowest ones.

    The profiler itself costs every operator some microseconds: the shares count, not the sum.

    Args:
        content: the model.
        face: (1, ...) its input.
        runs: that are averaged.

    Returns:
        ``operators``: kind -> ``count`` and ``us``, the slowest kind first; ``slowest``: ``[name, kind, us]``, the slowest first.

    Raises:
        OSError: see `node_events`.
    """
    spent: Counter[tuple[str, str]] = Counter()
    for event in node_events(content, face, runs=runs):
        spent[event["name"], event["args"]["op_name"]] += event["dur"]
    kinds: dict[str, list[float]] = {}
    for (_, kind), total in spent.items():
        kinds.setdefault(kind, []).append(total / runs)
    operators = {kind: {"count": len(times), "us": round(float(np.sum(times)), 1)} for kind, times in kinds.items()}
    return {
        "operators": dict(sorted(operators.items(), key=lambda item: -item[1]["us"])),
        "slowest": [
            [_short(name), kind, round(total / runs, 1)] for (name, kind), total in spent.most_common(_SLOWEST)
        ],
    }


def node_events(content: bytes, face: NDArray[Any], *, runs: int) -> list[dict[str, Any]]:
    """ONNX Runtime's own events, one an operator and run in their order: ``name`` of the node, ``dur`` in microseconds, ``args``.

    Args:
        content: the model; it runs on one thread.
        face: its input.
        runs: of the model.

    Raises:
        OSError: the folder of temporary files is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        feeds = {session.get_inputs()[0].name: face}
        for _ in range(runs):
            session.run(None, feeds)
        written = Path(session.end_profiling())
        try:
            events = json.loads(written.read_text())
        except ValueError:  # ONNX Runtime does not look whether its writes succeed
            raise OSError(errno.ENOSPC, "The disk is full", str(written)) from None
    return [
        {**event, "name": event["name"].removesuffix(_SUFFIX)}
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)
    ]


def _short(name: str) -> str:
    """``network/quant_STEP/Relu6;…`` is of STEP."""
    parts = name.partition(";")[0].split("/")
    return parts[1].removeprefix("quant_") if len(parts) > 1 else name
