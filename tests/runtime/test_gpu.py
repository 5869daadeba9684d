"""CPU or GPU: what files rule out, what a trial in another process finds, what is remembered. The delegate is the real one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines.device import faster_device, gpu_artefact, verdict
from fer_edge_runtime.engines.gpu_parts import driver_state, gpu_nodes, missing_for_gpu
from fer_edge_runtime.engines.litert_gpu import reason_in
from fer_edge_runtime.engines.trial import Trial, probe_timeout_s, run_trial, trial_from
from fer_edge_runtime.engines.verdicts import recall, remember, verdict_key
from fer_edge_runtime.errors import BundleError, ConfigError, DeviceError
from fer_edge_runtime.preprocess import to_input

FAST = Trial(artefact="model.int8.tflite", adapter="Big GPU", driver="driver 1", gpu_ms=0.5, cpu_ms=2.0)


@pytest.fixture(scope="module")
def bundle():
    return load_bundle("default")


@pytest.fixture
def machine(tmp_path):
    """A root folder with a graphics card's device file and Vulkan's loader."""
    root = tmp_path / "machine"
    for file in ("dev/dri/renderD128", "usr/lib/libvulkan.so.1"):
        (root / file).parent.mkdir(parents=True)
        (root / file).touch()
    return root


# What files say


def test_empty_machine_lacks_card_loader_and_driver(tmp_path):
    missing = missing_for_gpu("tflite", root=tmp_path, environment={})
    assert "no GPU was found" in missing.hardware[0]
    assert [part.split(" (")[0] for part in missing.parts] == [
        "the Vulkan loader libvulkan.so.1 is not installed",
        "no Vulkan driver is installed",
    ]


def test_machine_with_card_loader_and_driver_lacks_nothing(machine):
    driver = machine / "usr/share/vulkan/icd.d/card.json"
    driver.parent.mkdir(parents=True)
    driver.write_text("{}")
    assert missing_for_gpu("tflite", root=machine, environment={}).all() == ()
    assert gpu_nodes(machine) == [machine / "dev/dri/renderD128"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_card_that_the_user_may_not_open_is_named(machine):
    (machine / "dev/dri/renderD128").chmod(0)
    assert "may not open" in missing_for_gpu("tflite", root=machine, environment={}).hardware[0]


def test_cuda_needs_an_nvidia_card(machine):
    assert "no NVIDIA GPU was found" in missing_for_gpu("onnx", root=machine).parts[0]


def test_driver_state_changes_with_the_driver_and_never_waits_for_a_pipe(tmp_path):
    library, manifest, pipe = tmp_path / "driver.so", tmp_path / "driver.json", tmp_path / "pipe.json"
    library.write_bytes(b"one")
    manifest.write_text(json.dumps({"ICD": {"library_path": "./driver.so"}}))
    os.mkfifo(pipe)
    environment = {"VK_DRIVER_FILES": f"{manifest}:{pipe}"}
    before = driver_state(tmp_path, environment)
    assert driver_state(tmp_path, environment) == before
    library.write_bytes(b"another")
    assert driver_state(tmp_path, environment) != before


def test_without_a_card_auto_is_the_cpu_and_starts_no_process(tmp_path):
    code = (
        "import sys\n"
        "def forbid(event, _):\n"
        "    assert event not in ('subprocess.Popen', 'os.posix_spawn', 'os.fork', 'os.exec', 'os.system'), event\n"
        "from pathlib import Path\n"
        "from fer_edge_runtime.bundle import load_bundle\n"
        "from fer_edge_runtime.engines.device import faster_device\n"
        "bundle = load_bundle('default')\n"
        "sys.addaudithook(forbid)\n"
        f"print(faster_device(bundle, 'tflite', 1, root=Path({str(tmp_path)!r})))\n"
        "assert not {'subprocess', 'tempfile', 'fer_edge_runtime.engines.trial'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(None, ('CPU: no GPU was found")


CUDA_MACHINE = """
import json, pathlib, sys
root, fake = map(pathlib.Path, sys.argv[1:3])
(root / "dev").mkdir(parents=True)
(root / "dev/nvidia0").touch()
(fake / "onnxruntime/capi").mkdir(parents=True)
(fake / "onnxruntime/capi/libonnxruntime_providers_cuda.so").touch()
(fake / "onnxruntime/__init__.py").write_text("raise SystemExit('imported')")
sys.path.insert(0, str(fake))
from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.engines.device import faster_device
from fer_edge_runtime.engines.trial import Trial
from fer_edge_runtime.engines.verdicts import remember, verdict_key
bundle = load_bundle("default")
found = Trial(artefact="model.int8.onnx", adapter="Big GPU", gpu_ms=float(sys.argv[3]), cpu_ms=2.0)
remember(verdict_key(bundle, "onnx", 1, against="tflite"), found)
artefact, reasons = faster_device(bundle, "tflite", 1, others=["onnx"], root=root)
print(json.dumps([artefact and artefact.path, *reasons]))
assert "onnxruntime" not in sys.modules
"""


@pytest.mark.parametrize(
    ("gpu_ms", "path", "said"),
    [
        (0.5, "model.int8.onnx", "ONNX Runtime: GPU, because it is faster: 0.50 ms a face on the GPU Big GPU, 2.00 ms"),
        (1.9, None, "ONNX Runtime: CPU, because the GPU is not faster"),
    ],
)
def test_cuda_is_considered_where_litert_is_first_choice(tmp_path, gpu_ms, path, said):
    done = subprocess.run(
        [sys.executable, "-c", CUDA_MACHINE, tmp_path / "root", tmp_path / "fake", str(gpu_ms)],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "FER_EDGE_GPU_PROBE": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, litert, onnx = json.loads(done.stdout)
    assert found == path
    assert litert.startswith("LiteRT: CPU: the Vulkan loader")
    assert onnx.startswith(said)
    assert onnx.endswith("(remembered)")


@pytest.mark.parametrize("node", ["nothing", "dri/renderD128"])
def test_without_cuda_nothing_changes(bundle, tmp_path, node):
    (tmp_path / "dev" / node).parent.mkdir(parents=True)
    (tmp_path / "dev" / node).touch()
    usual = faster_device(bundle, "tflite", 1, root=tmp_path)
    assert faster_device(bundle, "tflite", 1, others=["onnx"], root=tmp_path) == usual


# What is decided


@pytest.mark.parametrize(
    ("trial", "use", "said"),
    [
        (FAST, True, "GPU, because it is faster: 0.50 ms a face on the GPU Big GPU, 2.00 ms on the CPU"),
        (FAST._replace(gpu_ms=1.9), False, "CPU, because the GPU is not faster"),
        (FAST._replace(software=True), False, "Big GPU (software, not a real GPU) is never chosen by itself"),
        (Trial(problem="No adapters found"), False, "the GPU cannot be used: No adapters found"),
    ],
)
def test_auto_takes_only_a_real_gpu_that_is_clearly_faster(trial, use, said):
    assert verdict(trial)[0] is use
    assert said in verdict(trial)[1]


@pytest.mark.parametrize(("value", "timeout_s"), [("off", None), ("OFF", None), ("", 60.0), ("2.5", 2.5)])
def test_variable_switches_trials_off_or_limits_them(value, timeout_s):
    assert probe_timeout_s({"FER_EDGE_GPU_PROBE": value}) == timeout_s


@pytest.mark.parametrize("value", ["on", "-1", "nan", "0"])
def test_variable_with_another_value_is_refused(value):
    with pytest.raises(ConfigError, match="Set it to off, or to a number of seconds"):
        probe_timeout_s({"FER_EDGE_GPU_PROBE": value})


def test_gpu_that_must_be_lists_all_that_is_missing_and_ends_with_4(bundle):
    with pytest.raises(DeviceError) as refusal:
        gpu_artefact(bundle, ("tflite", "onnx"), 1)
    assert refusal.value.exit_code == 4
    for part in ("LiteRT: ", "no Vulkan driver is installed", "ONNX Runtime: ", "no NVIDIA GPU", "--device cpu"):
        assert part in str(refusal.value)


# A trial that ends badly


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.abort()", "was ended by SIGABRT"),
        ("import sys; sys.exit('the driver has a cold')", "exit code 1 (it said last: the driver has a cold)"),
        ("pass", "could not be run"),
        ("import sys; open(sys.argv[1] + '/result.json', 'w').write('[1]')", "something unreadable"),
        (
            "import os, tempfile\nfile = tempfile.NamedTemporaryFile(prefix='fer-edge-native-')\n"
            "file.write(b'ERROR: [a.cc:1] Failed to initialize WebGPU environment: INTERNAL: No adapters found\\n')\n"
            "file.flush()\nos.abort()",
            "SIGABRT (No adapters found)",
        ),
    ],
)
def test_trial_that_dies_is_a_problem_with_its_reason(bundle, code, said):
    trial = run_trial(bundle, "tflite", 1, timeout_s=60, command=[sys.executable, "-c", code])
    assert said in trial.problem


def test_trial_that_hangs_is_ended(bundle):
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    trial = run_trial(bundle, "tflite", 1, timeout_s=0.3, command=command)
    assert "did not end within 0.3 s" in trial.problem


def test_bundle_that_changed_since_it_was_read_is_not_tried(bundle):
    golden = bundle.manifest.golden._replace(sha256="0" * 64)
    trial = run_trial(bundle._replace(manifest=bundle.manifest._replace(golden=golden)), "tflite", 1)
    assert "was changed since it was read" in trial.problem


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("ERROR: [delegate_webgpu.cc:359] Failed to initialize WebGPU environment: INTERNAL: No adapters found\n", "No adapters found"),
        ("INFO: fine\nWarning: Couldn't load Vulkan. Reason: libvulkan.so.1 is missing\n", "Couldn't load Vulkan. Reason: libvulkan.so.1 is missing"),
        ("WARNING: [a.cc:312] with error: ERROR: [b.cc:259]\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_reason_is_found_in_what_litert_prints(printed, reason):
    assert reason_in(printed) == reason


# What is remembered


@pytest.fixture
def key(bundle):
    return verdict_key(bundle, "tflite", 2)


def test_verdict_is_remembered_under_its_key(tmp_path, key):
    file = remember(key, FAST, tmp_path / "new" / "folder")
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    assert recall(key, file.parent) == FAST


@pytest.mark.parametrize("part", ["library", "driver", "models", "golden", "threads", "format", "cpu", "against"])
def test_verdict_of_another_version_driver_model_or_thread_count_is_ignored(tmp_path, key, part):
    remember(key, FAST, tmp_path)
    assert recall({**key, part: "another"}, tmp_path) is None


def test_key_names_version_model_and_threads(bundle, key):
    assert key["library"][0].startswith("fer-edge ")
    assert key["library"][1].startswith("ai-edge-litert 2.")
    assert verdict_key(bundle, "onnx", 2, against="tflite") != verdict_key(bundle, "onnx", 2)
    assert key["models"] == [bundle.artefact("tflite").sha256]
    assert key["threads"] == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"schema": 1}'])
def test_damaged_cache_is_ignored(tmp_path, key, damage):
    remember(key, FAST, tmp_path).write_bytes(damage)
    assert recall(key, tmp_path) is None


def test_cache_that_cannot_be_written_is_no_error(tmp_path, key):
    (tmp_path / "file").touch()
    assert remember(key, FAST, tmp_path / "file" / "below") is None
    assert recall(key, tmp_path / "file" / "below") is None


@pytest.mark.parametrize("change", [{"gpu_ms": "fast"}, {"software": 1}, {"more": 1}, {"notes": "x"}])
def test_trial_of_another_shape_is_none(change):
    record = json.loads(json.dumps(FAST._asdict()))
    assert trial_from(record) == FAST
    assert trial_from({**record, **change}) is None


# The real delegate, on a Vulkan that draws on the CPU


@pytest.mark.slow
def test_gpu_engine_answers_the_golden_faces_as_the_cpu_does(software_vulkan, bundle):
    artefact = bundle.artefact("tflite")
    faces = to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)
    engine = bundle.open(artefact, device="gpu")
    answers = engine.run(faces)
    usual = bundle.open(artefact).run(faces)
    assert answers.shape == usual.shape
    assert answers.dtype == np.float32
    assert np.abs(answers - usual).max() <= bundle.manifest.golden.tolerance
    assert (answers.argmax(axis=1) == usual.argmax(axis=1)).all()
    np.testing.assert_array_equal(engine.run(faces[1:2]), answers[1:2])
    info = engine.describe()
    assert (info.engine, info.device, info.delegate) == ("litert", "gpu", "WebGPU")
    assert "SwiftShader" in info.details["adapter"]
    assert info.details["software"] is True
    assert info.details["first_ms"] > 0
    assert info.details["delegated"] == info.details["operators"] == 65
    assert "software" in info.line()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "binary"])
def test_every_shipped_model_passes_on_a_gpu_and_names_faces_as_on_the_cpu(software_vulkan, name):
    shipped = load_bundle(name)
    artefact = shipped.artefact("tflite")
    faces = to_input(shipped.crops, shipped.manifest.preprocess, artefact.input)[:4]  # the others are no faces
    answers = shipped.open(artefact, device="gpu").run(faces)
    assert (answers.argmax(axis=1) == shipped.open(artefact).run(faces).argmax(axis=1)).all()


@pytest.mark.slow
def test_wrong_answers_of_a_gpu_are_refused(software_vulkan, bundle):
    path = bundle.artefact("tflite").path
    expected = {**bundle.expected, path: bundle.expected[path][:, ::-1]}
    with pytest.raises(DeviceError, match="golden vectors differ"):
        bundle._replace(expected=expected).open(bundle.artefact("tflite"), device="gpu")


@pytest.mark.slow
def test_garbage_is_a_bundle_error_on_the_gpu_too(software_vulkan):
    from fer_edge_runtime.engines.litert_gpu import LiteRTGpuEngine

    with pytest.raises(BundleError, match="is not a TFLite model"):
        LiteRTGpuEngine(b"TFL3" * 20, name="broken.tflite")


@pytest.mark.slow
def test_auto_tries_once_and_never_chooses_software(software_vulkan, bundle, machine):
    artefact, first = faster_device(bundle, "tflite", 1, root=machine)
    assert artefact is None
    assert "SwiftShader Device (Subzero) (software, not a real GPU)" in first[0]
    assert f"tried now, remembered in {software_vulkan}" in first[0]
    (file,) = software_vulkan.iterdir()
    written = file.stat().st_mtime_ns
    _, second = faster_device(bundle, "tflite", 1, root=machine)
    assert second[0].endswith("(remembered)")
    assert file.stat().st_mtime_ns == written
    faster_device(bundle, "tflite", 2, root=machine)
    assert len(list(software_vulkan.iterdir())) == 2


@pytest.mark.slow
def test_remembered_fast_gpu_is_chosen_without_a_trial(software_vulkan, bundle, machine):
    key = verdict_key(bundle, "tflite", 1)
    remember(key, FAST)
    artefact, reasons = faster_device(bundle, "tflite", 1, root=machine)
    assert artefact == bundle.artefact("tflite")
    assert "GPU, because it is faster" in reasons[0]


@pytest.mark.slow
def test_driver_that_hangs_leaves_the_cpu_and_is_remembered(software_vulkan, bundle, machine, tmp_path, monkeypatch):
    # Vulkan's loader waits for somebody to write into the pipe that poses as a driver's manifest.
    os.mkfifo(tmp_path / "driver.json")
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "driver.json"))
    monkeypatch.setenv("FER_EDGE_GPU_PROBE", "8")
    artefact, reasons = faster_device(bundle, "tflite", 1, root=machine)
    assert artefact is None
    assert "its trial did not end within 8 s" in reasons[0]
    assert "remembered; --device gpu tries a failed one again" in faster_device(bundle, "tflite", 1, root=machine)[1][0]


@pytest.mark.slow
def test_driver_that_is_none_is_reported_as_litert_says_it(software_vulkan, bundle, machine, tmp_path, monkeypatch):
    (tmp_path / "driver.json").write_text("{}")
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "driver.json"))
    _, reasons = faster_device(bundle, "tflite", 1, root=machine)
    assert "No adapters found" in reasons[0]
    with pytest.raises(DeviceError, match="No adapters found"):
        gpu_artefact(bundle, ("tflite",), 1)


@pytest.mark.slow
def test_trial_reports_adapter_driver_and_both_times(software_vulkan, bundle):
    trial = run_trial(bundle, "tflite", 1, timeout_s=120)
    assert trial.problem == ""
    assert trial.artefact == "model.int8.tflite"
    assert "SwiftShader" in trial.driver
    assert trial.software is True
    assert trial.gpu_ms > 0
    assert trial.cpu_ms > 0
