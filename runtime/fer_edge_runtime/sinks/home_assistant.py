"""What Home Assistant needs to show a device by itself: one retained message a sensor.

Field names are those of its documentation, "MQTT discovery" and "MQTT sensor" (home-assistant.io/integrations/mqtt).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fer_edge_runtime.sinks.broker import Broker
from fer_edge_runtime.sinks.publisher import Message
from fer_edge_runtime.sources.health import SourceState
from fer_edge_runtime.types import UNCERTAIN

DISCOVERY_PREFIX = "homeassistant"


def discovery_messages(
    broker: Broker, labels: Sequence[str], *, state_topic: str, status_topic: str, source_topic: str | None = None,
    stale_s: int, version: str,
) -> list[Message]:  # fmt: skip
    """The configuration of all sensors.

    Args:
        broker: gives the device its name and its identity.
        labels: of the bundle.
        state_topic: whose JSON the sensors read.
        status_topic: ``online`` or ``offline``.
        source_topic: whose JSON tells how the source is, if there is one.
        stale_s: seconds without a state after which a sensor is unavailable, as with a camera that hangs.
        version: of the program.
    """
    common = {
        "state_topic": state_topic,
        "availability_topic": status_topic,
        "expire_after": stale_s,
        "device": {
            "identifiers": [broker.identity],
            "name": broker.name,
            "manufacturer": "fer-edge",
            "model": "Apparent expression of faces",
            "sw_version": version,
        },
        "origin": {"name": "fer-edge", "sw_version": version},
    }
    messages = [_message(broker, key, common | own) for key, own in _sensors(labels).items()]
    if source_topic is not None:
        # It is told when it changes, so it does not expire.
        own = common | _source(source_topic)
        messages.append(_message(broker, "source", {key: value for key, value in own.items() if key != "expire_after"}))
    return messages


def _sensors(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Sensor -> its own fields. A template that gives None makes the sensor "unknown": there is no face."""
    return {
        "expression": {
            "name": "Apparent expression",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(dict.fromkeys([*labels, UNCERTAIN])),
            "value_template": "{{ value_json.label }}",
        },
        "score": {
            "name": "Score",
            "icon": "mdi:percent-outline",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "value_template": "{{ (value_json.score * 100) | round(1) if value_json.score is not none else none }}",
        },
        "faces": {
            "name": "Faces",
            "icon": "mdi:account-group-outline",
            "state_class": "measurement",
            "value_template": "{{ value_json.faces }}",
        },
        "fps": {
            "name": "Frames per second",
            "icon": "mdi:speedometer",
            "unit_of_measurement": "fps",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.fps }}",
        },
    }


def _source(topic: str) -> dict[str, Any]:
    """The sensor of the source's state; reason and counters are its attributes."""
    return {
        "state_topic": topic,
        "name": "Source",
        "icon": "mdi:video-outline",
        "device_class": "enum",
        "options": [str(state) for state in SourceState],
        "entity_category": "diagnostic",
        "value_template": "{{ value_json.state }}",
        "json_attributes_topic": topic,
    }


def _message(broker: Broker, key: str, config: dict[str, Any]) -> Message:
    unique = f"{broker.identity}_{key}"
    payload = json.dumps(config | {"unique_id": unique}, separators=(",", ":"))
    return Message(f"{DISCOVERY_PREFIX}/sensor/{unique}/config", payload, retain=True)
