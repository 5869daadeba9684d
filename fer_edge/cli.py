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
    epilog="Exit codes: 0 done, 1 bug, 2 wrong use, 3 gate, 4 source or device not available, 5 bundle refused, "
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


class PrecisionName(StrEnum):
    """What an exported model computes in, besides int8."""

    float32 = "float32"
    float16 = "float16"


class TargetName(StrEnum):
    """Which processor an ONNX model is for."""

    x86_vnni = "x86-vnni"
    x86 = "x86"
    arm64 = "arm64"


class SplitName(StrEnum):
    """Which part of a data set."""

    public = "PublicTest"
    private = "PrivateTest"
    training = "Training"
    all = "all"


class LabelSource(StrEnum):
    """Whose labels count as right."""

    own = "own"
    ferplus = "ferplus"


class ProtocolName(StrEnum):
    """How many views of a face are averaged."""

    single = "single"
    flip = "flip"
    tencrop = "tencrop"
    all = "all"


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
    camera: Annotated[
        str | None, typer.Option(help="Camera: 0, 1, …, /dev/v4l/by-id/…, picamera2:0, a URL or env:NAME.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Picture, folder, 'pattern*.jpg', video, rtsp:// or http:// URL, env:NAME for a URL with a password, test-pattern, demo."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Bundle folder or zip, or a name of fer-edge models list.")] = "default",
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
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Cover every head that is found, in all that shows or saves pictures.")
    ] = False,
    rotate: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Begin new files (--save, --json, --csv) every 10m, 1h, 1d …; names get the time."
        ),
    ] = None,
    keep_days: Annotated[
        float | None, typer.Option(min=0.01, max=36_500, help="With --rotate: delete files that are older.")
    ] = None,
    keep_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="With --rotate: delete the oldest when an output has more, such as 20G."),
    ] = None,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Live page, health and metrics, such as 127.0.0.1:8080.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Token that the page asks for; or FER_EDGE_TOKEN.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Certificate of the page, for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Publish to a broker: mqtt[s]://[USER@]HOST[:PORT][/PREFIX] or env:NAME; never pictures.",
        ),
    ] = None,
    mqtt_name: Annotated[str | None, typer.Option(help="Name of this device there; its host name otherwise.")] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option(help="Certificate authority to trust instead of the system's.")
    ] = None,
    mqtt_cert: Annotated[Path | None, typer.Option(help="Certificate of this device.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    mqtt_every_frame: Annotated[
        bool, typer.Option("--mqtt-every-frame", help="Also every frame, as with --json.")
    ] = False,
    discovery: Annotated[
        bool, typer.Option("--discovery/--no-discovery", help="Tell Home Assistant about the device.")
    ] = True,
    require_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY.pub", help="Refuse a bundle that this key did not sign; or FER_EDGE_REQUIRE_SIGNATURE."
        ),
    ] = None,
    reconnect: Annotated[
        bool | None,
        typer.Option(
            "--reconnect/--no-reconnect",
            help="Open a camera or stream that fails later again, for as long as it takes; default unless --max-frames.",
            show_default=False,
        ),
    ] = None,
    wait_for_source: Annotated[
        bool, typer.Option("--wait-for-source", help="Also wait for a camera or stream that is not there at the start.")
    ] = False,
    stall_after: Annotated[
        float, typer.Option(min=0.5, max=3600, help="Seconds without a picture after which it has failed.")
    ] = 5.0,
    frozen_after: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds of identical pictures after which it is frozen; 0 never.")
    ] = 10.0,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Find faces and name their expressions, on pictures, videos and cameras."""
    from fer_edge.startup import leave, start_light

    start_light()
    from fer_edge.commands.run import RunOptions, mqtt_options, run_command, serve_options
    from fer_edge_runtime.sinks.rotation import rotation_options
    from fer_edge_runtime.sources import LiveOptions

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
            serve=serve_options(serve, token_file=token_file, certificate=tls_cert, key=tls_key),
            mqtt=mqtt_options(
                mqtt,
                name=mqtt_name,
                ca=mqtt_ca,
                cert=mqtt_cert,
                key=mqtt_key,
                every_frame=mqtt_every_frame,
                discovery=discovery,
            ),
            require_signature=require_signature,
            # A run that is to end does not wait for a camera to come back, unless told.
            live=LiveOptions(
                reconnect=max_frames is None if reconnect is None else reconnect,
                wait=wait_for_source,
                stall_s=stall_after,
                frozen_s=frozen_after,
            ),
            anonymize=anonymize,
            rotation=rotation_options(rotate, keep_days=keep_days, keep_size=keep_size),
            max_frames=max_frames,
            quiet=quiet,
        )  # fmt: skip
    )
    leave()


@app.command()
def serve(
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; beyond this machine it needs a token.")
    ] = "127.0.0.1:8080",
    model: Annotated[str, typer.Option(help="Bundle folder or zip, or a name of fer-edge models list.")] = "default",
    device: Annotated[DeviceName, typer.Option(help="Where to run.")] = DeviceName.auto,
    engine: Annotated[EngineName, typer.Option(help="Library that runs the model.")] = EngineName.auto,
    detector: Annotated[str, typer.Option(help="Face detector: short, full or yunet:PATH.")] = "full",
    threads: Annotated[int, typer.Option(help="Threads of the engine; 0 chooses.")] = 0,
    min_face: Annotated[int, typer.Option(help="Smallest face, in pixels.")] = 24,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Token that clients must send; or FER_EDGE_TOKEN.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Certificate, for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    max_mib: Annotated[float, typer.Option(min=0.01, max=200, help="Largest picture file, in MiB.")] = 16,
    max_megapixels: Annotated[float, typer.Option(min=0.01, max=120, help="Largest picture, in million pixels.")] = 25,
    queue: Annotated[int, typer.Option(min=0, max=1000, help="Pictures that may wait; more are refused.")] = 16,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second from one address; 0 for no limit.")] = 100,
    require_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY.pub", help="Refuse a bundle that this key did not sign; or FER_EDGE_REQUIRE_SIGNATURE."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Serve pictures over HTTP without a camera: POST /v1/faces takes one and answers with its faces as JSON."""
    from fer_edge.startup import leave, start_light

    start_light()
    # OpenCV reads it when it is loaded; no picture may be larger, whatever its header claims.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(int(max_megapixels * 1e6)))
    from fer_edge.commands.serve import ServeOptions, serve_command

    serve_command(
        ServeOptions(
            address=address, model=model, device=device.value, engine=engine.value, detector=detector, threads=threads,
            min_face=min_face, largest=largest, token_file=token_file, certificate=tls_cert, key=tls_key, max_mib=max_mib,
            max_megapixels=max_megapixels, queue=queue, rate=rate, require_signature=require_signature, quiet=quiet,
        )
    )  # fmt: skip
    leave()


