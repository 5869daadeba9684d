"""Streams to break: an MJPEG camera on loopback that can be unplugged, and a run whose output is watched as it comes."""

import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
from command_line import FER_EDGE

DEADLINE_S = 40


class Camera:
    """Serves moving JPEGs at one address; ``unplug`` and ``plug_in`` as often as wanted.

    Attributes:
        mode: ``run``; ``mute`` accepts and never answers; ``hang`` says nothing more; ``freeze`` repeats a picture; ``garbage`` sends what is no JPEG.
        size: (width, height) of the pictures.
    """

    def __init__(self, image, *, fps=20, size=(320, 320), port=0):
        self.mode, self.size, self.fps = "run", size, fps
        self._image, self._port, self._sent = image, port, 0
        self._unplugged, self._visited = threading.Event(), threading.Event()
        self._server = None
        self._connections = []
        self.plug_in()

    @property
    def url(self):
        return f"http://user:hunter2@127.0.0.1:{self._port}/stream.mjpg?key=hunter2"

    def plug_in(self):
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                camera._serve(self)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args):
                pass

        self._unplugged.clear()
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def unplug(self):
        self._unplugged.set()
        self.mode = "run"
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for_guest(self):
        """Until somebody has asked for the stream."""
        assert self._visited.wait(DEADLINE_S)

    def _serve(self, handler):
        self._visited.set()
        while self.mode == "mute" and not self._unplugged.wait(0.05):
            pass
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        while not self._unplugged.wait(1 / self.fps):
            if self.mode == "hang":
                continue
            data = b"no JPEG at all" * 50 if self.mode == "garbage" else self._jpeg()
            handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            handler.wfile.write(data + b"\r\n")

    def _jpeg(self):
        image = cv2.resize(self._image, self.size)
        self._sent += self.mode != "freeze"
        image[4:8, 4 : 8 + self._sent % 40] = 255
        return cv2.imencode(".jpg", image)[1].tobytes()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if not self._unplugged.is_set():
            self.unplug()


class Run:
    """``fer-edge run`` with JSON on stdout; records and sentences are there as soon as they are written."""

    def __init__(self, *arguments, json_to="-"):
        self._changed = threading.Condition()
        self.records, self.said = [], []
        self.process = subprocess.Popen(
            [FER_EDGE, "run", "--json", json_to, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._gather, args=(self.process.stdout, self.records, json.loads), daemon=True),
            threading.Thread(target=self._gather, args=(self.process.stderr, self.said, str.rstrip), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _gather(self, stream, into, parse):
        for line in stream:
            with self._changed:
                into.append(parse(line))
                self._changed.notify_all()

    def wait(self, condition):
        """Until it holds; it is looked at whenever a line comes."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), (self.said, len(self.records))

    def hears(self, words, times=1):
        self.wait(lambda: sum(words in line for line in self.said) >= times)

    def sees(self, more):
        """So many more records from now on."""
        wanted = len(self.records) + more
        self.wait(lambda: len(self.records) >= wanted)

    def ends(self, number=None):
        """Seconds that the end took after the signal; everything that was written is there then."""
        begun_s = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        took_s = time.monotonic() - begun_s
        for reader in self._readers:
            reader.join(DEADLINE_S)
        return code, took_s

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
