"""The live page in a headless Chromium, at a phone's and a desktop's width: seen, operated by keyboard, read aloud."""

import threading

import cv2
import numpy as np
import pytest
from chromium import Browser, needs_chromium

from fer_edge_runtime.service.access import Access
from fer_edge_runtime.sinks import open_sinks
from fer_edge_runtime.sinks.page import PageOptions
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.types import Face, Frame, FrameResult

pytestmark = [needs_chromium, pytest.mark.slow]
TOKEN = "correct-horse-battery"  # noqa: S105 of a page that lives for one test
TAB, ENTER, SPACE = ("Tab", 9), ("Enter", 13), (" ", 32)
ORANGE = (0, 140, 255)


class Run:
    """Frames of one face on a page, until it is ended; the source's health can be changed."""

    def __init__(self, token=None):
        self.health = SourceHealth(SourceState.RUNNING, 0.0)
        self._stop = threading.Event()
        self._sinks = open_sinks(
            labels=(), kind="live", serve=PageOptions(port=0, access=Access(token)), health=lambda: self.health
        )
        self.url = self._sinks.describe()[0]
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def _feed(self):
        image = np.full((240, 320, 3), ORANGE, np.uint8)
        face = Face((60, 40, 160, 160), "happy", 0.9, {"happy": 0.9, "sad": 0.1}, {}, 0.8, 7)
        index = 0
        while not self._stop.wait(0.05):
            if self.health.state is SourceState.RUNNING:
                result = FrameResult("camera:0", index, index / 20, (face,), {"detect": 4.25}, 20.0)
                self._sinks.write(Frame(image, index, index / 20, "camera:0"), result)
                index += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._sinks.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.mark.parametrize(("width", "height", "phone"), [(390, 844, True), (1280, 800, False)])
def test_page_shows_stream_and_faces_without_sideways_scrolling(browser, tmp_path, width, height, phone):
    with Run() as run:
        browser.size(width, height, phone=phone)
        browser.open(run.url)
        browser.wait(
            "document.querySelectorAll('article').length === 1 && document.getElementById('stream').naturalWidth > 0"
        )
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.js("document.querySelector('article h3').textContent") == "happyface 790 %"
        box = browser.js("JSON.parse(JSON.stringify(document.getElementById('stream').getBoundingClientRect()))")

        def shown():
            browser.screenshot(tmp_path / "page.png")
            image = cv2.imread(str(tmp_path / "page.png"))
            corner = image[int(box["bottom"]) - 12, int(box["x"]) + int(box["width"]) // 2]
            return np.abs(corner.astype(int) - ORANGE).max() < 30

        assert any(shown() for _ in range(20))


def test_page_by_keyboard_and_aloud(browser):
    with Run() as run:
        browser.size(1280, 800)
        browser.open(run.url)
        browser.wait("document.getElementById('spoken').textContent === '1 face: happy'")
        browser.press(*TAB)
        assert browser.js("document.activeElement.id") == "pause"
        assert browser.js("getComputedStyle(document.activeElement).outlineWidth") == "3px"
        browser.press(*SPACE)
        assert browser.js("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
        assert browser.js("document.getElementById('spoken').textContent") == "Paused"
        browser.wait("document.getElementById('stream').src.startsWith('data:image/jpeg')")
        browser.press(*SPACE)
        browser.press(*TAB)
        assert browser.js("document.activeElement.id") == "speak"
        browser.press(*ENTER)
        assert browser.js("document.getElementById('spoken').textContent") == ""
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        named = {
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        }
        for expected in [
            ("heading", "fer-edge live"), ("heading", "Picture"), ("heading", "Faces"), ("button", "Pause"),
            ("button", "Announce to screen readers"), ("region", "Picture"), ("complementary", "Faces"),
        ]:  # fmt: skip
            assert expected in named
        assert all(name for role, name in named if role in ("image", "button", "heading", "textbox"))


def test_page_says_when_the_camera_is_lost_and_back(browser):
    with Run() as run:
        browser.size(390, 844, phone=True)
        browser.open(run.url)
        browser.wait("document.querySelectorAll('article').length === 1")
        run.health = SourceHealth(SourceState.RECONNECTING, 9.0, reason="unplugged")
        browser.wait("!document.getElementById('notice').hidden")
        assert browser.js("document.getElementById('notice').textContent") == (
            "The camera is lost and is being opened again: unplugged"
        )
        assert browser.js("document.getElementById('rate').textContent") == "reconnecting"
        assert browser.js("document.querySelectorAll('article').length") == 0  # no label of the past
        run.health = SourceHealth(SourceState.RUNNING, 0.0)
        browser.wait("document.getElementById('notice').hidden && document.querySelectorAll('article').length === 1")
    browser.wait("document.getElementById('rate').textContent === 'disconnected'")


def test_page_says_that_the_first_camera_is_waited_for(browser):
    run = Run()
    run.health = SourceHealth(SourceState.NOT_STARTED, reason="no such camera")
    with run:
        browser.open(run.url)
        browser.wait("!document.getElementById('notice').hidden")
        assert browser.js("document.getElementById('notice').textContent") == (
            "Waiting for the first picture: no such camera"
        )
        assert browser.js("document.getElementById('rate').textContent") == "waiting"
        assert browser.js("document.getElementById('chip').className") == "chip lost"
        run.health = SourceHealth(SourceState.RUNNING, 0.0)
        browser.wait("document.getElementById('notice').hidden && document.querySelectorAll('article').length === 1")


def test_login_by_keyboard(browser):
    with Run(TOKEN) as run:
        browser.size(390, 844, phone=True)
        browser.open(run.url)
        browser.wait("document.activeElement.id === 'token'")
        browser.call("Input.insertText", text="wrong")
        browser.press(*ENTER)
        browser.wait("document.getElementById('problem').textContent !== ''")
        browser.wait("document.activeElement.id === 'token'")
        browser.call("Input.insertText", text=TOKEN)
        browser.press(*ENTER)
        browser.wait("document.querySelectorAll('article').length === 1")
        assert browser.js("document.cookie") == ""
        assert "token" not in browser.js("location.href")
