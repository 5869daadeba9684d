"""Options of ``fer-edge benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.choices import DeviceName, EngineName, LabelSource, SplitName

benchmark_app = typer.Typer(no_args_is_help=True, help="Measure bundles on this machine: speed, memory, accuracy.")


@benchmark_app.command("latency")
def benchmark_latency(
    bundles: Annotated[
        list[str] | None, typer.Argument(metavar="[BUNDLE]...", help="Bundle folders or zips; 'default' without any.")
    ] = None,
    engine: Annotated[
        list[EngineName] | None, typer.Option(help="May be given more than once; every installed one otherwise.")
    ] = None,
    device: Annotated[
        list[DeviceName] | None, typer.Option(help="Where to run; may be given more than once. cpu otherwise.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Threads of the engine; may be given more than once. 1 otherwise.")
    ] = None,
    faces: Annotated[
        list[int] | None, typer.Option(help="Faces in one batch; may be given more than once. 1, 4 and 16 otherwise.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="End after so many rounds, in each of which every case has a turn.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End after so many seconds instead; 10 without either.")
    ] = None,
    clip: Annotated[str, typer.Option(metavar="VIDEO", help="Clip whose stages are timed.")] = "demo",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also the cost of a frame by faces, frame size and --detect-every.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="An older --json of this command, of this machine, to compare with."),
    ] = None,
    fail_over: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Exit code 3 when a figure is slower or larger by more, such as 10%."),
    ] = None,
    ratios: Annotated[
        bool, typer.Option("--ratios", help="Compare multiples of the first case; for a baseline of another machine.")
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="PAGE", help="Write a page with plots.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Time bundles, engines, devices and threads, each in a process of its own, all of them taking turns."""
    from fer_edge.commands.benchmark import LatencyOptions, latency_command

    latency_command(
        LatencyOptions(
            bundles=bundles or [], engines=[name.value for name in engine or ()], devices=[name.value for name in device or ()],
            threads=threads or [], faces=faces or [], rounds=rounds, seconds=seconds, clip=clip, sweep=sweep, baseline=baseline,
            fail_over=fail_over, ratios=ratios, html=html, json=json,
        )
    )  # fmt: skip


@benchmark_app.command("limit")
def benchmark_limit(
    bundle: Annotated[str, typer.Argument(metavar="[BUNDLE]", help="Bundle folder, zip or shipped name.")] = "default",
    rounds: Annotated[int, typer.Option(min=10, max=100_000, help="Faces that are timed.")] = 200,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """How much of this core's int8 rate a bundle's layers reach, against a large matrix product in ONNX Runtime."""
    from fer_edge.commands.benchmark_limit import limit_command

    limit_command(bundle, rounds=rounds, as_json=json)


@benchmark_app.command("peers")
def benchmark_peers(
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|TOML",
            help="fer, facex, or the .toml of your own; may be given more than once. All shipped ones otherwise.",
        ),
    ] = None,
    cache: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where each peer's virtual environment lies; fer's takes 8 GB.")
    ] = Path("~/.cache/fer-edge/peers"),
    data: Annotated[
        Path | None, typer.Option(metavar="FER2013", help="Also accuracy, on PrivateTest of this data set.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every case.")] = 5,
    frames: Annotated[int, typer.Option(min=1, max=90, help="Frames of each clip.")] = 30,
    seconds: Annotated[float, typer.Option(min=0, help="A turn repeats each clip for so long; once at least.")] = 2.0,
    one_core: Annotated[bool, typer.Option("--one-core", help="Also every case on a single core.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which a silent peer is ended.")] = 180.0,
    reference: Annotated[
        str, typer.Option(metavar="NAME|TOML", help="What the others are compared with.")
    ] = "fer-edge",
    html: Annotated[Path | None, typer.Option(metavar="PAGE", help="Write a page with plots.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Install packages like `fer`, each into an environment of its own, and measure them beside fer-edge: start, memory, frames/s, accuracy."""
    from fer_edge.commands.benchmark_peers import PeersOptions, peers_command

    peers_command(
        PeersOptions(
            peers=peer or [], reference=reference, cache=cache, data=data, rounds=rounds, frames=frames, seconds=seconds, one_core=one_core,
            timeout_s=timeout, html=html, json=json,
        )
    )  # fmt: skip


@benchmark_app.command("accuracy")
def benchmark_accuracy(
    data: Annotated[
        Path, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class, of any origin.")
    ],
    bundle: Annotated[str, typer.Argument(metavar="[BUNDLE]", help="Bundle folder or zip.")] = "default",
    split: Annotated[
        SplitName | None,
        typer.Option(help="Part as the files name it; PublicTest of a file, all of class folders otherwise."),
    ] = None,
    labels: Annotated[
        LabelSource, typer.Option(help="The data's own, or FER2013 by the majority of the ten FER+ votes (8 classes).")
    ] = LabelSource.own,
    ferplus: Annotated[Path | None, typer.Option(help="fer2013new.csv, when the data holds no FER+ votes.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CLASS=LABEL",
            help="Class of the data to label of the model, or a .toml or .json file of such pairs.",
        ),
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect", help="Pictures of any size: find the largest face first, as a device does.")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="auto measures each model of the bundle.")] = EngineName.auto,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="PAGE", help="Write a page with plots.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on stdout.")] = False,
) -> None:
    """Accuracy of a bundle on any labelled faces, also of data sets that it was not trained on."""
    from fer_edge.commands.benchmark_accuracy import AccuracyOptions, accuracy_command

    accuracy_command(
        AccuracyOptions(
            bundle=bundle, data=data, split=split.value if split else None, labels=labels.value, ferplus=ferplus, map=map_ or [],
            detect=detect, engine=engine.value, skip_bad=skip_bad, html=html, json=json,
        )
    )  # fmt: skip
