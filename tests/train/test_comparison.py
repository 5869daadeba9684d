"""Runs side by side: what is said to differ, what is warned of, and what the files hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import fer_edge
from disks import small_disk
from drawn import SILENT, TINY, drawn_dataset
from marks import TRAINING

from fer_edge_runtime.errors import ConfigError, DataError, OutputError
from fer_edge_train.comparison import (
    PLOTS,
    compare,
    difference_table,
    own_options,
    result_table,
    tuning_table,
    write_comparison,
)
from fer_edge_train.config import TrainConfig, with_settings
from fer_edge_train.metrics import accuracy_figures, evaluate
from fer_edge_train.summary import duration, summarise_run
from fer_edge_train.trainer import train

pytestmark = TRAINING

CONFIG = TrainConfig(architecture="mobilenetv2", reproduces="MobileNetV2", weights="/home/someone/weights.h5")
NAMES = ("sad", "happy", "neutral")


def result(right: int, n: int = 100, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """What the trainer measures of a model that is right about ``right`` of ``n`` faces."""
    labels = np.arange(n, dtype=np.int64) % len(names)
    answers = np.where(np.arange(n) < right, labels, (labels + 1) % len(names))
    probabilities = np.eye(len(names), dtype=np.float32)[answers]
    protocols = dict.fromkeys(("single crop", "flip", "TenCrop"), accuracy_figures(labels, probabilities))
    return {**evaluate(labels, probabilities, names), "protocols": protocols}


def make_run(
    path: Path, config: TrainConfig = CONFIG, *, right: int = 70, before: int | None = 50, names: tuple[str, ...] = NAMES,
    finished: bool = True, **record: Any,
) -> Path:  # fmt: skip
    """The files of a run, by the very functions that measure one."""
    path.mkdir(parents=True)
    history = [
        {"stage": stage, "epoch": 1, "public_accuracy": accuracy, "seconds": 61.5}
        for stage, accuracy in (("head", 0.4), ("finetune", 0.65))
    ]
    facts = {
        "config": config.to_dict(), "dataset_digest": "d1", "split_hash": "s1", "dataset": "/home/someone/fer.csv", "labels": list(names),
        "counts": {"Training": dict.fromkeys(names, 9)}, "versions": {"backend": "jax", "jax": "0.9", "machine": "aarch64"},
        "git_commit": "abc", "parameters": 2_000_000,
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(facts | record))
    (path / "progress.json").write_text(json.dumps({"history": history}))
    metrics = {
        "best_epoch": "finetune 1",
        "history": history,
        "PublicTest": result(right + 1, names=names),
        "PrivateTest": result(right, names=names),
    }
    if before is not None:
        metrics["without_finetuning"] = {
            "best_epoch": "head 1", "PublicTest": result(before + 2, names=names), "PrivateTest": result(before, names=names)
        }  # fmt: skip
    if finished:
        (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def edited(path: Path, file: str, change: Any) -> Path:
    values = json.loads((path / file).read_text())
    change(values)
    (path / file).write_text(json.dumps(values))
    return path


# What is said


def test_runs_are_told_apart_by_the_options_that_differ(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain")
    noise = make_run(tmp_path / "noise", with_settings(CONFIG, ["augment.noise=0.05"]))
    both = make_run(
        tmp_path / "both", with_settings(CONFIG, ["augment.noise=0.05", "top.batch_norm=true", "reproduces=x"])
    )

    comparison = compare([plain, noise, both])

    assert difference_table(comparison) == (
        ["option", "plain", "noise", "both"],
        [["augment.noise", "0", "0.05", "0.05"], ["top.batch_norm", "false", "false", "true"]],
    )
    assert own_options(comparison) == [["augment.noise 0"], [], ["top.batch_norm true"]]
    assert comparison.warnings == []


def test_fine_tuning_is_worth_the_difference(tmp_path: Path) -> None:
    tuned = make_run(tmp_path / "tuned", right=70, before=50)
    head_only = make_run(tmp_path / "head only", right=60, before=None)

    comparison = compare([tuned, head_only])

    assert [run["finetuning_points"] for run in comparison.runs] == [20.0, None]
    assert tuning_table(comparison)[1] == [["tuned", "52.00%", "71.00%", "+19.0", "50.00%", "70.00%", "+20.0"]]
    assert result_table(comparison)[1] == [
        ["tuned", "71.00%", "70.00%", "60.4–78.1", "0.700", "70.00%", "70.00%"],
        ["head only", "61.00%", "60.00%", "50.2–69.1", "0.600", "60.00%", "60.00%"],
    ]


def test_unfinished_run_is_shown_with_its_best_epoch_and_said_to_be_one(tmp_path: Path) -> None:
    finished, running = make_run(tmp_path / "a"), make_run(tmp_path / "b", finished=False)
    begun = make_run(tmp_path / "c", finished=False)
    (begun / "progress.json").unlink()

    comparison = compare([running, begun, finished])

    assert [row[:3] for row in result_table(comparison)[1]] == [
        ["b (unfinished)", "65.00% so far", "–"], ["c (unfinished)", "–", "–"], ["a", "71.00%", "70.00%"],
    ]  # fmt: skip
    assert "Unfinished" in comparison.warnings[0]
    assert comparison.warnings[0].endswith("b, c.")


def test_other_rows_and_other_pixels_are_warned_of(tmp_path: Path) -> None:
    run, aligned = make_run(tmp_path / "a"), make_run(tmp_path / "b", dataset_digest="d2")
    other = make_run(tmp_path / "c", dataset_digest="d3", split_hash="s3")

    assert compare([run, run / "."]).warnings == []
    assert ["not the same pixels" in warning for warning in compare([run, aligned]).warnings] == [True]
    assert ["not trained and tested on the same rows" in warning for warning in compare([run, other]).warnings] == [
        True
    ]


def test_folders_of_one_name_are_told_apart_and_one_named_twice_counts_once(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "x" / "run"), make_run(tmp_path / "y" / "run")

    assert [run["name"] for run in compare([first, second, first]).runs] == ["x/run", "y/run"]


def test_run_of_the_first_version_is_read(tmp_path: Path) -> None:
    def older(metrics: dict[str, Any]) -> None:
        del metrics["without_finetuning"]
        for part in ("PublicTest", "PrivateTest"):
            kept = ("n", "accuracy", "interval95", "macro_f1", "per_class", "confusion")
            metrics[part] = {key: metrics[part][key] for key in kept}

    def with_weights(record: dict[str, Any]) -> None:
        for key in ("parameters", "split_hash", "git_commit"):
            del record[key]
        del record["config"]["weights"], record["config"]["data"]
        record["weights"] = "/home/someone/mobilenet.h5"

    run = edited(edited(make_run(tmp_path / "old"), "metrics.json", older), "config.json", with_weights)

    comparison = compare([run])

    assert comparison.runs[0]["recipe"]["weights"] == "mobilenet.h5"
    assert result_table(comparison)[1] == [["old", "71.00%", "70.00%", "60.4–78.1", "0.700", "–", "–"]]
    write_comparison(comparison, tmp_path / "out")


def test_summary_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    config = replace(CONFIG, distill=replace(CONFIG.distill, teachers=("/home/someone/teacher.npz",)))

    summary = summarise_run(make_run(tmp_path / "run", config))

    assert "/" not in json.dumps(summary).replace("MobileNetV2", "")
    assert summary["recipe"]["distill"]["teachers"] == ["teacher.npz"]
    assert summary["epochs"] == {"head": 1, "finetune": 1}
    assert summary["seconds"] == 123
    assert summary["PrivateTest"]["f1"].keys() == set(NAMES)


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_read_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# What is refused


def test_no_run_and_no_run_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Name the run folders"):
        compare([])
    with pytest.raises(DataError, match="is not a run folder"):
        compare([make_run(tmp_path / "a"), tmp_path])


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"PublicTest": 3, "history": []}', '{"history": [{"epoch": 1}]}']
)
def test_damaged_metrics_are_one_sentence(tmp_path: Path, content: str) -> None:
    run = make_run(tmp_path / "a")
    (run / "metrics.json").write_text(content)
    if content == "{}":
        assert not compare([run]).runs[0]["finished"]
        return
    with pytest.raises(DataError, match=re.escape(str(run))):
        compare([run])


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be made"):
        write_comparison(compare([make_run(tmp_path / "a")]), tmp_path / "out")


# What is written


def test_full_disk_leaves_no_half_comparison_and_keeps_an_earlier_one(tmp_path: Path) -> None:
    comparison, earlier = compare([make_run(tmp_path / "a")]), tmp_path / "earlier"
    write_comparison(comparison, earlier)
    for out in (tmp_path / "new", earlier):
        with small_disk(8_000), pytest.raises(OutputError, match="cannot be written"):
            write_comparison(comparison, out)

    assert not (tmp_path / "new").exists()
    assert (earlier / "compare.html").read_text().endswith("\n")


def test_page_holds_its_plots_and_markdown_points_at_them(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, right=right) for name, right in (("a <b> & $x_1^$", 60), ("_b|c", 80))]
    out = tmp_path / "out"

    page, markdown = write_comparison(compare(runs), out)

    html, text = page.read_text(), markdown.read_text()
    assert html.count("<svg") == len(PLOTS)
    assert not re.search(r"(src|href)=['\"](?!#|data:)", html), "nothing is fetched"
    assert "a &lt;b&gt; &amp; $x_1^$" in html
    assert "<b> &" not in html
    assert "prefers-color-scheme:dark" in html
    assert r"_b\|c" in text
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert [Path(picture).stem for picture in pictures] == list(PLOTS)
    for picture in pictures:
        assert cv2.imread(str(out / picture)).std() > 5
    widths = {
        line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("| ") and "95 %" in line
    }
    assert widths == {8}


def test_other_classes_leave_the_plot_of_classes_out_and_replace_an_older_comparison(tmp_path: Path) -> None:
    three = make_run(tmp_path / "three")
    two = make_run(tmp_path / "two", names=("negative", "positive"))
    out = tmp_path / "out"
    write_comparison(compare([three]), out)
    assert (out / "plots" / "f1.png").exists()
    (out / "mine.txt").write_text("kept")

    comparison = compare([three, two])
    page, _ = write_comparison(comparison, out)

    assert any("F1 per class is left out" in warning for warning in comparison.warnings)
    assert "F1 per class is left out" in page.read_text()
    assert sorted(entry.name for entry in (out / "plots").iterdir()) == ["accuracy.png", "curves.png", "parameters.png"]
    assert (out / "mine.txt").read_text() == "kept"


def test_nothing_but_begun_runs_still_makes_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", finished=False)
    (run / "progress.json").unlink()

    page, _ = write_comparison(compare([run]), tmp_path / "out")

    assert "<svg" not in page.read_text()
    assert "a (unfinished)" in page.read_text()


# Real ones


def test_real_run_of_two_stages_is_compared(tmp_path: Path) -> None:
    config = replace(TINY, finetune=replace(TINY.finetune, epochs=1))
    metrics = train(config, drawn_dataset(training=8, selection=3, test=3), tmp_path / "run", listener=SILENT)

    comparison = compare([tmp_path / "run"])

    run = comparison.runs[0]
    assert run["PrivateTest"]["accuracy"] == metrics["PrivateTest"]["accuracy"]
    assert run["without_finetuning"]["PublicTest"]["n"] == 21
    assert run["epochs"] == {"head": 1, "finetune": 1}
    assert comparison.histories == [metrics["history"]]
    assert run["parameters"] > 0
    assert len(tuning_table(comparison)[1]) == 1


def test_command_writes_json_on_stdout_and_a_table_on_stderr(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", replace(CONFIG, input_size=48))

    done = fer_edge("train", "compare", "a", "b", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    assert found["differences"] == {"input_size": [96, 48]}
    assert (tmp_path / found["files"]["html"]).name == "compare.html"
    assert (tmp_path / "runs-compare" / "compare.md").is_file()
    assert "70.00%" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80


def test_command_refuses_what_is_no_run(tmp_path: Path) -> None:
    done = fer_edge("train", "compare", "a", cwd=tmp_path)

    assert done.returncode == 6
    assert done.stderr.startswith("fer-edge: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs-compare").exists()
