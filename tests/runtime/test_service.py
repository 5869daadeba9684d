"""The picture service over real loopback connections: what it answers, and how it ends."""

import contextlib
import json
import struct
import time
import zlib

import pytest
from picture_service import ASTRONAUT, blank, post, serving
from places import SAMPLES
from prometheus_client.parser import text_string_to_metric_families
from sockets import connect, request
from waiting import wait_until

from fer_edge_runtime.service.faces import FACES_ROUTES


def png(width, height, rows=b""):
    """A PNG whose header says what it likes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def test_faces_are_those_of_the_recognizer(service, recognizer, astronaut):
    reply = post(service, ASTRONAUT)
    assert reply.status == 200
    assert reply.headers["server-timing"].startswith("decode;dur=")
    record = json.loads(reply.body)
    assert (record["schema"], record["width"], record["height"]) == (1, 512, 512)
    assert record["faces"] == [face.as_json() for face in recognizer(astronaut)]
    assert record["faces"][0]["label"] == "happy"


def test_no_face_is_no_error(service):
    reply = post(service, (SAMPLES / "chelsea.jpg").read_bytes(), Content_Type="application/octet-stream")
    assert (reply.status, json.loads(reply.body)["faces"]) == (200, [])


@pytest.mark.parametrize(
    "data",
    [
        blank("L"),
        blank("RGBA"),
        blank("P"),
        blank("I;16"),
        blank("1"),
        blank("RGB", (1, 1)),
        blank("CMYK", kind="JPEG"),
        blank("RGB", kind="WEBP"),
        blank("RGB", kind="GIF"),
        blank("RGB", kind="BMP"),
        blank("RGB", (4000, 1)),
    ],
    ids=["grey", "transparent", "palette", "16-bit", "1-bit", "1x1", "CMYK", "webp", "gif", "bmp", "4000x1"],
)
def test_pictures_of_all_kinds_are_read(service, data):
    reply = post(service, data)
    assert (reply.status, json.loads(reply.body)["faces"]) == (200, [])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"<svg onload='alert(1)'/>", 415),
        (b"\x00\x00\x00\x18ftypheic" + bytes(64), 415),
        (blank("RGB", kind="TIFF"), 415),
        (b"\xff\xd8\xff" + bytes(64), 422),
        (ASTRONAUT[:2000], 422),
        (png(64, 64), 422),
        (png(100_000, 100_000), 413),
        (png(2**31 - 1, 2**31 - 1), 413),
        (png(0, 10), 422),
        (png(20_000, 20_000, bytes(2501 * 20_000)), 413),  # 50 MB that are 50 kB here
        (b"P6\n99999 99999\n255\n" + bytes(64), 413),
        (b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(64), 413),
    ],
    ids=["nothing", "svg", "heic", "tiff", "jpeg head", "cut jpeg", "empty png", "10 gigapixels", "exapixels", "no width",
         "bomb", "pnm", "gif"],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_words(service, data, status):
    reply = post(service, data, Content_Length=str(len(data)))
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = json.loads(reply.body)
    assert problem["status"] == status
    assert len(problem["detail"]) > 20


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/html"},
        {"Content_Type": None},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_other_bodies_are_refused(service, headers):
    assert post(service, ASTRONAUT, **headers).status == 415


def test_facts_metrics_and_description(service):
    post(service, ASTRONAUT)
    assert json.loads(request(service.port, "/v1/model").body)["labels"][3] == "happy"
    for path in ("/healthz", "/readyz"):
        reply = request(service.port, path)
        assert (reply.status, json.loads(reply.body)["ready"]) == (200, True)
    reply = request(service.port, "/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    assert found["fer_edge_pictures"].samples[0].value >= 1
    assert {sample.labels["label"] for sample in found["fer_edge_faces"].samples} == {"happy"}
    stages = {sample.labels["stage"] for sample in found["fer_edge_stage_seconds"].samples}
    assert stages == {"decode", "detect", "align", "classify"}
    assert found["process_resident_memory_bytes"].samples[0].value > 2**20
    description = json.loads(request(service.port, "/openapi.json").body)
    routes = {route.replace("\\", "") for route, _ in FACES_ROUTES} - {"/openapi.json"}
    assert set(description["paths"]) == routes
    assert "16777216 bytes and 25 million pixels" in json.dumps(description)


def test_close_with_fifty_clients_is_quick(recognizer):
    with serving(recognizer) as server, contextlib.ExitStack() as clients:
        for number in range(50):
            connection = clients.enter_context(connect(server.port))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[: 46 if number % 2 else 20])
        wait_until(lambda: server.context.connections() == 50)
        begin = time.monotonic()
        server.close()
        assert time.monotonic() - begin < 2
        assert not server._thread.is_alive()
