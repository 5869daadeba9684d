"""Training runs side by side: what differs between their recipes, and what that did; as HTML, Markdown and plots.

The study of several backbones is a loop of ordinary runs, then one comparison. Every run with both stages also measures the
same network without fine-tuning, so that half of the study comes with each of them::

    for backbone in inceptionv3 mobilenetv2 resnet50 xception; do
      train() { fer-edge train $backbone --data fer2013.parquet --out study/$backbone-$1 "${@:2}"; }
      train plain
      train noise --set augment.noise=0.05
      train batchnorm --set top.batch_norm=true
      train aligned --set data.align=full
    done
    fer-edge train compare study/* --out study-page
"""

from __future__ import annotations

import html
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge_runtime.errors import ConfigError, OutputError
from fer_edge_train import study_plots
from fer_edge_train.page import cards, figure, page, paragraph, side_by_side, table
from fer_edge_train.run_folder import write_whole
from fer_edge_train.study_plots import Bar, Plot
from fer_edge_train.summary import PARTS, duration, read_history, summarise_run

PLOTS = ("accuracy", "curves", "f1", "parameters")
_IN_OTHER_COLUMNS = ("architecture", "input_size")
_ONLY_WORDS = ("reproduces", "expects")
_NAMED_DIFFERENCES = 4
_NOTHING = "–"
_HONESTY = (
    "Choose by PublicTest: whoever chooses a run by its PrivateTest figure has no honest figure left. Two runs whose intervals "
    "overlap much may differ by chance."
)

