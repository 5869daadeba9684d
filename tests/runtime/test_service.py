"""The picture service over real loopback connections: what it answers, and what it does not let anybody do."""

import contextlib
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image as Pillow
from places import SAMPLES
from prometheus_client.parser import text_string_to_metric_families
from sockets import connect, exchange, read_reply, request

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.service.access import Access, read_token, require_token
from fer_edge_runtime.service.faces import FACES_ROUTES, FacesContext
from fer_edge_runtime.service.limits import MAX_CLIENTS, Limits, Rates
from fer_edge_runtime.service.server import Server
from fer_edge_runtime.sinks.page import PageOptions, PageSink

ASTRONAUT = (SAMPLES / "astronaut.jpg").read_bytes()
TOKEN = "correct-horse-battery"  # noqa: S105 of servers that live for one test
FREE = Limits(requests=0, accepts=1000.0)
WAIT_S = 20.0


@contextlib.contextmanager
def serving(recognizer, *, token=None, **limits) -> Iterator[Server]:
    """A picture service; its context is its attribute."""
    context = FacesContext(Access(token), replace(FREE, **limits), recognizer, version="0")
    server = Server("127.0.0.1", 0, FACES_ROUTES, context, what="test", option="--address")
    server.context = context
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def service(recognizer):
    with serving(recognizer) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(recognizer):
    with serving(recognizer, token=TOKEN) as server:
        yield server


def post(server, body, **headers):
    return request(server.port, "/v1/faces", method="POST", body=body, **{"Content_Type": "image/jpeg", **headers})


def wait(condition):
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        threading.Event().wait(0.01)


def picture(mode, size=(64, 48), kind="PNG", **options):
    data = io.BytesIO()
    Pillow.new(mode, size).save(data, kind, **options)
    return data.getvalue()


