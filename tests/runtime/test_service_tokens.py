"""Tokens of the picture service and of the live page: what they open, and for whom."""

import json

import pytest
from picture_service import ASTRONAUT, FREE, post, serving
from sockets import request

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.service.access import Access, read_token, require_token
from fer_edge_runtime.sinks.page import PageOptions, PageSink

TOKEN = "correct-horse-battery"  # noqa: S105 of servers that live for one test


@pytest.fixture(scope="module")
def guarded(recognizer):
    with serving(recognizer, token=TOKEN) as server:
        yield server


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
