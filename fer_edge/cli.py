"""The command line's surface: names, options, help. What a command does is in `fer_edge.commands`, imported on use."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge import __version__

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Facial expression recognition from a GPU to a device: train, export to int8, run, check.\n\n"
    "The label names an apparent expression, not what a person feels.",
    epilog="Exit codes: 0 done, 1 bug, 2 wrong use, 3 accuracy gate, 4 source or device not available, 5 bundle refused, "
    "6 data unusable, 7 package missing, 8 output not writable, 130 interrupted. FER_EDGE_DEBUG=1 shows tracebacks.",
)


class DeviceName(StrEnum):
    """Where the classifier runs."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class EngineName(StrEnum):
    """Which library runs it."""

    auto = "auto"
    litert = "litert"
    onnx = "onnx"


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fer-edge {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["FER_EDGE_DEBUG"] = "1"


@app.command()
def run(
    camera: Annotated[str | None, typer.Option(help="Camera: 0, 1, …, /dev/v4l/by-id/…, picamera2:0 or a URL.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Picture, folder, 'pattern*.jpg', video, rtsp:// or http:// URL, test-pattern, demo."),
    ] = None,
    model: Annotated[str, typer.Option(help="Bundle folder or zip.")] = "default",
    device: Annotated[DeviceName, typer.Option(help="Where to run.")] = DeviceName.auto,
    engine: Annotated[EngineName, typer.Option(help="Library that runs the model.")] = EngineName.auto,
    detector: Annotated[str, typer.Option(help="Face detector: short, full or yunet:PATH.")] = "full",
    threads: Annotated[int, typer.Option(help="Threads of the engine; 0 chooses.")] = 0,
    detect_every: Annotated[int, typer.Option(help="Detect on every N-th frame, track in between.")] = 1,
    min_face: Annotated[int, typer.Option(help="Smallest face, in pixels.")] = 24,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    save: Annotated[str | None, typer.Option(metavar="PATH", help="Annotated picture, video or folder.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="PATH", help="JSON Lines, one object a frame; stdout without a path.")
    ] = None,
    csv: Annotated[str | None, typer.Option(metavar="PATH", help="CSV, one row a face; stdout without a path.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Window, when this OpenCV build has one.")] = False,
    serve: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Live page, such as 127.0.0.1:8080.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Find faces and name their expressions, on pictures, videos and cameras."""
    from fer_edge.startup import leave, start_light

    start_light()
    from fer_edge.commands.run import RunOptions, run_command

    run_command(
        RunOptions(
            camera=camera,
            source=source,
            model=model,
            device=device.value,
            engine=engine.value,
            detector=detector,
            threads=threads,
            detect_every=detect_every,
            min_face=min_face,
            largest=largest,
            save=save,
            json=json,
            csv=csv,
            show=show,
            serve=serve,
            max_frames=max_frames,
            quiet=quiet,
        )  # fmt: skip
    )
    leave()


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .toml file.")],
    data: Annotated[Path, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    weights: Annotated[Path | None, typer.Option(help="Pretrained backbone, '*_notop.weights.h5'.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    head_epochs: Annotated[int | None, typer.Option(help="Epochs of stage 1, instead of the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of stage 2, instead of the recipe's.")] = None,
) -> None:
    """Fine-tune a network on faces in two stages, and evaluate it."""
    from fer_edge.commands.train import train_command

    train_command(
        recipe, data=data, out=out, weights=weights, resume=resume,
        seed=seed, batch_size=batch_size, head_epochs=head_epochs, finetune_epochs=epochs,
    )  # fmt: skip


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of fer-edge train.")],
    out: Annotated[Path, typer.Option(help="Bundle folder to write.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Full-integer quantization, calibrated on training faces.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Data set, when it has moved since training.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; the folder's name otherwise.")] = None,
    max_drop: Annotated[float, typer.Option(help="Points of PublicTest accuracy that int8 may lose.")] = 1.5,
    calibration_faces: Annotated[int, typer.Option(help="Training faces that set the ranges.")] = 500,
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Also write the int8 ONNX model.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
) -> None:
    """Turn a training run into a bundle that the runtime reads: int8 TFLite and ONNX, checked."""
    from fer_edge.commands.export import export_command

    export_command(
        run_folder, out=out, int8=int8, data=data, name=name, max_drop=max_drop,
        calibration_faces=calibration_faces, onnx=onnx, overwrite=overwrite,
    )  # fmt: skip


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON on stdout.")] = False,
    model: Annotated[str, typer.Option(help="Bundle to verify.")] = "default",
) -> None:
    """Check this machine: Python, libraries, cameras, the bundle. Exit code 0 unless a check fails (then 1)."""
    from fer_edge.commands.doctor import doctor_command

    doctor_command(as_json=json, model=model)
