"""Options of what a device does: ``run``, ``serve``, ``annotate``, ``doctor``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.choices import DeviceName, EngineName


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
