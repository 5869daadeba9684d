"""A real MQTT broker, and a client that remembers everything that it passes on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading

import pytest

WAIT_S = 30.0


def program(name):
    """Where a program of mosquitto's is; without it, the test is skipped."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    return found


class Mosquitto:
    """A broker on a loopback port of its own, which can be killed and started again."""

    def __init__(self, folder, *lines):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        # As root it would change to a user who cannot read the test's folder.
        self._config.write_text("\n".join(["user root", f"listener {self.port} 127.0.0.1", *lines]) + "\n")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [program("mosquitto"), "-v", "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            if line.rstrip().endswith("running"):
                break
        else:
            pytest.fail("mosquitto did not start")
        self._reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._reader.start()

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Watcher:
    """Subscribes to everything and remembers it."""

    def __init__(self, broker, *, user=None, password=None, tls=None):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set(**tls)
        self._client.on_message = self._remember
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def _remember(self, _client, _data, message):
        with self._changed:
            self.messages.append((message.topic, message.payload.decode(), message.retain))
            self._changed.notify_all()

    def of(self, topic):
        return [payload for name, payload, _ in self.messages if name.endswith(topic)]

    def wait(self, topic, payload=None, *, times=1):
        """Until messages of a topic (its end) have come so often."""
        self.wait_for(topic, lambda found: payload in (None, found), times=times)

    def wait_for(self, topic, wanted, *, times=1):
        """Until messages of a topic for which a function is true have come so often."""

        def came():
            return sum(wanted(found) for found in self.of(topic)) >= times

        with self._changed:
            assert self._changed.wait_for(came, timeout=WAIT_S), f"{topic}: {self.messages[-5:]}"
