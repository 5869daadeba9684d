"""Requests as bytes on a real loopback socket: what no well-behaved client would send."""

import socket
from typing import NamedTuple

WAIT_S = 20.0


class Reply(NamedTuple):
    """What came back; status 0 when the connection was closed without a word."""

    status: int
    headers: dict
    body: bytes


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def read_reply(connection, *, head=False):
    """One reply; its body by Content-Length, else to the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            assert not data, data
            return Reply(0, {}, b"")
        data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    length = int(headers.get("content-length", -1))
    while not head and (length < 0 or len(body) < length):
        piece = connection.recv(65536)
        if not piece:
            assert length < 0, body
            break
        body += piece
    return Reply(int(first.split()[1]), headers, body)


def exchange(port, data, *, head=False):
    """Send these bytes, read one reply."""
    with connect(port) as connection:
        connection.sendall(data)
        return read_reply(connection, head=head)


def request(port, path="/", *, method="GET", body=b"", **headers):
    """An ordinary request; underscores in names become hyphens. None leaves a header out."""
    fields = {"Host": "localhost", "Connection": "close"}
    if body:
        fields["Content-Length"] = str(len(body))
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    top = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return exchange(port, f"{method} {path} HTTP/1.1\r\n{top}\r\n".encode() + body, head=method == "HEAD")
