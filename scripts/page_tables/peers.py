"""Whole packages side by side, by benchmarks/peers.py."""

from __future__ import annotations

from typing import Any

from page_tables.cells import share, table
from page_tables.results import NOT_MEASURED, measured


def peers_table(values: dict[str, Any]) -> str:
    """A machine at work gives no figures for this table."""
    if values["machine_busy"] or not values["valid"]:
        return NOT_MEASURED
    clips = list(dict.fromkeys(name for case in values["cases"] for name in case["clips"]))
    rows = []
    for case in values["cases"]:
        rates = (f"{clip['frames_per_s']['median']:.1f} ({clip['faces_found']:.0%})" for clip in case["clips"].values())
        rows.append([
            case["name"], f"{case['install']['size_bytes'] / 1e6:,.0f} MB", f"{case['cold_start_s']['median']:.2f} s",
            f"{case['peak_mib']['median']:.0f} MiB", *rates, share(accuracy_of(values, case["name"])),
        ])  # fmt: skip
    machine, settings = values["machine"], values["settings"]
    used = "; ".join(f"{case['name']}: `{case['words'].split(':')[0]}`" for case in values["cases"])
    return (
        table(
            [
                "package",
                "on disk",
                "cold start",
                "peak memory",
                *(f"frames/s, {name}" for name in clips),
                "PrivateTest",
            ],
            rows,
        )
        + f"\n\n{used}. Versions: {peer_versions(values)}. Each in a clean environment; {settings['rounds']} rounds in rotating order, medians. Cold start: from "
        "starting Python to the first labelled face, files cached. Frames/s end to end without decoding, the same frames for all; in brackets the "
        f"share of the faces that were found. {machine['cpu']}, {machine['cores']} cores, load {machine['before']['load_1min']}; "
        f"{machine['before']['date'][:10]}. {goal_sentences(values)}"
    )


def accuracy_of(values: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The accuracy of a case, which may be that of another case or stand in another file."""
    cases = {case["name"]: case for case in values["cases"]}
    found = cases[cases[name]["classifier_of"] or name]["accuracy"]
    if found and "file" in found:
        kept = measured(found["file"].removesuffix(".json"))
        return next(model["fer2013"] for model in kept["models"] if model["name"] == found["model"])
    return found


def peer_versions(values: dict[str, Any]) -> str:
    """What each package runs on, once a package."""
    shown = {}
    for case in values["cases"]:
        packages = case["install"]["packages"]
        own = ("tensorflow", "torch", "ai-edge-litert", "opencv-contrib-python", "opencv-python-headless", "numpy")
        parts = ", ".join(f"{name} {packages[name]}" for name in own if name in packages)
        shown[case["peer"]] = (
            f"{case['peer']} {packages.get(case['peer'], '')} ({parts}, Python {case['install']['python']})"
        )
    return "; ".join(shown.values())


def goal_sentences(values: dict[str, Any]) -> str:
    """Ratios to `fer` with its default detector, and whether the goals are met."""
    sentences = []
    for goal in values["goals"]:
        found = goal["found"]
        low, middle, high = (f"{found[key]:.3g}" for key in ("min", "median", "max"))
        verdict = "met" if goal["met"] else "missed"
        sentences.append(f"{goal['what']} {middle} × `fer`'s ({low} to {high}; goal {goal['asked']}, {verdict})")
    ours, theirs = (accuracy_of(values, name) for name in ("fer-edge", "fer"))
    if ours and theirs:
        points = 100 * (ours["accuracy"] - theirs["accuracy"])
        sentences.append(f"accuracy {points:+.1f} points (goal > 0, {'met' if points > 0 else 'missed'})")
    return f"fer-edge against `fer` with its default detector: {'; '.join(sentences)}.{film_sentence(values)}"


def film_sentence(values: dict[str, Any]) -> str:
    """The ratio of what `fer-edge run` does with a film, which the goals do not count."""
    clips = {case["name"]: case["clips"] for case in values["cases"]}
    if not {"fer-edge, video", "fer"} <= set(clips):
        return ""
    rates = [
        found["frames_per_s"]["median"] / clips["fer"][name]["frames_per_s"]["median"]
        for name, found in clips["fer-edge, video"].items()
    ]
    return f" As `fer-edge run` looks at films, not counted by the goals: {min(rates):.1f} to {max(rates):.1f} × `fer`'s frames/s."
