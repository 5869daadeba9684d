"""What a search leaves for people and tools: ``best.toml``, ``tuning.json`` and ``tuning.html``."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_edge_train import study_plots
from fer_edge_train.page import cards, figure, page, paragraph, side_by_side, table
from fer_edge_train.run_folder import write_json, write_whole
from fer_edge_train.study_plots import Plot, Shot
from fer_edge_train.summary import duration
from fer_edge_train.toml_text import to_toml
from fer_edge_train.tuning import Search, best_config, recipe_value

_HONESTY = (
    "PublicTest chose among the trials, so the best figure is a little too good, the more so the more trials there were. "
    "PrivateTest was not looked at: it is there for one run of the best recipe."
)


def write_search(plan: Search, found: Mapping[str, Any], out: Path) -> None:
    """Write what is known so far; ``best.toml`` once a trial is whole.

    Args:
        plan: what is searched.
        found: what `fer_edge_train.tuning.search` returned or told.
        out: the search's folder.

    Raises:
        OutputError: a file cannot be written.
    """
    write_json(out / "tuning.json", found)
    recipe = ""
    if found["best"]:
        config = best_config(plan, found)
        recipe = to_toml(config.to_dict())
        head = f"# Found by fer-edge tune {plan.name}: {config.expects}.\n\n"
        write_whole(out / "best.toml", lambda temporary: temporary.write_text(head + recipe, encoding="utf-8"))
    content = _page(plan, found, recipe, out)
    write_whole(out / "tuning.html", lambda temporary: temporary.write_text(content, encoding="utf-8"))


def _page(plan: Search, found: Mapping[str, Any], recipe: str, out: Path) -> str:
    title = f"Search around {plan.name}"
    body = f"<h1>{html.escape(title)}</h1>{_cards(found)}{paragraph(_HONESTY)}"
    if plan.rows:
        body += paragraph(
            f"Every trial learned from about {plan.rows:,} training rows; more rows may like other values better."
        )
    body += f"<h2>Best values</h2>{table(*_best_table(plan, found))}"
    if found["best"]:
        command = f"fer-edge train {out / 'best.toml'} --data … --out …"
        body += f"<p>Train it: <code>{html.escape(command)}</code></p>"
    figures = [figure(plot.svg, plot.caption) for plot in draw(plan, found)]
    body += "<h2>Plots</h2>" + "".join(side_by_side(*figures[start : start + 2]) for start in range(0, len(figures), 2))
    body += f"<h2>Trials</h2>{table(*_trial_table(found))}"
    if recipe:
        body += f"<details><summary>The best recipe</summary><pre>{html.escape(recipe)}</pre></details>"
    return page(title, body)


def _cards(found: Mapping[str, Any]) -> str:
    trials, best = found["trials"], found["best"]
    stopped = sum(trial["state"] != "whole" for trial in trials)
    shown = [
        ("Trials", str(len(trials)), f"{stopped} stopped early or diverged"),
        ("Training", duration(sum(t["seconds"] for t in trials)), "all trials"),
    ]
    if best:
        shown.insert(
            0, ("Best on PublicTest", f"{best['accuracy']:.2%}", f"trial {best['number']}, {best['best_epoch']}")
        )
    return cards(shown)


def _best_table(plan: Search, found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    best = found["best"]
    rows = [
        [
            key,
            f"{recipe_value(plan.config, key):g}",
            f"{low:g} to {high:g}",
            f"{best['values'][key]:.4g}" if best else "–",
        ]
        for key, (low, high) in plan.space.items()
    ]
    return ["option", "the recipe's", "searched", "best"], rows


def _trial_table(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    keys = list(found["space"])
    rows = [
        [
            str(trial["number"]), "–" if trial["accuracy"] is None else f"{trial['accuracy']:.2%}", trial["state"],
            str(len(trial["curve"])), duration(trial["seconds"]), *(f"{trial['values'][key]:.4g}" for key in keys),
        ]
        for trial in sorted(found["trials"], key=lambda trial: -(trial["accuracy"] or 0))
    ]  # fmt: skip
    return ["trial", "PublicTest", "state", "epochs", "time", *keys], rows


def draw(plan: Search, found: Mapping[str, Any]) -> list[Plot]:
    """The search's course, and accuracy against every option that was not fixed."""
    trials = [trial for trial in found["trials"] if trial["accuracy"] is not None]
    if not trials:
        return []
    best = found["best"]
    plots = [
        study_plots.search_progress(
            [(trial["number"], trial["accuracy"], trial["state"] == "whole") for trial in trials]
        ),
        study_plots.trial_curves([(trial["curve"], trial is best) for trial in trials]),
    ]
    for key, (low, high) in plan.space.items():
        if low < high:
            shots = [Shot(trial["values"][key], trial["accuracy"], trial["state"] == "whole") for trial in trials]
            plots.append(
                study_plots.option_against_accuracy(
                    key, shots, recipe=recipe_value(plan.config, key), log=key.endswith("learning_rate"), whole=key.endswith("epochs"),
                )
            )  # fmt: skip
    return plots
