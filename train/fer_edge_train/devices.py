"""Several accelerators, one batch: Keras's data-parallel distribution, which works on its JAX backend."""

from __future__ import annotations

from collections.abc import Callable

import keras

from fer_edge_runtime.errors import ConfigError


def use_all_devices(batch_size: int, say: Callable[[str], None]) -> None:
    """Share every batch among all devices of the best kind, and say so; with one device nothing changes.

    Raises:
        ConfigError: the batch cannot be shared equally.
    """
    backend = keras.backend.backend()
    devices = [] if backend == "torch" else keras.distribution.list_devices()  # Keras lists none for torch
    if len(devices) < 2:
        return
    if backend != "jax":
        say(f"{len(devices)} devices are here and one is used: Keras shares batches on JAX (KERAS_BACKEND=jax).")
        return
    if batch_size % len(devices):
        raise ConfigError(
            f"batch_size = {batch_size} cannot be shared by {len(devices)} devices; use a multiple of {len(devices)}."
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    say(f"Every batch is shared by {len(devices)} devices: {', '.join(devices)}.")
