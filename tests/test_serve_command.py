"""`fer-edge serve` and the tokens of `fer-edge run --serve`, as real processes."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from command_line import FER_EDGE, fer_edge
from places import SAMPLES
from sockets import connect, exchange, request

ASTRONAUT = (SAMPLES / "astronaut.jpg").read_bytes()
TOKEN = "correct-horse-battery"  # noqa: S105 of a server that lives for one test
OPENSSL = shutil.which("openssl")
WAIT_S = 60


class Service:
    """A process and its port."""

    def __init__(self, *arguments, token=None, files=1024):
        environment = {key: value for key, value in os.environ.items() if key != "FER_EDGE_TOKEN"}
        if token:
            environment["FER_EDGE_TOKEN"] = token
        self.process = subprocess.Popen(
            [FER_EDGE, "serve", "--address", "127.0.0.1:0", *map(str, arguments)], stderr=subprocess.PIPE, text=True,
            env=environment, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        )  # fmt: skip
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("Pictures: POST "):
                self.url = line.split()[2].removesuffix("v1/faces")
                self.port = int(self.url.rsplit(":", 1)[1].strip("/"))
                return
        pytest.fail(f"no address: {self.lines}")

    def stop(self):
        """Seconds it took, and what it said after its start."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=WAIT_S)
        return time.monotonic() - begin, rest


@pytest.fixture
def service():
    running = Service()
    yield running
    running.process.kill()
    running.process.communicate()


def refused(*arguments, **environment):
    done = fer_edge(*arguments, env=os.environ | environment)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_picture_comes_back_as_faces_and_the_process_ends_soon_with_fifty_clients(service):
    reply = request(service.port, "/v1/faces", method="POST", body=ASTRONAUT, Content_Type="image/jpeg")
    assert [face["label"] for face in json.loads(reply.body)["faces"]] == ["happy"]
    # Noise of all kinds, of which nobody should read anything.
    exchange(service.port, b"nonsense\r\n\r\n")
    request(service.port, "/../../etc/passwd")
    request(service.port, "/v1/faces", method="POST", body=b"secret picture", Content_Type="image/jpeg")
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            clients.enter_context(connect(service.port)).sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        seconds, said = service.stop()
    assert seconds < 2
    assert service.process.returncode == 0
    assert said == "Stopped.\n"


def test_token_of_the_environment_is_asked_for():
    service = Service(token=TOKEN)
    try:
        assert "with the token" in "".join(service.lines)
        assert TOKEN not in "".join(service.lines)
        assert TOKEN not in Path(f"/proc/{service.process.pid}/cmdline").read_text()
        assert request(service.port, "/v1/model").status == 401
        assert request(service.port, "/v1/model", Authorization=f"Bearer {TOKEN}").status == 200
    finally:
        service.stop()


def test_more_connections_than_file_descriptors_are_survived():
    service = Service(files=40)
    try:
        with contextlib.ExitStack() as clients:
            for _ in range(60):
                clients.enter_context(connect(service.port))
        assert request(service.port, "/healthz").status == 200
    finally:
        _, said = service.stop()
    assert said == "Stopped.\n"


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_https_with_a_certificate_of_ones_own(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    service = Service("--tls-cert", certificate, "--tls-key", key)
    try:
        assert service.url.startswith("https://")
        trust = ssl.create_default_context(cafile=certificate)
        ask = urllib.request.Request(f"{service.url}v1/faces", ASTRONAUT, {"Content-Type": "image/jpeg"})  # noqa: S310
        with urllib.request.urlopen(ask, timeout=WAIT_S, context=trust) as answer:  # noqa: S310
            assert json.load(answer)["faces"][0]["label"] == "happy"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"{service.url}healthz", timeout=WAIT_S, context=old)  # noqa: S310
        assert exchange(service.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 0
    finally:
        _, said = service.stop()
    assert said == "Stopped.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--address", "0.0.0.0:0"], "a token is needed"),
        (["run", "--source", "demo", "--serve", "0.0.0.0:0"], "a token is needed"),
        (["run", "--source", "demo", "--token-file", "token"], "Give --serve HOST:PORT as well"),
        (["serve", "--tls-cert", "c.pem"], "both a certificate and its private key"),
        (["serve", "--tls-cert", "/dev/null", "--tls-key", "/dev/null"], "cannot be used"),
    ],
)
def test_wrong_use_is_explained(arguments, words):
    code, said = refused(*arguments)
    assert code == 2
    assert words in said


def test_short_token_is_refused():
    code, said = refused("serve", FER_EDGE_TOKEN="short")  # noqa: S106
    assert code == 2
    assert "16 to 256" in said


def test_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused("serve", "--address", str(port))
    assert code == 8
    assert f"port {port} is taken. Choose another: --address 127.0.0.1:" in said
