"""Messages to an MQTT broker, from a queue that never makes anybody wait.

Two threads work here: paho's owns the connection, and one of ours moves messages from the queue to it, only while the
broker confirms what it got. So nothing piles up inside paho, and the oldest messages are what an outage costs.
"""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fer_edge_runtime.errors import DeviceError, MissingPackageError
from fer_edge_runtime.sinks.broker import Broker, tls_context

CONNECT_S = 10.0
QUEUE_SIZE = 256
# Seconds for what is left in the queue at the end, and for taking leave after that: a run ends within two of its signal.
FLUSH_S = 1.0
LEAVE_S = 0.5
_ATTEMPT_S = 5.0
_KEEPALIVE_S = 20
_LONGEST_PAUSE_S = 30
_UNCONFIRMED = 20
_ADVICE = "Check host and port, that the broker runs, and whether it wants TLS (mqtts://)."
# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID: a board without a clock of its own, before the network has told it the time.
_NOT_YET_VALID = 9
_HOPELESS = ("Bad user name or password", "Not authorized", "Client identifier not valid")


class Message(NamedTuple):
    """One message; ``retain`` has the broker keep it for those who come later."""

    topic: str
    payload: str
    retain: bool = False


class Publisher:
    """A connection that survives outages.

    Attributes:
        delivered: messages that the broker confirmed.
        dropped: messages that it never confirmed: pushed out of the full queue, or left when the time was up.
    """

    def __init__(
        self, broker: Broker, *, greeting: Sequence[Message], farewell: Message, say: Callable[[str], None]
    ) -> None:
        """Prepare; ``connect`` starts.

        Args:
            broker: where and as whom.
            greeting: sent after every connection, before anything else.
            farewell: sent at the end, and by the broker itself when this process disappears.
            say: takes sentences for people; called from another thread.

        Raises:
            MissingPackageError: paho-mqtt is not installed; ConfigError: a certificate cannot be used.
        """
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingPackageError("paho-mqtt", "service") from error
        self.delivered = 0
        self.dropped = 0
        self._broker = broker
        self._greeting = tuple(greeting)
        self._farewell = farewell
        self._say = say
        self._queue: deque[Message] = deque()
        self._kept: dict[str, Message] = {}
        self._changed = threading.Condition()
        self._connected = False
        self._closed = False
        self._unconfirmed = 0
        self._greeted: set[int] = set()
        self._lost_s: float | None = None
        self._met = False
        self._failed = False
        self._reason = "no answer"
        self._hopeless = False
        self._refusal_told = False
        # A name that stays: after a power cut the broker ends the old connection, whose farewell then comes before the
        # new greeting and not a minute after it.
        self._client: Any = Client(CallbackAPIVersion.VERSION2, client_id=broker.identity)
        self._client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            self._client.tls_set_context(tls_context(broker))
        self._client.will_set(farewell.topic, farewell.payload, qos=1, retain=farewell.retain)
        self._client.max_inflight_messages_set(0)  # none: the sender has the limit
        self._client.reconnect_delay_set(1, _LONGEST_PAUSE_S)
        self._client.connect_timeout = _ATTEMPT_S
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._sender = threading.Thread(target=self._send, name="mqtt sender", daemon=True)

    def connect(self, stop: threading.Event, *, timeout_s: float = CONNECT_S, patient: bool = False) -> None:
        """Connect, and try again for a while; returns without a connection when ``stop`` is set.

        Args:
            stop: ends the waiting.
            timeout_s: how long the broker may be away.
            patient: a broker that is away is said, and tried again for as long as the run lasts; only one that answers with a
                lasting no is an error.

        Raises:
            DeviceError: the broker cannot be reached in time, or refuses.
        """
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        self._sender.start()
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (self._connected or self._hopeless or stop.is_set()) and time.monotonic() < deadline_s:
                if patient and self._failed:
                    break
                self._changed.wait(0.1)
            if self._connected or stop.is_set():
                return
            reason, hopeless = self._reason, self._hopeless
            if patient and not hopeless:
                self._lost_s = time.monotonic()
        if patient and not hopeless:
            self._tell(
                f"MQTT: {self._broker.address} cannot be reached yet: {reason}; trying again. The last {QUEUE_SIZE} messages "
                f"are kept. {_ADVICE}"
            )
            return
        self.close()
        if hopeless:
            raise DeviceError(f"{self._broker.address}: the MQTT broker cannot be used: {reason}.")
        raise DeviceError(
            f"{self._broker.address}: the MQTT broker cannot be reached within {timeout_s:g} s: {reason}. {_ADVICE}"
        )

    def put(self, message: Message) -> None:
        """Queue a message; when the queue is full the oldest one goes. A retained one also follows every later greeting."""
        with self._changed:
            if message.retain:
                self._kept[message.topic] = message
            if len(self._queue) >= QUEUE_SIZE:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(message)
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what is left, for a second at most, and take leave; safe to call twice."""
        with self._changed:
            if self._closed:
                return
            if self._sender.is_alive():
                waiting_s = FLUSH_S if self._connected or self._lost_s is not None else 0.0
                self._changed.wait_for(lambda: not self._queue and not self._unconfirmed, timeout=waiting_s)
            self._closed = True
            self.dropped += len(self._queue) + self._unconfirmed
            self._queue.clear()
            if self._connected:
                # After a disconnect the broker does not send the farewell itself, so it must be on the wire before.
                self._publish(self._farewell, qos=0)
            self._client.disconnect()
            self._changed.notify_all()
            until_s = time.monotonic() + LEAVE_S
            self._changed.wait_for(lambda: not self._connected, timeout=LEAVE_S)
        # paho's thread may sit in a connection attempt; it is a daemon and no reason to wait longer.
        stopper = threading.Thread(target=self._client.loop_stop, name="mqtt end", daemon=True)
        stopper.start()
        stopper.join(max(0.0, until_s - time.monotonic()))

    def _send(self) -> None:
        """The sender's thread."""
        while True:
            with self._changed:
                self._changed.wait_for(self._may_send)
                if self._closed:
                    return
                message = self._queue.popleft()
                self._unconfirmed += 1
            # Outside the lock: for what is to be confirmed paho takes a lock of its own, and holds it while it calls
            # ``_on_publish``.
            self._publish(message, qos=1)

    def _may_send(self) -> bool:
        return self._closed or (bool(self._queue) and self._connected and self._unconfirmed < _UNCONFIRMED)

    def _publish(self, message: Message, *, qos: int) -> int:
        info = self._client.publish(message.topic, message.payload, qos=qos, retain=message.retain)
        return int(info.mid)

    # What paho's thread calls

    def _on_connect(self, client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self._refused(str(code))
            return
        with self._changed:
            if self._closed:
                client.disconnect()
                return
            # At most once each: an outage in between is answered by another greeting.
            self._greeted = {self._publish(message, qos=0) for message in (*self._greeting, *self._kept.values())}
            lost_s, self._lost_s = self._lost_s, None
            met, self._met = self._met, True
            self._refusal_told = False
            self._connected = True
            self._changed.notify_all()
        if lost_s is not None:
            where = "back" if met else "there"
            self._tell(f"MQTT: {self._broker.address} is {where} after {time.monotonic() - lost_s:.0f} s.")

    def _refused(self, reason: str) -> None:
        """The broker answers, but with a no."""
        remedy = ""
        if reason in _HOPELESS:
            remedy = " Check the user in the address, the password, and what the broker allows this user"
        sentence = f"it refuses the connection: {reason[:1].lower()}{reason[1:]}.{remedy}".rstrip(".")
        self._turned_away(sentence, lasting=reason in _HOPELESS)

    def _turned_away(self, reason: str, *, lasting: bool) -> None:
        """The broker is there, but will not have us; said once an outage."""
        with self._changed:
            self._reason, self._hopeless, self._failed = reason, lasting, True
            news = self._lost_s is not None and not self._refusal_told
            self._refusal_told = True
            self._changed.notify_all()
        if news:
            self._tell(f"MQTT: {self._broker.address}: {reason}; trying again.")

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        error = sys.exception()  # paho calls from the handler of the error and does not pass it on
        if isinstance(error, ssl.SSLCertVerificationError):
            early = error.verify_code == _NOT_YET_VALID
            self._turned_away(
                f"its certificate is not trusted ({error.verify_message.rstrip('.')}). "
                + (
                    "Is the clock of this machine right"
                    if early
                    else "Name the host as the certificate does, and give --mqtt-ca FILE for a private authority"
                ),
                lasting=not early,
            )
            return
        with self._changed:
            self._failed = True
            if isinstance(error, ssl.SSLError):
                self._reason = f"TLS failed ({error.reason or error.strerror})"
            elif isinstance(error, OSError):
                self._reason = (error.strerror or str(error) or "no answer").rstrip(".")
            self._changed.notify_all()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, _code: Any, _properties: Any) -> None:
        with self._changed:
            lost = self._connected and not self._closed
            if lost:
                self._lost_s = time.monotonic()
            elif self._reason == "no answer":
                self._failed = True
                self._reason = "it closes the connection without an answer"
            self._connected = False
            self._greeted.clear()
            self._changed.notify_all()
        if lost:
            self._tell(
                f"MQTT: the connection to {self._broker.address} was lost; trying again. The last {QUEUE_SIZE} messages are kept."
            )

    def _on_publish(self, _client: Any, _data: Any, mid: int, _code: Any, _properties: Any) -> None:
        if mid in self._greeted:
            self._greeted.discard(mid)
            return
        with self._changed:
            if not self._closed:
                self._unconfirmed -= 1
                self.delivered += 1
                self._changed.notify_all()

    def _tell(self, sentence: str) -> None:
        # An exception would end paho's thread, and nobody reads a closed stderr anyway.
        with suppress(OSError, ValueError):
            self._say(sentence)
