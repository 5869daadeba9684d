"""Enough of S3 on loopback for a client to list and read a bucket; it remembers what was read, and checks no signature."""

import collections
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CHANGED_S = 1_770_000_000
PAGE = 25  # so that a listing has more than one


class S3Server:
    """One bucket.

    Attributes:
        objects: key -> content.
        reads: how often each key was read.
        listings: how many pages of listings were asked for.
        environment: what a client's process needs to find it.
    """

    def __init__(self, bucket, objects):
        self.bucket, self.objects = bucket, dict(objects)
        self.reads, self.listings = collections.Counter(), 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "NAME",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def _page(self, query):
        """A page of ListObjectsV2."""
        prefix, delimiter, after = (query.get(name, [""])[0] for name in ("prefix", "delimiter", "continuation-token"))
        most = min(PAGE, int(query.get("max-keys", [PAGE])[0]))
        entries = []
        for key in sorted(self.objects):
            folder, inside, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            name = f"{prefix}{folder}{delimiter}" if inside else key
            if key.startswith(prefix) and name > after and (name, bool(inside)) not in entries:
                entries.append((name, bool(inside)))
        self.listings += 1
        parts = [
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            if folder
            else f"<Contents><Key>{escape(name)}</Key><LastModified>2026-02-02T02:40:00.000Z</LastModified><ETag>&quot;1&quot;</ETag>"
            f"<Size>{len(self.objects[name])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for name, folder in entries[:most]
        ]
        more = len(entries) > most
        token = f"<NextContinuationToken>{escape(entries[most - 1][0])}</NextContinuationToken>" if more else ""
        return (
            f"<?xml version='1.0'?><ListBucketResult><Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(parts)}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{''.join(parts)}</ListBucketResult>"
        ).encode()

    def _handler(self):
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self._serve(body=True)

            def do_HEAD(self):
                self._serve(body=False)

            def _serve(self, *, body):
                url = urlsplit(self.path)
                bucket, _, key = unquote(url.path).lstrip("/").partition("/")
                if bucket == store.bucket and not key:
                    self._answer(200, store._page(parse_qs(url.query)) if body else b"")
                elif bucket != store.bucket or key not in store.objects:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if body else b"")
                else:
                    store.reads[key] += body
                    self._object(store.objects[key], body=body)

            def _object(self, content, *, body):
                headers = {"ETag": '"1"', "Last-Modified": formatdate(CHANGED_S, usegmt=True)}
                wanted = self.headers.get("Range", "")
                if not body:
                    self._answer(200, b"", {**headers, "Content-Length": len(content)})
                elif wanted:
                    first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
                    piece = content[first : last + 1]
                    named = f"bytes {first}-{first + len(piece) - 1}/{len(content)}"
                    self._answer(206, piece, {**headers, "Content-Range": named})
                else:
                    self._answer(200, content, headers)

            def _answer(self, code, content, headers=None):
                self.send_response(code)
                for name, value in {"Content-Length": len(content), **(headers or {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        return Handler
