"""Results to an MQTT broker: whether the device is there, what the main face shows, and on request every frame.

Pictures are never sent. Topics, under the prefix:

* ``status``: ``online`` or ``offline``, retained; the broker says ``offline`` when the device disappears.
* ``state``: JSON of the main (largest) face, whenever its label changes, every ``STATE_EVERY_S`` otherwise.
* ``source``: JSON of how the camera or other source is, whenever that changes, retained.
* ``faces``: the JSON Lines record of every frame, only on request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from fer_edge_runtime.errors import OutputError
from fer_edge_runtime.sinks.base import Sink
from fer_edge_runtime.sinks.broker import MqttOptions, parse_broker
from fer_edge_runtime.sinks.home_assistant import discovery_messages
from fer_edge_runtime.sinks.jsonl import compact
from fer_edge_runtime.sinks.publisher import CONNECT_S, Message, Publisher
from fer_edge_runtime.sources.base import without_secrets
from fer_edge_runtime.sources.health import SourceHealth, SourceState
from fer_edge_runtime.types import Frame, FrameResult

STATE_EVERY_S = 10.0
# A label that flickers is sent twice a second at most; the last one is never lost.
STATE_GAP_S = 0.5
_MISSED_STATES = 3


class MqttSink(Sink):
    """Publishes until it is closed; never waits for the broker in between."""

    needs_drawing = False

    def __init__(
        self, options: MqttOptions, *, labels: Sequence[str], stop: threading.Event | None = None,
        say: Callable[[str], None] | None = None, health: Callable[[], SourceHealth] | None = None,
        connect_s: float = CONNECT_S, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Connect to the broker.

        Args:
            options: where, as whom, what.
            labels: of the bundle, for Home Assistant.
            stop: ends the waiting for the broker.
            say: takes sentences about outages, from another thread.
            health: of the source; without it there is no topic ``source``.
            connect_s: how long a broker may be away at the start.
            clock: seconds, monotonic.

        Raises:
            ConfigError: an option cannot be used; MissingPackageError: paho-mqtt is not installed.
            DeviceError: the broker refuses, or cannot be reached and is not waited for.
        """
        self._broker = parse_broker(options)
        self._topic = self._broker.prefix
        self._every_frame = options.every_frame
        self._clock = clock
        self._latest: FrameResult | None = None
        self._sent_label: str | None = None
        self._sent_s = -inf
        self._health = health
        self._sent_source: tuple[SourceState, str] | None = None
        status = f"{self._topic}/status"
        greeting = [Message(status, "online", retain=True)]
        if options.discovery:
            greeting += discovery_messages(
                self._broker, labels, state_topic=f"{self._topic}/state", status_topic=status,
                source_topic=None if health is None else f"{self._topic}/source",
                stale_s=round(_MISSED_STATES * STATE_EVERY_S), version=options.version,
            )  # fmt: skip
        self._publisher = Publisher(
            self._broker,
            greeting=greeting,
            farewell=Message(status, "offline", retain=True),
            say=say or (lambda _sentence: None),
        )
        self._publisher.connect(stop or threading.Event(), timeout_s=connect_s, patient=options.patient)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Queue what is due."""
        self._look_at_source()
        if self._every_frame:
            self._put("faces", result.as_json(), result.frame)
        self._latest = result
        pause_s = STATE_GAP_S if _label(result) != self._sent_label else STATE_EVERY_S
        if self._clock() - self._sent_s >= pause_s:
            self._put_state(result)

    def idle(self) -> None:
        """Say that the source is away."""
        self._look_at_source()

    def _look_at_source(self) -> None:
        if self._health is not None:
            self._put_source(self._health())

    def _put_source(self, health: SourceHealth) -> None:
        seen = health.state, health.reason
        if seen != self._sent_source:
            self._sent_source = seen
            self._publisher.put(Message(f"{self._topic}/source", compact(source_record(health)), retain=True))

    def _put_state(self, result: FrameResult) -> None:
        self._sent_label, self._sent_s = _label(result), self._clock()
        self._put("state", state_record(result), result.frame)

    def _put(self, topic: str, record: dict[str, Any], frame: int) -> None:
        try:
            payload = compact(record)
        except ValueError as error:
            raise OutputError(f"{self._broker.address}: frame {frame} holds a number that JSON lacks.") from error
        self._publisher.put(Message(f"{self._topic}/{topic}", payload))

    def close(self) -> None:
        """Send the last change, deliver what is left within a few seconds, say ``offline``."""
        if self._latest is not None and _label(self._latest) != self._sent_label:
            self._put_state(self._latest)
        self._latest = None
        if self._health is not None:
            health = self._health()
            failed = health.state is SourceState.ERROR
            self._put_source(health if failed else health._replace(state=SourceState.ENDED, reason=""))
            self._health = None
        self._publisher.close()

    def counts(self) -> dict[str, int]:
        """Messages delivered and dropped."""
        return {"mqtt_delivered": self._publisher.delivered, "mqtt_dropped": self._publisher.dropped}

    def describe(self) -> str:
        """The broker, the topics, and how many messages arrived."""
        place = f"{self._broker.address}, topics {self._topic}/…"
        delivered, dropped = self._publisher.delivered, self._publisher.dropped
        if not delivered and not dropped:
            return place
        return f"{place} ({delivered} message{'s' * (delivered != 1)}{f', {dropped} dropped' if dropped else ''})"


def _label(result: FrameResult) -> str | None:
    return result.faces[0].label if result.faces else None


def source_record(health: SourceHealth) -> dict[str, Any]:
    """What ``source`` says, schema 1: a word of ``SourceState``, why there is no picture, and counters of this run."""
    return {
        "schema": 1,
        "state": str(health.state),
        "reason": without_secrets(health.reason),
        "stalls": health.stalls,
        "reconnects": health.reconnects,
    }


def state_record(result: FrameResult) -> dict[str, Any]:
    """What ``state`` says, schema 1; without a face, ``label``, ``score`` and ``track`` are null."""
    main = result.faces[0].as_json() if result.faces else {}
    return {
        "schema": 1,
        "source": result.source,
        "frame": result.frame,
        "time_s": round(result.time_s, 4),
        "label": main.get("label"),
        "score": main.get("score"),
        "track": main.get("track"),
        "faces": len(result.faces),
        "fps": round(result.fps, 1),
    }
