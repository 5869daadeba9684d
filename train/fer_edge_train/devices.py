"""What a run computes on; several accelerators share one batch by Keras's data-parallel distribution, on its JAX backend."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import keras

from fer_edge_runtime.errors import ConfigError


def use_all_devices(batch_size: int, say: Callable[[str], None]) -> None:
    """Share every batch among all devices of the best kind, and say so; with one device nothing changes.

    Raises:
        ConfigError: the batch cannot be shared equally.
    """
    backend, devices = keras.backend.backend(), _devices()
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


def use_one_device() -> None:
    """End the sharing: what follows, such as an evaluation, has batches of any size."""
    if keras.distribution.distribution() is not None:
        keras.distribution.set_distribution(None)


def compiled_whole(graph: keras.Model) -> keras.Model:
    """The graph, set to compile a whole step on JAX.

    Keras leaves that out where a layer says that TensorFlow's XLA cannot compile it, as the random moves do. JAX can; without,
    it would run a step operation by operation, many times slower.
    """
    if keras.backend.backend() == "jax":
        for layer in graph.layers:
            layer.supports_jit = True
        graph.jit_compile = True
    return graph


def describe_device() -> str:
    """The accelerators, or the processor and its cores; Keras cannot list torch's devices."""
    devices = _devices()
    accelerators = [device for device in devices if not device.startswith("cpu")]
    if accelerators and keras.backend.backend() == "jax":
        import jax

        return ", ".join(device.device_kind for device in jax.devices())  # Keras says gpu:0, whatever it is
    if accelerators or not devices:
        return ", ".join(accelerators) or "torch's default device"
    return f"{processor()}, {os.cpu_count()} cores"


def _devices() -> list[str]:
    return [] if keras.backend.backend() == "torch" else list(keras.distribution.list_devices())


def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
