"""Ask the Vulkan loader which graphics adapters there are: names, drivers, hardware or software.

A driver may crash or hang while it is asked, so only the process of `trial_worker` does it. The structures are read from raw
memory at the offsets that the Vulkan specification gives them; `ctypes` classes of their hundreds of fields would say no more.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

LOADER = "libvulkan.so.1"
_API_1_1 = 1 << 22 | 1 << 12
_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_PROPERTIES_2, _DRIVER_PROPERTIES = 1000059001, 1000196000
_SOFTWARE = 4  # VK_PHYSICAL_DEVICE_TYPE_CPU
_NAME_BYTES = 256
_ROOM_BYTES = 4096  # more than any of the structures, 840 bytes at most


class Adapter(NamedTuple):
    """A graphics adapter.

    Attributes:
        name: as its driver gives it, such as ``V3D 7.1.7.0``.
        driver: name and version of the driver; empty when it does not tell.
        software: a program that draws on the CPU, such as SwiftShader or llvmpipe.
    """

    name: str
    driver: str = ""
    software: bool = False


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api", ctypes.c_uint32),
    )


class _InstanceInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.POINTER(_ApplicationInfo)),
        ("layers", ctypes.c_uint32),
        ("layer_names", ctypes.c_void_p),
        ("extensions", ctypes.c_uint32),
        ("extension_names", ctypes.c_void_p),
    )


def vulkan_adapters() -> list[Adapter]:
    """Every adapter that Vulkan shows; none when there is no loader or no driver."""
    try:
        vulkan = ctypes.CDLL(LOADER)
    except OSError:
        return []
    application = _ApplicationInfo(type=_APPLICATION_INFO, api=_API_1_1)
    info = _InstanceInfo(type=_INSTANCE_CREATE_INFO, application=ctypes.pointer(application))
    instance = ctypes.c_void_p()
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)):
        return []
    try:
        return [_describe(vulkan, device) for device in _devices(vulkan, instance)]
    finally:
        vulkan.vkDestroyInstance(instance, None)


def _devices(vulkan: Any, instance: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint32()
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None) < 0:
        return []
    found = (ctypes.c_void_p * count.value)()
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), found) < 0:
        return []
    return [ctypes.c_void_p(handle) for handle in found[: count.value]]


def _describe(vulkan: Any, device: ctypes.c_void_p) -> Adapter:
    # {sType, pNext, driverID, driverName[256], driverInfo[256], …} and {sType, pNext, {apiVersion, driverVersion, vendorID,
    # deviceID, deviceType, deviceName[256], …}}, the first chained to the second.
    driver = ctypes.create_string_buffer(_ROOM_BYTES)
    ctypes.c_uint32.from_buffer(driver, 0).value = _DRIVER_PROPERTIES
    properties = ctypes.create_string_buffer(_ROOM_BYTES)
    ctypes.c_uint32.from_buffer(properties, 0).value = _PROPERTIES_2
    ctypes.c_void_p.from_buffer(properties, 8).value = ctypes.addressof(driver)
    vulkan.vkGetPhysicalDeviceProperties2(device, properties)
    kind = ctypes.c_uint32.from_buffer(properties, 16 + 16).value
    words = (_text(driver, 20), _text(driver, 20 + _NAME_BYTES))
    return Adapter(_text(properties, 16 + 20), " ".join(word for word in words if word), kind == _SOFTWARE)


def _text(memory: ctypes.Array[ctypes.c_char], offset: int) -> str:
    return memory.raw[offset : offset + _NAME_BYTES].split(b"\0", 1)[0].decode(errors="replace")
