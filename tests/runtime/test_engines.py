"""Engines run the embedded model; choosing one is explicit."""

import numpy as np
import pytest

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines.select import choose, default_threads
from fer_edge_runtime.errors import BundleError, ConfigError, DeviceError
from fer_edge_runtime.preprocess import to_input


@pytest.fixture(scope="module")
def bundle():
    return load_bundle("default")


def only(bundle, *formats):
    """The bundle without its models of other formats."""
    kept = tuple(artefact for artefact in bundle.manifest.artefacts if artefact.format in formats)
    return bundle._replace(manifest=bundle.manifest._replace(artefacts=kept))


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_batch_gives_what_single_faces_give(bundle, format):
    artefact = bundle.artefact(format)
    engine = bundle.open(artefact)
    batch = to_input(bundle.crops[:5], bundle.manifest.preprocess, artefact.input)
    together = engine.run(batch)
    alone = np.concatenate([engine.run(batch[i : i + 1]) for i in range(len(batch))])
    assert together.shape == (5, 7)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1 / 128)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=0.03)


def test_both_engines_agree_on_the_golden_faces(bundle):
    answers = []
    for format in ("tflite", "onnx"):
        artefact = bundle.artefact(format)
        answers.append(bundle.open(artefact).run(to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)))
    assert np.abs(answers[0] - answers[1]).max() <= 0.05


def test_description_says_library_version_delegate_and_threads(bundle):
    info = bundle.open(bundle.artefact("tflite"), threads=2).describe()
    assert (info.engine, info.device, info.delegate, info.threads) == ("litert", "cpu", "XNNPACK", 2)
    assert info.version[0].isdigit()
    assert "2 threads" in info.line()
    onnx = bundle.open(bundle.artefact("onnx")).describe()
    assert (onnx.engine, onnx.delegate) == ("onnxruntime", "CPUExecutionProvider")


def test_description_counts_the_operators_that_the_delegate_took(bundle):
    artefact = bundle.artefact("tflite")
    engine = bundle.open(artefact)
    # All but softmax, which XNNPACK does not have in int8; LiteRT's own operator for the delegate is none of the model's.
    assert engine.describe().details == {"operators": 65, "delegated": 64}
    engine.run(to_input(bundle.crops[:3], bundle.manifest.preprocess, artefact.input))  # another batch: prepared anew
    assert engine.describe().details == {"operators": 65, "delegated": 64}


def test_onnx_runtime_tells_how_many_operators_run_on_another_provider(bundle):
    details = bundle.open(bundle.artefact("onnx")).describe().details
    assert details["operators"] > 52
    assert details["delegated"] == 0


class Listed:
    """What an interpreter says of a graph that a delegate took two parts of: (name, inputs, outputs)."""

    def __init__(self, *operators):
        self._operators = operators

    def _get_ops_details(self):
        return [
            {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs}
            for index, (name, inputs, outputs) in enumerate(self._operators)
        ]


def test_parts_of_a_delegate_are_told_from_what_lies_between_them():
    from fer_edge_runtime.engines.litert import count_operators

    chain = [("CONV_2D", [0, 10], [1]), ("ADD", [1, 0], [2]), ("CUSTOM", [2], [3]), ("CONV_2D", [3, 11], [4])]
    both = Listed(*chain, ("DELEGATE", [0, 10], [2]), ("DELEGATE", [3, 11], [4]))
    assert count_operators(both) == (4, 3)
    assert count_operators(Listed(*chain)) == (4, 0)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"TFL3", bytes(range(256)) * 40])
@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_garbage_is_a_bundle_error(bundle, format, content):
    from fer_edge_runtime.engines import open_engine

    with pytest.raises(BundleError, match="is not an? "):
        open_engine(bundle.artefact(format), content)


@pytest.mark.parametrize(
    ("arguments", "format"),
    [({}, "tflite"), ({"engine": "onnx"}, "onnx"), ({"engine": "litert", "device": "cpu", "threads": 3}, "tflite")],
)
def test_choice_follows_what_was_asked(bundle, arguments, format):
    choice = choose(**arguments, bundle=bundle)
    assert choice.format == format
    assert choice.threads == arguments.get("threads", default_threads())
    assert choice.device == "cpu"
    assert choice.reasons


@pytest.mark.parametrize(
    ("arguments", "formats", "error", "said"),
    [
        ({"engine": "tensorrt"}, ("tflite",), ConfigError, "Choose one of: auto, litert, onnx"),
        ({"device": "tpu"}, ("tflite",), ConfigError, "Choose one of: auto, cpu, gpu"),
        ({"threads": -1}, ("tflite",), ConfigError, "Give 1 to 256"),
        ({"engine": "onnx"}, ("tflite",), ConfigError, "holds no onnx model"),
        ({"device": "gpu"}, ("tflite",), DeviceError, "no Vulkan driver is installed"),
    ],
)
def test_impossible_choice_is_refused_with_a_reason(bundle, arguments, formats, error, said):
    with pytest.raises(error) as refusal:
        choose(**arguments, bundle=only(bundle, *formats))
    assert said in str(refusal.value)


def test_bundle_with_onnx_only_runs_on_onnx_runtime(bundle):
    choice = choose(bundle=only(bundle, "onnx"))
    assert choice.format == "onnx"
    assert "no TFLite model" in choice.reasons[0]


def test_onnx_runtime_without_cuda_says_so_instead_of_running_on_the_cpu(bundle):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match="built without CUDA"):
        bundle.open(bundle.artefact("onnx"), device="gpu")
