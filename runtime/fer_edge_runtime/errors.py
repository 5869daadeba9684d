"""What can go wrong, as one tree; each class carries the exit code of the command line.

* FerEdgeError (1)
  - ConfigError (2): an option, recipe or argument has a value that cannot be used
  - GateError (3): an export lost too much accuracy in int8, or a benchmark is slower than its baseline allows
  - DeviceError (4): a camera, picture, stream, accelerator or MQTT broker is not available
    + SourceError (4): a source of frames cannot be opened or read
  - BundleError (5): a model bundle is truncated, tampered, mislabelled or does not fit the engine
  - DataError (6): a data set or run folder cannot be used
  - MissingPackageError (7): an optional package is not installed
  - OutputError (8): a result cannot be written
"""

from __future__ import annotations


class FerEdgeError(Exception):
    """Root of every error that fer-edge raises on purpose; the message is written for a person."""

    exit_code = 1


class ConfigError(FerEdgeError):
    """An option, recipe or argument has a value that cannot be used."""

    exit_code = 2


class GateError(FerEdgeError):
    """A figure is worse than its gate allows: the accuracy of an int8 artefact, the speed of a benchmark."""

    exit_code = 3


class DeviceError(FerEdgeError):
    """A camera, an accelerator or an MQTT broker is not available."""

    exit_code = 4


class SourceError(DeviceError):
    """A picture, video, stream or camera cannot be opened or read."""


class BundleError(FerEdgeError):
    """A bundle is refused; the message names the file and the reason."""

    exit_code = 5


class DataError(FerEdgeError):
    """A data set or a run folder cannot be used."""

    exit_code = 6


class MissingPackageError(FerEdgeError):
    """An optional package is not installed; the message holds the pip command."""

    exit_code = 7

    def __init__(self, package: str, extra: str, reason: str = "") -> None:
        detail = f" ({reason})" if reason else ""
        super().__init__(
            f"The package '{package}' is not installed{detail}. Install it with: pip install 'fer-edge[{extra}]'"
        )


class OutputError(FerEdgeError):
    """A result file, page or stream cannot be written."""

    exit_code = 8
