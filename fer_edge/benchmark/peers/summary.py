"""Put the turns together: medians with their range, ratios within a round, and whether the goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from fer_edge.benchmark.peers.session import PeerRun

MAIN_PEER = "fer"
GOALS = {"frames_per_s": 5.0, "memory": 1 / 4, "cold_start": 1 / 5}  # at least, at most, at most, against MAIN_PEER


def summarize(runs: Sequence[PeerRun]) -> dict[str, Any]:
    """The cases, the reference's ratios to each of them, and the goals; the first case is the reference."""
    reference = runs[0]
    cases = [_case(run) for run in runs]
    ratios = {run.case.name: found for run in runs[1:] if (found := _ratios(_beside(runs, run), run))}
    return {"reference": reference.case.name, "cases": cases, "ratios": ratios, "goals": _goals(runs, ratios)}


def middle(values: Sequence[float], digits: int = 4) -> dict[str, Any] | None:
    """Median and range; None of no values."""
    if not values:
        return None
    return {
        "median": round(statistics.median(values), digits), "min": round(min(values), digits), "max": round(max(values), digits),
        "n": len(values),
    }  # fmt: skip


def _case(run: PeerRun) -> dict[str, Any]:
    clips = {
        name: {
            "frames_per_s": middle(values, 2), "faces_found": round(run.found[name], 4),
            "extra_boxes_a_frame": round(run.extra[name], 3),
        }
        for name, values in run.frames_per_s.items()
    }  # fmt: skip
    return {
        "name": run.case.name, "peer": run.peer.name, "version": run.peer.version, "words": run.case.words,
        "options": dict(run.case.options), "cores": "all" if run.case.core is None else 1,
        "install": run.environment.facts if run.environment else None, "failed": str(run.failure) if run.failure else None,
        "first_label": run.first_label, "cold_start_s": middle(run.cold_start_s), "first_face_mib": middle(run.first_face_mib, 1),
        "peak_mib": middle(run.peak_mib, 1), "clips": clips, "classifier_of": run.case.classifier_of, "accuracy": run.accuracy,
    }  # fmt: skip


def _beside(runs: Sequence[PeerRun], run: PeerRun) -> PeerRun:
    """The reference on as many cores."""
    return next(
        other for other in runs if other.peer is runs[0].peer and (other.case.core is None) == (run.case.core is None)
    )


def _ratios(reference: PeerRun, run: PeerRun) -> dict[str, Any]:
    """The reference divided by a case, turn by turn of the same round; nothing of a case that failed."""
    if run is reference or reference.failure or run.failure:
        return {}
    return {
        "cold_start": _divided(reference.cold_start_s, run.cold_start_s),
        "memory": _divided(reference.peak_mib, run.peak_mib),
        "frames_per_s": {
            name: _divided(values, run.frames_per_s[name]) for name, values in reference.frames_per_s.items()
        },
    }


def _divided(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any] | None:
    return middle([a / b for a, b in zip(ours, theirs, strict=False)])


def _goals(runs: Sequence[PeerRun], ratios: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal against the main peer: what was asked for, what was found, whether it is met; frames/s by the worst clip."""
    found = ratios.get(MAIN_PEER)
    if not found:
        return []
    goals = []
    rates = {name: value for name, value in found["frames_per_s"].items() if value}
    if rates:
        worst = min(rates, key=lambda name: rates[name]["median"])
        goals.append(_goal("frames_per_s", f"frames/s, worst clip ({worst})", rates[worst], at_least=True))
    for key, words in (("memory", "peak memory"), ("cold_start", "cold start")):
        if found[key]:
            goals.append(_goal(key, words, found[key], at_least=False))
    ours = runs[0].accuracy
    theirs = next((run.accuracy for run in runs if run.case.name == MAIN_PEER), None)
    if ours and theirs:
        points = round(100 * (ours["accuracy"] - theirs["accuracy"]), 2)
        goals.append({"what": "accuracy, points more", "asked": "> 0", "found": points, "met": points > 0})
    return goals


def _goal(key: str, words: str, found: dict[str, Any], *, at_least: bool) -> dict[str, Any]:
    limit = GOALS[key]
    met = found["median"] >= limit if at_least else found["median"] <= limit
    return {"what": words, "asked": f"{'≥' if at_least else '≤'} {limit:g} ×", "found": found, "met": met}
