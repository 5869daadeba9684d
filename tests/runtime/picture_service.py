"""The picture service on loopback, as open as its tests need it."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image as Pillow
from places import SAMPLES
from sockets import request

from fer_edge_runtime.service.access import Access
from fer_edge_runtime.service.faces import FACES_ROUTES, FacesContext
from fer_edge_runtime.service.limits import Limits
from fer_edge_runtime.service.server import Server

ASTRONAUT = (SAMPLES / "astronaut.jpg").read_bytes()
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


def post(server, body, **headers):
    return request(server.port, "/v1/faces", method="POST", body=body, **{"Content_Type": "image/jpeg", **headers})


def blank(mode, size=(64, 48), kind="PNG", **options):
    data = io.BytesIO()
    Pillow.new(mode, size).save(data, kind, **options)
    return data.getvalue()