_TUNING = "The same network, its backbone frozen and only its head trained, against the finished run. Single crop."


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: what `summarise_run` says of each, with ``name`` unique among them.
        histories: the epochs of each.
        differences: dotted key of the recipe -> its value in every run, for the keys that are not the same in all.
        warnings: what makes the figures less comparable, a sentence each.
    """

    runs: list[dict[str, Any]]
    histories: list[list[dict[str, Any]]]
    differences: dict[str, list[Any]]
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"schema": 1, "runs": self.runs, "differences": self.differences, "warnings": self.warnings}


def compare(paths: Sequence[Path]) -> Comparison:
    """Read runs, finished or not, in the order given.

    Args:
        paths: run folders; one that is named twice counts once.

    Raises:
        ConfigError: no run is named, or a recipe has unknown keys.
        DataError: a path is no run folder, or its files are damaged.
    """
    folders = list(dict.fromkeys(path.resolve() for path in paths))
    if not folders:
        raise ConfigError("Name the run folders to compare: fer-edge train compare RUN RUN …")
    runs = [
        {**summarise_run(folder), "name": name} for folder, name in zip(folders, _unique_names(folders), strict=True)
    ]
    return Comparison(runs, [read_history(folder) for folder in folders], _differences(runs), _warnings(runs))


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """Write ``compare.html`` (with its plots inside), ``compare.md`` and ``plots/*.png``; earlier ones are replaced.

    Returns:
        The HTML and the Markdown file.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    plots = draw(comparison)
    made = not out.exists()
    try:
        return _write_files(comparison, plots, out)
    except OutputError:
        if made:  # half a comparison is none
            shutil.rmtree(out, ignore_errors=True)
        raise


def _write_files(comparison: Comparison, plots: Sequence[Plot], out: Path) -> tuple[Path, Path]:
    try:
        (out / "plots").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {out / 'plots'} cannot be made: {error.strerror}.") from error
    for plot in plots:
        _write(out / "plots" / f"{plot.name}.png", plot.png)
    for stale in set(PLOTS) - {plot.name for plot in plots}:
        (out / "plots" / f"{stale}.png").unlink(missing_ok=True)
    markdown, hypertext = out / "compare.md", out / "compare.html"
    _write(markdown, _markdown(comparison, plots).encode())
    _write(hypertext, _html(comparison, plots).encode())
    return hypertext, markdown


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda temporary: temporary.write_bytes(content))


# What differs


def _unique_names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as many parents as it takes to tell them apart."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _differences(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    flat = [_flat(run["recipe"]) for run in runs]
    keys = [key for key in flat[0] if key not in _ONLY_WORDS]
    return {key: [one[key] for one in flat] for key in keys if any(one[key] != flat[0][key] for one in flat)}


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's tables as dotted keys; deeper tables stay one value."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        flat |= {f"{key}.{inner}": deep for inner, deep in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def own_options(comparison: Comparison) -> list[list[str]]:
    """For every run the options in which it differs from most of them (from the first, where there is no majority)."""
    usual = {}
    for key, values in comparison.differences.items():
        texts = [_text(value) for value in values]
        usual[key] = Counter(texts).most_common(1)[0][0]  # of equally common ones the first
    return [
        [
            f"{key} {_text(values[number])}"
            for key, values in comparison.differences.items()
            if key not in _IN_OTHER_COLUMNS and _text(values[number]) != usual[key]
        ]
        for number in range(len(comparison.runs))
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def _warnings(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    unfinished = [run["name"] for run in runs if not run["finished"]]
    if unfinished:
        found.append(f"Unfinished, shown with their best epoch so far: {', '.join(unfinished)}.")
    if len({tuple(sorted(run["labels"])) for run in runs}) > 1:
        found.append(
            "The runs do not tell the same classes apart: their accuracies are no measure of each other, and F1 per class is left out."
        )
    if not _same(runs, lambda run: run["dataset_digest"]):
        splits = {run["split_hash"] for run in runs} - {None}
        if _same(runs, lambda run: run["counts"]) and len(splits) < 2:
            found.append("The runs have the same split but not the same pixels, as after alignment.")
        else:
            found.append(
                "The runs were not trained and tested on the same rows (another split or other data): a difference between them is not the recipe's alone."
            )
    return found


def _same(runs: Sequence[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], Any]) -> bool:
    return all(key(run) == key(runs[0]) for run in runs)


# Tables: a header and rows of text, which the page, Markdown and the terminal share


def result_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: how good every run is."""
    header = ["run", "PublicTest", "PrivateTest", "95 % interval", "macro-F1", "flip", "TenCrop"]
    rows = []
    for run in comparison.runs:
        private = run["PrivateTest"]
        public = _percent(run["PublicTest"]) if run["finished"] else _best_so_far(run)
        f1 = f"{private['macro_f1']:.3f}" if private else _NOTHING
        rows.append(
            [
                _title(run),
                public,
                _percent(private),
                _interval(private),
                f1,
                _protocol(private, "flip"),
                _protocol(private, "TenCrop"),
            ]
        )
    return header, rows


def tuning_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what fine-tuning is worth, for the runs that have the same network without it."""
    header = ["run", "PublicTest without", "with", "points", "PrivateTest without", "with", "points"]
    rows = []
    for run in comparison.runs:
        if before := run["without_finetuning"]:
            row = [_title(run)]
            for part in PARTS:
                row += [_percent(before[part]), _percent(run[part]), _points(run[part], before[part])]
            rows.append(row)
    return header, rows


def recipe_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what every run is and what it took."""
    header = ["run", "architecture", "input", "parameters", "epochs", "training", "device", "versions", "differs in"]
    rows = [
        [
            _title(run), run["recipe"]["architecture"], f"{run['recipe']['input_size']} px",
            f"{run['parameters']:,}" if run["parameters"] else _NOTHING,
            f"{run['epochs']['head']} + {run['epochs']['finetune']}", duration(run["seconds"]), run["device"] or _NOTHING,
            _versions(run["versions"]), _shortened(options),
        ]
        for run, options in zip(comparison.runs, own_options(comparison), strict=True)
    ]  # fmt: skip
    return header, rows


def difference_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: every option that is not the same in all runs, a column a run."""
    header = ["option", *(run["name"] for run in comparison.runs)]
    return header, [[key, *map(_text, values)] for key, values in comparison.differences.items()]


def short_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows for 80 columns of a terminal."""
    header = ["run", "PublicTest", "PrivateTest", "95 %", "F1", "untuned", "points"]
    untuned = {row[0]: row[4::2] for row in tuning_table(comparison)[1]}
    rows = [
        [row[0], row[1].removesuffix(" so far"), *row[2:5], *untuned.get(row[0], [_NOTHING] * 2)]
        for row in result_table(comparison)[1]
    ]
    return header, rows


def recipe_lines(comparison: Comparison) -> list[str]:
    """A sentence a run: what it is, and what is its own."""
    return [
        f"{run['name']}: {run['recipe']['architecture']}, {run['recipe']['input_size']} px"
        + (f"; {_shortened(options)}" if options else "")
        for run, options in zip(comparison.runs, own_options(comparison), strict=True)
    ]


def _title(run: Mapping[str, Any]) -> str:
    return run["name"] if run["finished"] else f"{run['name']} (unfinished)"


def _percent(result: Mapping[str, Any] | None) -> str:
    return f"{result['accuracy']:.2%}" if result else _NOTHING


def _best_so_far(run: Mapping[str, Any]) -> str:
    best = run["best_public_accuracy"]
    return _NOTHING if best is None else f"{best:.2%} so far"


def _interval(result: Mapping[str, Any] | None) -> str:
    return "–".join(f"{100 * bound:.1f}" for bound in result["interval95"]) if result else _NOTHING


def _points(result: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    return f"{100 * (result['accuracy'] - before['accuracy']):+.1f}"


def _protocol(result: Mapping[str, Any] | None, name: str) -> str:
    return _percent((result or {}).get("protocols", {}).get(name))


def _shortened(options: Sequence[str]) -> str:
    more = len(options) - _NAMED_DIFFERENCES
    shown = "; ".join(options[:_NAMED_DIFFERENCES]) or _NOTHING
    return f"{shown}; {more} more" if more > 0 else shown


def _versions(versions: Mapping[str, str]) -> str:
    backend = versions.get("backend", "")
    known = [(name, versions.get(name)) for name in ("keras", backend, "python")]
    return ", ".join(f"{name} {version}" for name, version in known if version) or _NOTHING


# Plots


def draw(comparison: Comparison) -> list[Plot]:
    """The plots that the runs have figures for."""
    finished = [run for run in comparison.runs if run["finished"]]
    names = [run["name"] for run in comparison.runs]
    plots = []
    bars = [_bar(run) for run in finished]
    if bars:
        plots.append(study_plots.accuracy_bars(bars, "PrivateTest"))
    curves = {
        run["name"]: [row["public_accuracy"] for row in history]
        for run, history in zip(comparison.runs, comparison.histories, strict=True)
        if history
    }
    if curves:
        plots.append(study_plots.validation_curves(curves, names))
    if finished and _same(finished, lambda run: sorted(run["labels"])):
        plots.append(
            study_plots.f1_bars({run["name"]: run["PrivateTest"]["f1"] for run in finished}, names, "PrivateTest")
        )
    sized = [(bar, run["parameters"]) for bar, run in zip(bars, finished, strict=True) if run["parameters"]]
    if len(sized) > 1:
        plots.append(
            study_plots.size_against_accuracy(
                [bar for bar, _ in sized], [size for _, size in sized], names, "PrivateTest"
            )
        )
    return plots


def _bar(run: Mapping[str, Any]) -> Bar:
    result, before = run["PrivateTest"], run["without_finetuning"]
    without = (before["PrivateTest"]["accuracy"], before["PrivateTest"]["interval95"]) if before else None
    return Bar(run["name"], result["accuracy"], result["interval95"], without)


# Documents


def _html(comparison: Comparison, plots: Sequence[Plot]) -> str:
    count = len(comparison.runs)
    title = f"{count} training run{'s' if count > 1 else ''} side by side"
    body = f"<h1>{title}</h1>" + _highlights(comparison)
    body += "".join(f"<p><b>Mind:</b> {html.escape(warning)}</p>" for warning in comparison.warnings)
    body += f"<h2>Results</h2>{table(*result_table(comparison))}{paragraph(_HONESTY)}"
    if (tuned := tuning_table(comparison))[1]:
        body += f"<h2>With and without fine-tuning</h2>{paragraph(_TUNING)}{table(*tuned)}"
    figures = [figure(plot.svg, plot.caption) for plot in plots]
    body += "<h2>Plots</h2>" + "".join(side_by_side(*figures[start : start + 2]) for start in range(0, len(figures), 2))
    body += f"<h2>Runs</h2>{table(*recipe_table(comparison))}"
    body += f"<h2>What differs between the recipes</h2>{_html_differences(comparison)}"
    return page(title, body)


def _html_differences(comparison: Comparison) -> str:
    if not comparison.differences:
        return paragraph("Nothing: the recipes are the same.")
    return paragraph("Options that are the same in all runs are not shown.") + table(*difference_table(comparison))


def _highlights(comparison: Comparison) -> str:
    finished = [run for run in comparison.runs if run["finished"]]
    if len(finished) < 2:
        return ""
    best = max(finished, key=lambda run: run["PublicTest"]["accuracy"])
    shown = [
        (
            "Best on PublicTest",
            f"{best['PublicTest']['accuracy']:.2%}",
            f"{best['name']}; PrivateTest {_percent(best['PrivateTest'])}",
        )
    ]
    tuned = [run for run in finished if run["finetuning_points"] is not None]
    if tuned:
        most = max(tuned, key=lambda run: run["finetuning_points"])
        shown.append(
            (
                "Fine-tuning gained up to",
                f"{most['finetuning_points']:+.1f}",
                f"points of PrivateTest accuracy, in {most['name']}",
            )
        )
    return cards(shown)


def _markdown(comparison: Comparison, plots: Sequence[Plot]) -> str:
    parts = ["# Training runs side by side", *(f"**Mind:** {warning}" for warning in comparison.warnings)]
    parts += ["## Results", _markdown_table(*result_table(comparison)), _HONESTY]
    if (tuned := tuning_table(comparison))[1]:
        parts += ["## With and without fine-tuning", _TUNING, _markdown_table(*tuned)]
    parts.append("## Plots")
    parts += [f"![{plot.caption}](plots/{plot.name}.png)" for plot in plots]
    parts += ["## Runs", _markdown_table(*recipe_table(comparison)), "## What differs between the recipes"]
    parts.append(
        _markdown_table(*difference_table(comparison))
        if comparison.differences
        else "Nothing: the recipes are the same."
    )
    return "\n\n".join(parts) + "\n"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
