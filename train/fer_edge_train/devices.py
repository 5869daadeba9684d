"""Several accelerators, one batch: Keras's data-parallel distribution where the backend has it."""

from __future__ import annotations

import keras

from fer_edge_runtime.errors import ConfigError


def use_all_devices(batch_size: int) -> list[str]:
    """Share every batch among all devices of the backend's best kind; returns their names, one when there is only one.

    Raises:
        ConfigError: the batch cannot be shared equally.
    """
    if keras.backend.backend() == "torch":  # Keras has no distribution for it: one device
        return ["torch's default device"]
    devices = keras.distribution.list_devices()
    if len(devices) > 1:
        if batch_size % len(devices):
            raise ConfigError(
                f"batch_size = {batch_size} cannot be shared by {len(devices)} devices; use a multiple of {len(devices)}."
            )
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return list(devices)
