"""Options on the way from data to a bundle: ``train``, ``tune``, ``export``, ``evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.choices import EngineName, PrecisionName, ProtocolName, SplitName, TargetName


def train(
    recipe: Annotated[str | None, typer.Argument(help="Name of a recipe, a .toml file, or the word compare.")] = None,
    runs: Annotated[list[Path] | None, typer.Argument(help="With compare: run folders.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write; with compare, the page's folder.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the recipes and end.")] = False,
    weights: Annotated[
        str | None, typer.Option(help="Backbone: a '*_notop.weights.h5', a run folder, a bundle, imagenet or none.")
    ] = None,
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


def tune(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .toml file.")],
    data: Annotated[Path, typer.Option(help="fer2013 .parquet or .csv, or a folder with one folder per class.")],
    out: Annotated[Path, typer.Option(help="Folder of the search; best.toml and tuning.html appear in it.")],
    trials: Annotated[int, typer.Option(help="End after so many trials, earlier ones of the folder counted.")] = 20,
    timeout: Annotated[float, typer.Option(help="End after so many minutes; 0 is no limit.")] = 0,
    rows: Annotated[int, typer.Option(help="Learn from so many training rows only, for speed; 0 is all.")] = 0,
    weights: Annotated[
        str | None, typer.Option(help="Backbone: a '*_notop.weights.h5', a run folder, a bundle, imagenet or none.")
    ] = None,
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
