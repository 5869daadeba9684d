"""Values that options choose from."""

from enum import StrEnum


class DeviceName(StrEnum):
    """Where the classifier runs."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class EngineName(StrEnum):
    """Which library runs it."""

    auto = "auto"
    litert = "litert"
    onnx = "onnx"


class PrecisionName(StrEnum):
    """What an exported model computes in, besides int8."""

    float32 = "float32"
    float16 = "float16"


class TargetName(StrEnum):
    """Which processor an ONNX model is for."""

    x86_vnni = "x86-vnni"
    x86 = "x86"
    arm64 = "arm64"


class SplitName(StrEnum):
    """Which part of a data set."""

    public = "PublicTest"
    private = "PrivateTest"
    training = "Training"
    all = "all"


class LabelSource(StrEnum):
    """Whose labels count as right."""

    own = "own"
    ferplus = "ferplus"


class ProtocolName(StrEnum):
    """How many views of a face are averaged."""

    single = "single"
    flip = "flip"
    tencrop = "tencrop"
    all = "all"


class ServiceCommand(StrEnum):
    """What a service of systemd does."""

    run = "run"
    serve = "serve"