def png(width, height, rows=b""):
    """A PNG whose header says what it likes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


# What it answers


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
        picture("L"),
        picture("RGBA"),
        picture("P"),
        picture("I;16"),
        picture("1"),
        picture("RGB", (1, 1)),
        picture("CMYK", kind="JPEG"),
        picture("RGB", kind="WEBP"),
        picture("RGB", kind="GIF"),
        picture("RGB", kind="BMP"),
        picture("RGB", (4000, 1)),
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
        (picture("RGB", kind="TIFF"), 415),
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


# Limits


def test_pixels_are_counted_before_they_are_decoded(recognizer):
    with serving(recognizer, pixels=10_000) as server:
        assert post(server, picture("L", (100, 100))).status == 200
        reply = post(server, picture("L", (100, 101)))
        assert (reply.status, json.loads(reply.body)["detail"]) == (
            413,
            "100×101 pixels are more than the 0.01 million allowed.",
        )


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_is_refused_and_the_client_hears_it(recognizer, chunked):
    body = bytes(3 * 2**20)
    with serving(recognizer, body_bytes=2**20) as server, connect(server.port) as connection:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        connection.sendall(
            f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{framing}\r\n\r\n".encode()
        )
        connection.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" if chunked else body)
        reply = read_reply(connection)
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert connection.recv(1) == b""


def test_large_body_that_waits_for_permission_gets_none(recognizer):
    with serving(recognizer, body_bytes=1000) as server:
        reply = request(
            server.port,
            "/v1/faces",
            method="POST",
            Content_Type="image/png",
            Content_Length="5000",
            Expect="100-continue",
        )
        assert reply.status == 413


def test_slow_body_is_given_up(recognizer):
    with serving(recognizer, body_s=0.3) as server, connect(server.port) as connection:
        connection.sendall(
            b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
        )
        assert read_reply(connection).status == 408
        assert connection.recv(1) == b""


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-", b"GET "])
def test_slow_headers_are_given_up_however_they_trickle(recognizer, start):
    with serving(recognizer, header_s=0.4) as server, connect(server.port) as connection:
        begin = time.monotonic()
        connection.sendall(start)
        connection.settimeout(0.1)
        while True:
            try:
                assert connection.recv(100) == b""
                break
            except TimeoutError:
                with contextlib.suppress(OSError):
                    connection.sendall(b"a")
            except ConnectionResetError:
                break
        assert time.monotonic() - begin < 3


def test_connection_that_says_nothing_more_is_closed(recognizer):
    with serving(recognizer, header_s=0.3) as server, connect(server.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_reply(connection).status == 200
        assert connection.recv(1) == b""


def test_huge_headers_are_refused(service):
    for data in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 9000 + b"\r\n",
    ):
        assert exchange(service.port, data).status in (0, 400, 431)
    assert request(service.port, "/healthz").status == 200


def test_too_many_requests_are_slowed_down_and_refused(recognizer):
    with serving(recognizer, requests=0.001, penalty_s=0.2) as server:
        assert request(server.port, "/healthz").status == 200
        begin = time.monotonic()
        for path in ("/healthz", "/nowhere"):
            reply = request(server.port, path)
            assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        assert time.monotonic() - begin >= 0.4


def test_rates_are_for_each_client_and_forget():
    now_s = 0.0
    rates = Rates(1.0, 2.0, clock=lambda: now_s)
    assert [rates.take("a"), rates.take("a")] == [0, 0]
    assert rates.take("a") == pytest.approx(1.0)
    assert rates.take("b") == 0
    now_s = 1.0
    assert rates.take("a") == 0
    assert rates.take("a") > 0
    assert [rates.take("2001:db8::1"), rates.take("2001:db8::2")] == [0, 0]
    assert rates.take("2001:db8::3") > 0
    for number in range(2 * MAX_CLIENTS):
        rates.take(f"c{number}")
    assert len(rates._buckets) == MAX_CLIENTS


def test_full_queue_is_said_and_waiting_pictures_are_answered(recognizer):
    with serving(recognizer, queue=0) as server:
        free = threading.Event()
        server.context._worker.submit(free.wait, WAIT_S)
        replies = []
        waiting = threading.Thread(target=lambda: replies.append(post(server, ASTRONAUT)))
        waiting.start()
        wait(lambda: server.context.health().details["waiting"] == 1)
        refused = post(server, ASTRONAUT)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        free.set()
        waiting.join()
        assert replies[0].status == 200


def test_memory_for_unfinished_bodies_is_bounded_and_given_back(recognizer):
    head = b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 900000\r\n\r\n"
    with serving(recognizer, buffered_bytes=2**20) as server:
        with connect(server.port) as slow:
            slow.sendall(head + bytes(800_000))
            wait(lambda: server.context.buffered == 800_000)
            assert post(server, bytes(300_000)).status == 503
        wait(lambda: server.context.buffered == 0)  # it went in the middle
        assert post(server, ASTRONAUT).status == 200
        wait(lambda: server.context.buffered == 0)


def test_who_leaves_while_waiting_costs_nothing(recognizer):
    with serving(recognizer) as server:
        free = threading.Event()
        server.context._worker.submit(free.wait, WAIT_S)
        head = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(ASTRONAUT)}\r\n\r\n"
        with connect(server.port) as connection:
            connection.sendall(head.encode() + ASTRONAUT)
            wait(lambda: server.context.health().details["waiting"] == 1)
        wait(lambda: server.context.connections() == 0)
        free.set()
        wait(lambda: server.context.health().details["waiting"] == 0)
        text = server.context.metrics()
        assert "fer_edge_pictures_total" in text
        assert "fer_edge_pictures_total 1" not in text


# Tricks

PATHS = [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%252e%252e%252fetc/passwd",
    "/v1/faces/../../etc/passwd", "/..\\..\\etc\\passwd", "/%5c..%5cetc/passwd", "//etc/passwd", "/etc/passwd%00.jpg",
    "/static/../server.py", "/page.html", "/openapi.json/", "/v1//faces", "/%c0%ae%c0%ae/etc/passwd", "/;/etc/passwd",
    "file:///etc/passwd", "http://localhost/etc/passwd", "http://evil.example/healthz", "*", "localhost:80", "etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_reads_a_file(service, path):
    for method in ("GET", "POST"):
        reply = request(service.port, path, method=method)
        assert reply.status in (400, 404, 405)
        assert b"root:" not in reply.body
        assert b"import" not in reply.body


def test_no_path_of_the_page_reads_a_file():
    with PageSink(PageOptions(port=0, limits=FREE)) as page:
        for path in PATHS:
            assert request(page.port, path).status in (400, 404)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5_0",
        "Content-Length: 0x5",
        "Content-Length: ٥",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Content-Length: 5\r\n folded: yes",
        "Content-Length: 99999999999999999999999999",
    ],
)
def test_ambiguous_bodies_never_become_a_second_request(service, framing):
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    top = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{framing}\r\n\r\n".encode()
    with connect(service.port) as connection:
        connection.sendall(top + b"0\r\n\r\n" + smuggled)
        data = b""
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                data += piece
    assert b"fer_edge_pictures_total" not in data
    assert not data.startswith(b"HTTP/1.1 2")
    assert request(service.port, "/healthz").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX\x00Y: z\r\n\r\n",
        b"\r\n" * 50 + b"nonsense\r\n\r\n",
        b"GET  /healthz  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_broken_requests_are_refused_and_the_server_lives(service, data):
    assert exchange(service.port, data).status in (0, 400, 403)
    assert request(service.port, "/healthz").status == 200


def test_old_and_odd_but_legal_requests(service):
    reply = exchange(service.port, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert reply.status == 200
    reply = request(service.port, "/healthz", method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 10
    two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(service.port) as connection:
        connection.sendall(two)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2 or not data.endswith(b"}\n"):
            data += connection.recv(65536)
    assert data.index(b'"ready"') < data.index(b'"labels"')


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_other_methods_are_refused(service, method):
    reply = request(service.port, "/v1/faces", method=method)
    assert reply.status in (400, 405)
    assert "access-control-allow-origin" not in reply.headers
    if reply.status == 405:
        assert reply.headers["allow"] == "POST"
    assert request(service.port, "/metrics", method=method, body=b"x" * 100).status in (400, 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:80"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "evil.example", "X_Forwarded_Host": "localhost"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:9"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Origin": "https://evil.example"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://elsewhere"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
    ],
)
def test_foreign_pages_get_nothing(service, headers, status):
    assert request(service.port, "/v1/model", **headers).status == status


# Tokens


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/metrics", "/v1/model", "/openapi.json"])
def test_token_opens_and_nothing_else_does(guarded, path):
    assert request(guarded.port, path, **bearer(TOKEN)).status == 200
    assert request(guarded.port, path, Authorization=f"bearer  {TOKEN} ").status == 200
    assert request(guarded.port, path, Host="my-pi.local", **bearer(TOKEN)).status == 200
    reply = request(guarded.port, path)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="fer-edge"')
    assert request(guarded.port, path, Cookie=f"fer_edge={TOKEN}").status == 401
    assert request(guarded.port, f"{path}?token={TOKEN}").status == 401


def test_picture_without_token_is_refused_unread(guarded):
    assert post(guarded, ASTRONAUT).status == 401
    assert post(guarded, ASTRONAUT, **bearer(TOKEN)).status == 200


def test_health_tells_strangers_one_word(guarded):
    assert json.loads(request(guarded.port, "/healthz").body) == {"status": "ok", "ready": True}
    assert "model" in json.loads(request(guarded.port, "/healthz", **bearer(TOKEN)).body)
    assert request(guarded.port, "/healthz", **bearer("wrong")).status == 401


def test_many_wrong_tokens_are_too_many(recognizer):
    with serving(recognizer, token=TOKEN) as server:
        statuses = [request(server.port, "/v1/model", **bearer(f"{TOKEN}{n}")).status for n in range(14)]
        assert statuses[:10] == [401] * 10
        assert 429 in statuses[10:]
        assert request(server.port, "/v1/model", **bearer(TOKEN)).status == 200


def test_login_gives_a_cookie_that_opens_the_page():
    with PageSink(PageOptions(port=0, access=Access(TOKEN), limits=FREE)) as page:
        assert request(page.port, "/state.json").status == 401
        form = request(page.port, "/")
        assert (form.status, b'action="/login"' in form.body) == (401, True)
        wrong = request(page.port, "/login", method="POST", body=b"token=wrong")
        assert (wrong.status, b"This is not the token." in wrong.body) == (401, True)
        assert request(page.port, "/login", method="POST", body=b"token=" + b"a" * 5000).status == 413
        foreign = request(
            page.port, "/login", method="POST", body=f"token={TOKEN}".encode(), Origin="http://evil.example"
        )
        assert foreign.status == 403
        right = request(page.port, "/login", method="POST", body=f"token={TOKEN}".encode())
        assert (right.status, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        opened = request(page.port, "/", Cookie=cookie.partition(";")[0])
        assert (opened.status, b"stream.mjpg" in opened.body) == (200, True)
        assert request(page.port, "/state.json", Cookie="fer_edge=0").status == 401


def test_tokens_are_read_and_bad_ones_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("FER_EDGE_TOKEN", raising=False)
    assert read_token(None) is None
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    monkeypatch.setenv("FER_EDGE_TOKEN", "another-long-token")
    assert read_token(None) == "another-long-token"
    assert read_token(file) == TOKEN
    for bad in ("", "short", "with a space inside", "ünïcödé-token-long", "x" * 300):
        monkeypatch.setenv("FER_EDGE_TOKEN", bad)
        with pytest.raises(ConfigError, match="needs 16 to 256 ASCII characters"):
            read_token(None)
    with pytest.raises(ConfigError, match="No such file"):
        read_token(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"token is needed.*FER_EDGE_TOKEN.*--token-file FILE"):
        require_token(None, "0.0.0.0", option="--token-file")  # noqa: S104
    require_token(None, "127.0.0.1", option="--token-file")
    require_token(TOKEN, "0.0.0.0", option="--token-file")  # noqa: S104


# Ends


def test_close_with_fifty_clients_is_quick(recognizer):
    with serving(recognizer) as server, contextlib.ExitStack() as clients:
        for number in range(50):
            connection = clients.enter_context(connect(server.port))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[: 46 if number % 2 else 20])
        wait(lambda: server.context.connections() == 50)
        begin = time.monotonic()
        server.close()
        assert time.monotonic() - begin < 2
        assert not server._thread.is_alive()
