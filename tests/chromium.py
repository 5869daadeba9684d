"""A headless Chromium, driven by the DevTools protocol over Tornado's WebSocket client."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
WAIT_S = 30.0


class Browser:
    """One browser with one page; use it as a context manager, without an event loop in this thread."""

    def __init__(self, folder):
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless", *sandbox, "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            pytest.fail("Chromium did not start")
        # Nobody reads it any further; without this a chatty browser would wait for a reader.
        self._log = subprocess.Popen(["cat"], stdin=self._process.stderr, stdout=subprocess.DEVNULL)
        self._process.stderr.close()
        self._ids = itertools.count(1)
        self._loop = IOLoop(make_current=False)
        self._socket = self._loop.run_sync(lambda: websocket_connect(found[1], max_message_size=2**26), timeout=WAIT_S)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._loop.close()
        self._process.terminate()
        self._process.wait(WAIT_S)
        self._log.wait(WAIT_S)

    def call(self, method, **params):
        """One command of the protocol."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session

        async def talk():
            await self._socket.write_message(json.dumps(message))
            while True:
                text = await self._socket.read_message()
                assert text is not None, "Chromium has gone"
                answer = json.loads(text)
                if answer.get("id") == number:
                    return answer

        answer = self._loop.run_sync(talk, timeout=WAIT_S)
        assert "error" not in answer, answer
        return answer["result"]

    def size(self, width, height, *, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def open(self, url):
        assert "errorText" not in self.call("Page.navigate", url=url)

    def js(self, expression):
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression):
        """Until it is true; a page that is still loading lacks much."""
        until = time.monotonic() + WAIT_S
        while not self.js(f"(() => {{ try {{ return !!({expression}) }} catch {{ return false }} }})()"):
            assert time.monotonic() < until, f"{expression}; the page says: {self.js('document.body.innerText')}"

    def press(self, key, code):
        text = {"Enter": "\r", " ": " "}.get(key)
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        for event in (down, {"type": "keyUp"}):
            self.call("Input.dispatchKeyEvent", key=key, windowsVirtualKeyCode=code, **event)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
