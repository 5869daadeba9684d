"""The command line, in this process: commands that end at once, and options and values that people and scripts mistype."""

from __future__ import annotations

import json
import os
import random

from fer_edge_runtime.errors import ConfigError, FerEdgeError
from fuzzing.mutation import ODD_TEXTS, spoiled_text
from fuzzing.target import InFile

# Nothing here opens a camera, listens, waits, trains or goes to the network.
COMMANDS = (
    ("run", "--source", "noise.jpg"), ("run", "--source", "missing"), ("run", "--source", "ftp://x"), ("models", "list"),
    ("models", "info", "default"), ("models", "info", "noise.jpg"), ("models", "verify", "noise.jpg"), ("models", "sign", "missing"),
    ("data", "inspect", "noise.csv"), ("data", "inspect", "missing"), ("service", "unit", "--camera", "0"), ("service", "unit"),
    ("benchmark", "accuracy", "missing", "--data", "noise.csv"), ("benchmark", "accuracy", "default", "--data", "missing"), (), ("nothing",),
)  # fmt: skip
OPTIONS = (
    "--model", "--device", "--engine", "--detector", "--threads", "--detect-every", "--min-face", "--largest", "--save", "--json", "--csv",
    "--token-file", "--tls-cert", "--mqtt-name", "--max-frames", "--quiet", "--card", "--key", "--out", "--html", "--map", "--split", "--labels",
    "--name", "--watchdog", "--memory", "--skip-bad", "--require-signature", "--version", "--debug", "-q", "--", "-x", "--no-such",
)  # fmt: skip
VALUES = (
    "0",
    "1",
    "-1",
    "2",
    "1e9",
    "nan",
    "9" * 30,
    "cpu",
    "full",
    "yunet:missing",
    "yunet:",
    "400M",
    "a=b",
    "noise.jpg",
    "missing",
    ".",
    "happy=",
)


class Commands:
    """`fer_edge.cli.app_for`, without the process around it."""

    def __init__(self) -> None:
        self._file = InFile("noise.jpg")
        self._file.put(bytes(range(256)))
        self._file.put(b"emotion,pixels,Usage\n0,1 2 3,Training\n", ".csv")
        os.chdir(self._file.folder)

    def make(self, dice: random.Random) -> bytes:
        """The arguments as a JSON list."""
        words = list(dice.choice(COMMANDS))
        for _ in range(dice.choice((0, 1, 1, 2, 4))):
            words.append(dice.choice(OPTIONS))
            if dice.random() < 0.7:
                words.append(dice.choice((*VALUES, *VALUES, *ODD_TEXTS)))
        if words and dice.random() < 0.3:
            at = dice.randrange(len(words))
            words[at] = spoiled_text(dice, words[at])
        return json.dumps([word.replace("\0", "") for word in words]).encode()

    def run(self, data: bytes) -> None:
        """What `fer_edge.__main__` does, up to the exit code."""
        from fer_edge.__main__ import complete, in_words
        from fer_edge.cli import app_for

        words = [word.encode("utf-8", "replace").decode() for word in json.loads(data)]
        if any(
            word.startswith(("rtsp:", "http", "mqtt", "/dev/", "0.0", "127.")) or "://" in word[6:] for word in words
        ):
            return
        os.environ.pop("FER_EDGE_DEBUG", None)
        try:
            app_for(words)(complete(words), prog_name="fer-edge", standalone_mode=False)
        except SystemExit as end:
            if not (isinstance(end.code, int) and 0 <= end.code <= 8):
                raise
        except OSError as error:
            if known := in_words(error):
                raise known from error
            raise
        except FerEdgeError as error:
            str(error).encode("utf-8", "backslashreplace")
            raise
        except Exception as error:
            if not hasattr(error, "show"):
                raise
            raise ConfigError(str(error)) from error  # Typer's own way to say that an option is wrong
