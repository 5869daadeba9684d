"""What people write themselves: recipes, label maps, baselines, keys, addresses."""

from __future__ import annotations

import json
import random
from importlib import resources
from typing import Any

from fer_edge_runtime.errors import ConfigError
from fuzzing.mutation import json_text, spoiled_bytes, spoiled_text, spoiled_tree
from fuzzing.target import InFile

TOML_WORDS = (
    "[a]\n", "[[a]]\n", "a.b.c = 1\n", "= ", "{", "}", "'''", '"""', "1979-05-27T07:32:00Z", "2000-99-99", "9" * 5000, "1e400", "nan", "-inf",
    "0x" + "f" * 200, "0x" + "f" * 5000, "[" * 3000, "{a=" * 1000, "x = " + "[" * 200 + "]" * 200, "\\ud800", '"\\U0010ffff"', "true", "[1, 'a']",
)  # fmt: skip


class Recipes:
    """`load_recipe` and `with_settings`."""

    def __init__(self) -> None:
        self._file = InFile("recipe.toml")
        folder = resources.files("fer_edge_train") / "recipes"
        self._seeds = [entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".toml")]

    def make(self, dice: random.Random) -> bytes:
        """A shipped recipe, changed; behind a NUL, a setting of the command line."""
        text = spoiled_text(dice, dice.choice(self._seeds), TOML_WORDS)
        setting = spoiled_text(dice, dice.choice(("augment.noise=0.05", "split=80-20", "top.dense=[1, 2]")), TOML_WORDS)
        return f"{text}\0{setting}".encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> None:
        """The file, then the setting."""
        from fer_edge_train.config import load_recipe, with_settings

        text, _, setting = data.partition(b"\0")
        refused = None
        try:
            config = load_recipe(str(self._file.put(text)))
        except ConfigError as error:
            config, refused = load_recipe("nano"), error
        with_settings(config, [setting.decode("utf-8", "surrogateescape")]).to_dict()
        if refused:
            raise refused


class Maps:
    """`read_map` and `label_numbers`."""

    def __init__(self) -> None:
        self._file = InFile("map.json")
        self._tree = {"happiness": "happy", "anger": "angry", "contempt": ""}
        self._toml = "happiness = 'happy'\n\"anger\" = 'angry'\ncontempt = ''\n"

    def make(self, dice: random.Random) -> bytes:
        """JSON, TOML or pairs; the first byte says which."""
        kind = dice.choice("jtp")
        if kind == "j":
            return b"j" + json_text(dice, spoiled_tree(dice, self._tree))
        if kind == "t":
            return b"t" + spoiled_text(dice, self._toml, TOML_WORDS).encode("utf-8", "surrogatepass")
        return b"p" + spoiled_text(dice, "happiness=happy").encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> None:
        """As ``--map`` does."""
        from fer_edge.benchmark.label_map import label_numbers, read_map

        if data[:1] == b"p":
            given = data[1:].decode("utf-8", "surrogateescape").replace("\0", "")
        else:
            given = str(self._file.put(data[1:], ".json" if data[:1] == b"j" else ".toml"))
        mapping = read_map([given])
        label_numbers(
            ("happiness", "anger", "sad", "contempt"), ("happy", "angry", "sad"), mapping, may_be_unknown=("contempt",)
        )


class Baselines:
    """`read_baseline` and `compare`."""

    def __init__(self) -> None:
        from fer_edge.benchmark.latency import COMMAND, SCHEMA

        self._file = InFile("baseline.json")
        case = {
            "name": "default", "artefact": "model.int8.tflite", "engine": "litert", "device": "cpu", "delegate": "XNNPACK", "threads": 1,
            "faces": [{"faces": 1, "p50_ms": 0.4}, {"faces": 2, "p50_ms": 0.7}],
        }  # fmt: skip
        self._tree: dict[str, Any] = {
            "command": COMMAND, "schema": SCHEMA, "valid": True, "invalid_because": [], "machine": {"cpu": "A"},
            "cases": [case, {**case, "threads": 2}],
        }  # fmt: skip

    def make(self, dice: random.Random) -> bytes:
        """A small record, changed."""
        if dice.random() < 0.1:
            return spoiled_bytes(dice, json.dumps(self._tree).encode())
        return json_text(dice, spoiled_tree(dice, self._tree))

    def run(self, data: bytes) -> None:
        """As ``--baseline`` does, with times and with ratios."""
        from fer_edge.benchmark.baseline import check_same_machine, compare, read_baseline

        path = self._file.put(data)
        before = read_baseline(path)
        for ratios in (False, True):
            json.dumps(compare(before, self._tree, allowed=0.1, ratios=ratios).as_json(), allow_nan=False)
        check_same_machine(path, before, "A")


class Keys:
    """`read_public_key` and the private keys of `fer_edge.signing`."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        self._file = InFile("KEY.pub")
        private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        other = ec.derive_private_key(7, ec.SECP256R1())
        self._seeds = [
            key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
            for key in (private, other)
        ]
        self._seeds.append(private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))

    def make(self, dice: random.Random) -> bytes:
        """A PEM file, changed."""
        return spoiled_bytes(
            dice,
            dice.choice(self._seeds),
            (b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----\n", b"MIIB", b"="),
        )

    def run(self, data: bytes) -> None:
        """As ``--key`` does."""
        from fer_edge_runtime.keys import read_public_key

        key = read_public_key(self._file.put(data))
        assert not key.signed(bytes(64), b"x")


class Addresses:
    """Brokers, places to serve on, sources as they are shown: their passwords appear nowhere."""

    SEEDS = (
        "mqtt://ann:SECRET@host:1883/house", "mqtts://ann:SECRET@[::1]/a/b", "mqtt://host", "rtsp://ann:SECRET@10.0.0.1:554/live?x=1",
        "http://h/user=ann_password=SECRET", "127.0.0.1:8080", "[::1]:80", ":0", "0.0.0.0:80", "mqtt://ann:SECRET@host/$SYS/#",
    )  # noqa: S104 # fmt: skip
    WORDS = ("@", ":", "/", "//", "://", "?", "#", "[", "]", "%40", "%", "\\", "mqtt://", "65536", "-1", "٣", "\t")

    def make(self, dice: random.Random) -> bytes:
        """An address, changed."""
        return spoiled_text(dice, dice.choice(self.SEEDS), self.WORDS).encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> None:
        """Every reader of addresses and everything that shows them."""
        from fer_edge_runtime.service.address import parse_address, url_of
        from fer_edge_runtime.sinks.broker import MqttOptions, parse_broker
        from fer_edge_runtime.sources.base import display_source, display_url, without_secrets

        text = data.decode("utf-8", "surrogateescape")
        for shown in (display_url(text), display_source(text), without_secrets(f"about {text}")):
            shown.encode("utf-8", "surrogateescape")
        refused = None
        try:
            url_of(*parse_address(text))
        except ConfigError as error:
            refused = error
        try:
            broker = parse_broker(MqttOptions(text, name="device", ca=None))
        except ConfigError as error:
            # Only for addresses that are still of that form: elsewhere the word is a host or a topic.
            if text.startswith(("mqtt://ann:SECRET@", "mqtts://ann:SECRET@")) and "SECRET" in str(error):
                raise AssertionError(str(error)) from error
            raise refused or error from None
        assert 0 < broker.port < 65536
        assert broker.identity.isascii()
        broker.address.encode()