@app.command()
def annotate(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SRC...", help="Pictures, videos, folders, 'patterns', s3:// or gs:// addresses."),
    ],
    out: Annotated[Path, typer.Option(metavar="PARQUET", help="Table to write, such as results.parquet.")],
    model: Annotated[str, typer.Option(help="Bundle folder or zip, or a name of fer-edge models list.")] = "default",
    engine: Annotated[EngineName, typer.Option(help="Library that runs the model.")] = EngineName.auto,
    detector: Annotated[str, typer.Option(help="Face detector: short, full or yunet:PATH.")] = "full",
    min_face: Annotated[int, typer.Option(help="Smallest face, in pixels.")] = 24,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    detect_every: Annotated[int, typer.Option(help="Videos: detect on every N-th frame, track in between.")] = 1,
    workers: Annotated[
        int, typer.Option(min=0, max=1000, help="Processes of one thread each; 0: one a core, as memory allows.")
    ] = 0,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="Work on a running Ray cluster: auto (without an address) or HOST:PORT."
        ),
    ] = None,
    require_signature: Annotated[
        Path | None, typer.Option(metavar="KEY.pub", help="Refuse a bundle that this key did not sign.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a finished table, or unfinished work of other settings.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON on stdout.")] = False,
) -> None:
    """Whole archives into one table, a row a face. Interrupted, the same command goes on; unreadable files are listed."""
    from fer_edge.commands.annotate import AnnotateOptions, annotate_command

    annotate_command(
        AnnotateOptions(
            sources=sources, out=out, model=model, engine=engine.value, detector=detector, min_face=min_face, largest=largest,
            detect_every=detect_every, workers=workers, ray=ray, require_signature=require_signature, overwrite=overwrite, json=json,
        )
    )  # fmt: skip


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="Name of a recipe, a .toml file, or the word compare.")] = None,
    runs: Annotated[list[Path] | None, typer.Argument(help="With compare: run folders.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write; with compare, the page's folder.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the recipes and end.")] = False,
    weights: Annotated[str | None, typer.Option(help="Backbone: a '*_notop.weights.h5', imagenet or none.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan, a few batches, time and memory; writes nothing.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels, instead of the recipe's.")] = None,
    width: Annotated[
        float | None, typer.Option(help="Instead of the recipe's; mobilenetv2, cnn4, nano and resnet14.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="usage, 80-20 or binary-60-20-20.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")] = None,
    head_epochs: Annotated[int | None, typer.Option(help="Epochs of stage 1, instead of the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of stage 2, instead of the recipe's.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key, such as augment.noise=0.05.")
    ] = None,
    ferplus: Annotated[Path | None, typer.Option(help="fer2013new.csv, when the data holds no FER+ votes.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON on stdout.")] = False,
) -> None:
    """Fine-tune a network on faces in two stages, and evaluate it; `train compare RUN…` puts runs side by side."""
    if list_:
        from fer_edge.commands.train import list_command

        list_command(as_json=json)
    elif recipe == "compare":
        from fer_edge.commands.compare import compare_command

        compare_command(runs or [], out=out, json=json)
    else:
        from fer_edge.commands.train import TrainOptions, train_command

        train_command(
            TrainOptions(
                recipe, data=data, out=out, resume=resume, dry_run=dry_run, settings=set_ or [], ferplus=ferplus, skip_bad=skip_bad,
                json=json, unexpected=runs or [],
                changes={
                    "weights": weights, "seed": seed, "batch_size": batch_size, "input_size": input_size, "width": width,
                    "split": split, "precision": precision, "head_epochs": head_epochs, "finetune_epochs": epochs,
                },
            )
        )  # fmt: skip


@app.command()
def tune(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .toml file.")],
    data: Annotated[Path, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")],
    out: Annotated[Path, typer.Option(help="Folder of the search; best.toml and tuning.html appear in it.")],
    trials: Annotated[int, typer.Option(help="End after so many trials, earlier ones of the folder counted.")] = 20,
    timeout: Annotated[float, typer.Option(help="End after so many minutes; 0 is no limit.")] = 0,
    rows: Annotated[int, typer.Option(help="Learn from so many training rows only, for speed; 0 is all.")] = 0,
    weights: Annotated[str | None, typer.Option(help="Backbone: a '*_notop.weights.h5', imagenet or none.")] = None,
    head_lr: Annotated[
        str | None, typer.Option(metavar="LOW:HIGH", help="Learning rates of stage 1; one value fixes it.")
    ] = None,
    lr: Annotated[str | None, typer.Option(metavar="LOW:HIGH", help="Learning rates of stage 2.")] = None,
    epochs: Annotated[str | None, typer.Option(metavar="LOW:HIGH", help="Epochs of stage 2.")] = None,
    dropout: Annotated[str | None, typer.Option(metavar="LOW:HIGH", help="Dropout before the scores.")] = None,
    ferplus: Annotated[Path | None, typer.Option(help="fer2013new.csv, when the data holds no FER+ votes.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the search in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all trials as JSON on stdout.")] = False,
) -> None:
    """Search a recipe's learning rates, epochs and dropout; PublicTest decides, PrivateTest is not looked at."""
    from fer_edge.commands.tune import TuneOptions, tune_command

    tune_command(
        TuneOptions(
            recipe=recipe, data=data, out=out, trials=trials, timeout=timeout, rows=rows, weights=weights, head_lr=head_lr,
            lr=lr, epochs=epochs, dropout=dropout, ferplus=ferplus, skip_bad=skip_bad, resume=resume, json=json,
        )
    )  # fmt: skip


@app.command()
def export(
    run_folder: Annotated[
        str, typer.Argument(metavar="RUN", help="Run folder of fer-edge train, or the word inspect.")
    ],
    files: Annotated[
        list[Path] | None, typer.Argument(help="With inspect: .tflite and .onnx files, bundle folders.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Bundle folder to write.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Full-integer quantization, calibrated on training faces.")
    ] = False,
    ptq: Annotated[bool, typer.Option("--ptq", help="Post-training quantization alone, without training.")] = False,
    qat_epochs: Annotated[int, typer.Option(help="Epochs of quantization-aware training; the better one ships.")] = 2,
    qat_learning_rate: Annotated[float, typer.Option(help="Its learning rate, falling to zero.")] = 3e-5,
    data: Annotated[Path | None, typer.Option(help="Data set, when it has moved since training.")] = None,
    ferplus: Annotated[
        Path | None, typer.Option(help="FER+ votes the run learned from, when not beside the data.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; the folder's name otherwise.")] = None,
    max_drop: Annotated[float, typer.Option(help="Points of PublicTest accuracy that int8 may lose.")] = 1.0,
    calibration_faces: Annotated[int, typer.Option(help="Training faces that set the ranges.")] = 500,
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Also write the int8 ONNX model.")] = True,
    target: Annotated[
        TargetName, typer.Option(help="Processor whose integer kernels the ONNX model suits; TFLite suits all.")
    ] = TargetName.x86_vnni,
    mixed: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Keep this layer in float; may be given more than once.")
    ] = None,
    also: Annotated[list[PrecisionName] | None, typer.Option(help="Put float models into the bundle as well.")] = None,
    uncertain_below: Annotated[
        float | None,
        typer.Option(help="Calibrated score under which the device says 'uncertain'; 0.4, or 0.6 of two classes."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With inspect: print everything as JSON on stdout.")] = False,
) -> None:
    """Turn a training run into a bundle: int8 TFLite and ONNX, checked; `export inspect FILE…` shows what models are made of."""
    if run_folder == "inspect":
        from fer_edge.commands.inspect import inspect_command

        inspect_command(files or [], json=json)
        return
    from fer_edge.commands.export import export_command

    export_command(
        Path(run_folder), unexpected=files or [], out=out, int8=int8, data=data, ferplus=ferplus, name=name, max_drop=max_drop,
        calibration_faces=calibration_faces, ptq=ptq, qat_epochs=qat_epochs, qat_learning_rate=qat_learning_rate, onnx=onnx, target=target.value, mixed=tuple(mixed or ()),
        also=tuple(precision.value for precision in also or ()), uncertain_below=uncertain_below, overwrite=overwrite,
    )  # fmt: skip


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="RUN|BUNDLE", help="Run folder, bundle folder or zip, or a shipped bundle's name.")
    ],
    data: Annotated[Path, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")],
    split: Annotated[
        SplitName,
        typer.Option(
            help="Faces to look at. PrivateTest only when you name it: whoever chooses by it has no honest figure left.",
        ),
    ] = SplitName.public,
    protocol: Annotated[
        ProtocolName,
        typer.Option(
            help="The face alone, with its mirror image, or ten crops (ten times the work); the first is shown in full."
        ),
    ] = ProtocolName.single,
    engine: Annotated[
        EngineName, typer.Option(help="Of a bundle; auto evaluates each of its models.")
    ] = EngineName.auto,
    recipe: Annotated[
        str | None, typer.Option(help="Read the data as this recipe does; the model's own otherwise.")
    ] = None,
    ferplus: Annotated[Path | None, typer.Option(help="fer2013new.csv, when the data holds no FER+ votes.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
    save_probabilities: Annotated[
        Path | None,
        typer.Option(metavar="NPZ", help="Keep the answers, as a teacher for distillation (--split Training)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="HTML", help="Write a page with plots.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on stdout.")] = False,
) -> None:
    """Measure a training run, or each model of a bundle on its own engine, on faces with labels."""
    from fer_edge.commands.evaluate import EvaluateOptions, evaluate_command

    evaluate_command(
        EvaluateOptions(
            model=model, data=data, split=split.value, protocol=protocol.value, engine=engine.value, recipe=recipe,
            ferplus=ferplus, skip_bad=skip_bad, save_probabilities=save_probabilities, out=out, json=json,
        )
    )  # fmt: skip


data_app = typer.Typer(no_args_is_help=True, help="Fetch FER2013, look into a data set, align its faces.")
app.add_typer(data_app, name="data")


@data_app.command("fetch")
def data_fetch(
    out: Annotated[Path | None, typer.Option(help="Folder to put it in; the cache of kagglehub otherwise.")] = None,
    folders: Annotated[
        bool, typer.Option("--folders", help="Class folders (train and test) instead of the challenge's CSV.")
    ] = False,
) -> None:
    """Download FER2013 from Kaggle; needs an account there, and accepted rules for the challenge's CSV."""
    from fer_edge.commands.data import fetch_command

    fetch_command(out=out, folders=folders)


@data_app.command("inspect")
def data_inspect(
    path: Annotated[Path, typer.Argument(help="Data set: .parquet, .csv or a folder with one folder per class.")],
    html: Annotated[Path | None, typer.Option(metavar="PAGE", help="Page with pictures to write.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Broken rows are no error.")] = False,
) -> None:
    """Count classes and find broken rows, duplicates and training faces that are in a test part too."""
    from fer_edge.commands.data import inspect_command

    inspect_command(path, page=html, as_json=json, skip_bad=skip_bad)


@data_app.command("align")
def data_align(
    path: Annotated[Path, typer.Argument(help="Class folders with pictures of any size, a .parquet or a .csv.")],
    out: Annotated[Path, typer.Option(help="New folder for the faces.")],
    detector: Annotated[str, typer.Option(help="Face detector: short, full or yunet:PATH.")] = "full",
    size: Annotated[int, typer.Option(help="Side of the faces in pixels; training uses 48.")] = 48,
    keep_undetected: Annotated[
        bool, typer.Option("--keep-undetected", help="Keep pictures without a face as they are.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave broken rows out instead of ending.")] = False,
) -> None:
    """Cut out the largest face of every picture, eyes level, as the device does it: grey PNG, one folder per class."""
    from fer_edge.commands.data import align_command

    align_command(path, out=out, detector=detector, size=size, keep_undetected=keep_undetected, skip_bad=skip_bad)


benchmark_app = typer.Typer(no_args_is_help=True, help="Measure bundles on this machine: speed, memory, accuracy.")
app.add_typer(benchmark_app, name="benchmark")


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
        str | None, typer.Option(metavar="PERCENT", help="Exit code 3 when a median is slower by more, such as 10%.")
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


models_app = typer.Typer(
    no_args_is_help=True, help="List bundles, show what one says about itself, check and sign them."
)
app.add_typer(models_app, name="models")


@models_app.command("list")
def models_list(
    bundles: Annotated[
        list[str] | None, typer.Argument(metavar="[BUNDLE]...", help="More bundle folders or zips to list.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON on stdout.")] = False,
) -> None:
    """List shipped bundles and yours. Task, labels, size, accuracy; exit code 5 when one is broken."""
    from fer_edge.commands.models import list_command

    list_command(bundles or [], as_json=json)


@models_app.command("info")
def models_info(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped bundle's name, a bundle folder or zip.")],
    card: Annotated[bool, typer.Option("--card", help="Print the model card on stdout instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Show what a bundle says about itself. Models, tensors, preprocessing, metrics, where it comes from."""
    from fer_edge.commands.models import info_command

    info_command(model, card=card, as_json=json)


@models_app.command("verify")
def models_verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|PATH]...", help="Every shipped bundle without any.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="KEY.pub", help="Also require a signature that was made with this key.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON on stdout.")] = False,
) -> None:
    """Check bundles to the last byte. Files, models and their answers to the golden vectors; exit code 5 when anything is wrong."""
    from fer_edge.commands.models import verify_command

    verify_command(models or [], key=key, as_json=json)


@models_app.command("keygen")
def models_keygen(
    out: Annotated[Path, typer.Option(metavar="KEY", help="File of the private key; KEY.pub will be the public one.")],
) -> None:
    """Make a pair of keys for signatures. Neither file is ever overwritten."""
    from fer_edge.commands.signing import keygen_command

    keygen_command(out)


@models_app.command("sign")
def models_sign(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A bundle folder, or a shipped bundle's name.")],
    key: Annotated[Path, typer.Option(metavar="KEY", help="Private key; fer-edge models keygen makes one.")],
) -> None:
    """Verify a bundle and write its signature, manifest.sig, into it."""
    from fer_edge.commands.signing import sign_command

    sign_command(model, key)


service_app = typer.Typer(no_args_is_help=True, help="Run as a service of systemd.")
app.add_typer(service_app, name="service")


@service_app.command("unit", context_settings={"ignore_unknown_options": True})
def service_unit(
    context: typer.Context,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN OPTIONS]...", help="Any options of fer-edge run.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the service and of its folders.")] = "fer-edge",
    watchdog: Annotated[
        int,
        typer.Option(min=2, max=3600, help="Seconds without a frame, or a sign of waiting for one, until a restart."),
    ] = 30,
    memory: Annotated[str, typer.Option(help="Limit, such as 400M; beyond it the service is ended.")] = "400M",
) -> None:
    """Print a systemd unit for a run: watched, restarted within limits, sandboxed by what the options need."""
    from fer_edge.commands.service import unit_command

    run_command = context.find_root().command.commands["run"]  # type: ignore[attr-defined]
    unit_command(run_command, options or [], name=name, watchdog_s=watchdog, memory=memory)


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON on stdout.")] = False,
    model: Annotated[str, typer.Option(help="Bundle to verify and to measure with.")] = "default",
    measure: Annotated[
        bool, typer.Option(help="Run the demonstration clip for 2 seconds: frames/s and memory to expect.")
    ] = True,
) -> None:
    """Check this machine: Python, processor, heat, memory, libraries, cameras, the bundle, speed.

    Every line is PASS, WARN (it runs, but not as well as it could) or FAIL, with a remedy. Exit code 0 unless a line is FAIL (then 1).
    """
    from fer_edge.commands.doctor import doctor_command

    doctor_command(as_json=json, model=model, measure=measure)
