#!/usr/bin/env python3
"""Load the live page and the picture service on loopback, and see what it costs the camera.

    python benchmarks/service.py [--seconds 10] [--fps 15] [--check] [--no-record]

`fer-edge run` reads an MJPEG stream of the demonstration clip at a camera's rate and serves its page, while others ask: `hey`
with 1, 16 and 200 clients, with and without keep-alive; eight viewers of the stream; `slowhttptest` with 200 slow headers,
slow bodies and slow readers. What counts is the frame rate (from the JSON Lines of the run) against the quiet seconds before
and after. Then `fer-edge serve` takes pictures from 1, 16 and 200 clients. The clients run at the lowest priority: they
are not what is measured, but they share this machine's cores.
--check exits 1 when a load costs more than 10 % of the frame rate, when page or service answer anything but 200, 429, 503, or never 200.
`apt-get install hey slowhttptest`. The figures go to results/reliability.json, section `service`.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2

ROOT = Path(__file__).parents[1]
FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
CLIP = ROOT / "runtime" / "fer_edge_runtime" / "assets" / "demo.mp4"
PICTURE = ROOT / "tests" / "samples" / "astronaut.jpg"
LIMIT = 0.10
WAIT_S = 30.0
SETTLE_S = 1.0
CLIENTS = (1, 16, 200)
EXPECTED = {"200", "429", "503"}


class Camera:
    """An MJPEG stream of the clip over and over, at a steady rate."""

    def __init__(self, fps: float) -> None:
        capture = cv2.VideoCapture(str(CLIP))
        pictures = []
        while (found := capture.read())[0]:
            pictures.append(cv2.imencode(".jpg", found[1])[1].tobytes())

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                begin = time.monotonic()
                with suppress(OSError):
                    for number, jpeg in enumerate(itertools.cycle(pictures)):
                        time.sleep(max(0.0, begin + number / fps - time.monotonic()))
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream.mjpg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class Run:
    """`fer-edge run --serve`, whose frames are counted as their JSON lines come."""

    def __init__(self, source: str) -> None:
        self.port = free_port()
        self._frames = 0
        self.process = subprocess.Popen(
            [FER_EDGE, "run", "--source", source, "--serve", str(self.port), "--json", "-", "--quiet"],
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._count, daemon=True).start()
        wait_until(lambda: self._frames > 10)

    def _count(self) -> None:
        assert self.process.stdout
        for _ in self.process.stdout:
            self._frames += 1

    def fps(self, seconds: float) -> float:
        """Frames a second over this time."""
        before, begin = self._frames, time.monotonic()
        time.sleep(seconds)
        return (self._frames - before) / (time.monotonic() - begin)

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"nothing came within {WAIT_S:g} s")
        time.sleep(0.05)


def end(process: subprocess.Popen[Any]) -> float:
    """Seconds from SIGTERM to the end."""
    begin = time.monotonic()
    process.terminate()
    process.wait(WAIT_S)
    if process.returncode:
        raise SystemExit(f"{process.args} ended with exit code {process.returncode}")
    return time.monotonic() - begin


@contextmanager
def hey(url: str, clients: int, seconds: float, *options: str) -> Iterator[dict[str, Any]]:
    """Clients that ask as fast as they are answered; the figures are there at the end."""
    figures: dict[str, Any] = {}
    # A file: hey prints a line a request.
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            ["nice", "-n", "19", "hey", "-z", f"{seconds}s", "-c", str(clients), "-o", "csv", *options, url],
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        yield figures
        process.wait(seconds + WAIT_S)
        out.seek(0)
        figures.update(summary(out.read()))


def summary(text: str) -> dict[str, Any]:
    """Answers by status, their rate, and the time of those with 200."""
    rows = [row for row in csv.reader(io.StringIO(text)) if len(row) == 8 and row[0] != "response-time"]
    codes = Counter(row[6] for row in rows)
    taken = sorted(float(row[0]) * 1e3 for row in rows if row[6] == "200")
    # Answers come also after the time in which questions were asked.
    seconds = max((float(row[0]) + float(row[7]) for row in rows), default=1.0)
    figures: dict[str, Any] = {"codes": dict(codes), "ok_per_s": round(codes["200"] / seconds, 1)}
    if taken:
        figures |= {f"p{q}_ms": round(taken[min(len(taken) - 1, len(taken) * q // 100)], 1) for q in (50, 99)}
    return figures


@contextmanager
def viewers(port: int, number: int) -> Iterator[dict[str, Any]]:
    """Viewers of the stream who read all they get."""
    open_: list[socket.socket] = []
    received = Counter[str]()

    def watch(connection: socket.socket) -> None:
        with suppress(OSError):
            while data := connection.recv(65536):
                received["bytes"] += len(data)

    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        threading.Thread(target=watch, args=(connection,), daemon=True).start()
        open_.append(connection)
    figures: dict[str, Any] = {}
    yield figures
    for connection in open_:
        connection.close()
    figures["mib"] = round(received["bytes"] / 2**20, 1)


@contextmanager
def slow(url: str, kind: str, clients: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Clients that send or read as slowly as they can."""
    options = {
        "headers": ["-H", "-i", "2"],
        "bodies": ["-B", "-i", "2", "-s", "8192"],
        "readers": ["-X", "-w", "1", "-y", "16", "-z", "8", "-k", "3"],
    }[kind]
    process = subprocess.Popen(
        ["nice", "-n", "19", "slowhttptest", *options, "-c", str(clients), "-r", "100", "-l", str(int(seconds)), "-u", url],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield {}
    process.wait(seconds + WAIT_S)


def load_page(fps: float, seconds: float) -> dict[str, Any]:
    """The frame rate of a run under each load, as a share of the quiet one."""
    camera = Camera(fps)
    run = Run(camera.url)
    url = f"http://127.0.0.1:{run.port}"
    whole = seconds + 2 * SETTLE_S
    loads: dict[str, Callable[[], Any]] = {
        **{f"{n} clients, state": lambda n=n: hey(f"{url}/state.json", n, whole) for n in CLIENTS},
        "200 clients, a connection each time": lambda: hey(f"{url}/metrics", 200, whole, "-disable-keepalive"),
        "8 viewers": lambda: viewers(run.port, 8),
        "200 slow headers": lambda: slow(f"{url}/", "headers", 200, whole),
        "200 slow bodies": lambda: slow(f"{url}/login", "bodies", 200, whole),
        "200 slow readers": lambda: slow(f"{url}/", "readers", 200, whole),
    }
    rows: dict[str, Any] = {}
    before = run.cpu_s()
    quiet = [run.fps(seconds)]
    quiet_cpu = (run.cpu_s() - before) / seconds
    memory = [run.rss_mib()]
    for name, load in loads.items():
        with load() as figures:
            time.sleep(SETTLE_S)
            before = run.cpu_s()
            rate = run.fps(seconds)
            cpu = (run.cpu_s() - before) / seconds
        quiet.append(run.fps(seconds))
        memory.append(run.rss_mib())
        reference = (quiet[-2] + quiet[-1]) / 2
        rows[name] = {
            "fps": round(rate, 2),
            "quiet_fps": round(reference, 2),
            "ratio": round(rate / reference, 3),
            "cores": round(cpu, 3),
            **figures,
        }
        print(
            f"{name:<38}{rate:7.2f} frames/s, {rate / reference:6.1%} of the quiet rate, {cpu:.2f} cores  {figures}",
            flush=True,
        )
    with viewers(run.port, 8), socket_crowd(run.port, 42):
        stop_s = end(run.process)
    print(f"stopped in {stop_s:.2f} s with 50 clients; memory {memory[0]:.0f} to {max(memory):.0f} MiB")
    return {
        "camera_fps": fps, "seconds": seconds, "quiet_cores": round(quiet_cpu, 3), "loads": rows, "stop_s_with_50_clients": round(stop_s, 2),
        "rss_mib_before": round(memory[0], 1), "rss_mib_most": round(max(memory), 1),
    }  # fmt: skip


@contextmanager
def socket_crowd(port: int, number: int) -> Iterator[None]:
    """Connections that say nothing."""
    open_ = [socket.create_connection(("127.0.0.1", port)) for _ in range(number)]
    yield
    for connection in open_:
        connection.close()


def load_service(seconds: float) -> dict[str, Any]:
    """Pictures a second and their times, by number of clients; without the limit a client has otherwise."""
    port = free_port()
    process = subprocess.Popen(
        [FER_EDGE, "serve", "--address", str(port), "--rate", "0", "--queue", "256"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if line.startswith("Pictures:"):
            break
    rows: dict[str, Any] = {}
    for clients in CLIENTS:
        post = ("-m", "POST", "-D", str(PICTURE), "-T", "image/jpeg")
        with hey(f"http://127.0.0.1:{port}/v1/faces", clients, seconds, *post) as figures:
            pass
        rows[f"{clients} clients"] = figures
        print(f"POST /v1/faces, {clients:>3} clients: {figures}", flush=True)
    end(process)
    return rows


def failures(loads: dict[str, Any], service: dict[str, Any]) -> list[str]:
    """Which loads cost too much, and which had answers that nobody should get; slow clients and viewers have no codes."""
    found = [f"{name}: {row['ratio']:.1%} of the frame rate" for name, row in loads.items() if row["ratio"] < 1 - LIMIT]
    for name, row in {**loads, **service}.items():
        if "codes" in row and (set(row["codes"]) - EXPECTED or not row["ok_per_s"]):
            found.append(f"{name}: answers {row['codes']}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    missing = [tool for tool in ("hey", "slowhttptest") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} missing: apt-get install hey slowhttptest")
    page = load_page(options.fps, options.seconds)
    service = load_service(options.seconds)
    if not options.no_record:
        from reliability import record

        record("service", {"page": page, "pictures": service})
    failed = failures(page["loads"], service)
    for problem in failed:
        print(f"FAIL {problem}")
    sys.exit(1 if options.check and failed else 0)


if __name__ == "__main__":
    main()
