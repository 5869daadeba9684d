"""The export from a real run to a bundle that a device accepts, and everything that must be refused on the way."""

import json
import shutil

import numpy as np
import pytest
from marks import CONVERSION

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.errors import BundleError, ConfigError, DataError, GateError
from fer_edge_runtime.preprocess import to_input

pytestmark = CONVERSION

FILES = {
    "manifest.json", "README.md", "parity.json", "parity.html", "golden.npz", "model.int8.tflite", "model.int8.onnx",
    "model.fp32.tflite", "model.fp32.onnx", "model.fp16.tflite",
}  # fmt: skip

FLOATS = {"model.fp32.tflite", "model.fp32.onnx", "model.fp16.tflite"}


def again(exported, monkeypatch, **changes):
    """Export once more with the models that are already converted."""
    import fer_edge_export.models as models_module
    from fer_edge_export import ExportConfig, export_bundle

    monkeypatch.setattr(models_module, "make_models", lambda *args, **kwargs: exported.models)
    options = {
        "run": exported.run,
        "framing_faces": 20,
        "calibration_faces": 30,
        "max_drop_points": 50,
        "min_agreement": 0.9,
        **changes,
    }
    return export_bundle(ExportConfig(**options))


def test_bundle_holds_what_the_design_names_and_nothing_else(exported):
    assert {entry.name for entry in exported.out.iterdir()} == FILES
    assert [entry.name for entry in exported.out.parent.iterdir()] == ["bundle"]


def test_bundle_loads_and_every_artefact_replays_without_any_difference(exported):
    bundle = load_bundle(exported.out)
    for artefact in bundle.manifest.artefacts:
        engine = bundle.open(artefact)
        inputs = to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)
        found = np.concatenate([engine.run(inputs[i : i + 1]) for i in range(len(inputs))])
        np.testing.assert_array_equal(found, bundle.expected[artefact.path])


def test_golden_crops_are_a_dozen_different_faces_none_of_the_data_set(exported):
    from fer_edge_train.data import load_dataset

    crops = load_bundle(exported.out).crops
    assert crops.shape == (6, 48, 48)
    assert len({crop.tobytes() for crop in crops}) == 6
    known = {face.tobytes() for face in load_dataset(exported.data).images}
    assert not known & {crop.tobytes() for crop in crops}


def test_tiny_model_tells_classes_apart_so_that_parity_means_something(exported):
    report = json.loads((exported.out / "parity.json").read_text())
    assert report["PublicTest"]["artefacts"]["model.fp32.tflite"]["accuracy"] > 0.5
    assert report["PublicTest"]["against_float32"]["model.int8.tflite"]["top1_agreement"] > 0.6
    assert report["training_graph"]["accuracy"] == pytest.approx(
        report["training_graph"]["runtime_float_accuracy"], abs=0.03
    )


def test_rebuilt_model_equals_the_trained_one(exported):
    assert exported.models.checks["rebuild_difference"] <= 1e-4


def test_int8_tflite_is_all_integer_with_one_scale_per_channel(exported):
    from fer_edge_export.inspection import inspect_file

    found = inspect_file(exported.out / "model.int8.tflite")
    assert found["float_operators"] == {}
    assert "QUANTIZE" not in found["integer_operators"]
    assert found["per_channel"] >= 2 * found["integer_operators"]["CONV_2D"]  # kernels and biases


def test_float_tflite_is_refused_as_int8(exported):
    from fer_edge_export.errors import ExportError
    from fer_edge_export.tflite import check_int8

    with pytest.raises(ExportError, match="still computes in float"):
        check_int8((exported.out / "model.fp32.tflite").read_bytes(), np.zeros((3, 32, 32, 3), np.int8))


def test_onnx_gives_the_tflite_answers_on_unseen_faces(exported):
    from fer_edge_train.data import load_dataset

    bundle = load_bundle(exported.out)
    faces, _ = load_dataset(exported.data).part("PrivateTest")
    answers = []
    for kind in ("tflite", "onnx"):
        artefact = bundle.artefact(kind)
        answers.append(bundle.open(artefact).run(to_input(faces, bundle.manifest.preprocess, artefact.input)))
    # A hardly trained network amplifies every rounding: LiteRT's own kernels differ by 0.4 on it (0 to ONNX when trained).
    assert np.mean(answers[0].argmax(axis=1) == answers[1].argmax(axis=1)) > 0.85
    assert np.mean(np.abs(answers[0] - answers[1])) < 0.04
    assert np.ptp(answers[0], axis=0).max() > 0.3  # the faces are not all the same to it


def test_onnx_graph_is_open_integer_and_widely_readable(exported):
    import onnx

    content = (exported.out / "model.int8.onnx").read_bytes()
    model = onnx.load_from_string(content)
    (faces,), (scores,) = model.graph.input, model.graph.output
    assert (faces.name, scores.name) == ("faces", "scores")
    assert faces.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [d.dim_value for d in faces.type.tensor_type.shape.dim][1:] == [32, 32, 1]
    assert model.ir_version <= 10
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]
    checks = exported.models.checks
    assert checks["model.int8.onnx"]["tflite_difference"] <= max(
        2.5 / 256, checks["model.int8.tflite"]["kernel_spread"]
    )
    operators = checks["model.int8.onnx"]["operators"]
    assert operators["QLinearConv"] == 4
    assert "Conv" not in operators


def test_manifest_tensors_of_both_int8_artefacts_are_the_same_grid(exported):
    manifest = load_bundle(exported.out).manifest
    by_name = {artefact.path: artefact for artefact in manifest.artefacts}
    tflite, onnx = by_name["model.int8.tflite"], by_name["model.int8.onnx"]
    assert (tflite.input.dtype, onnx.input.dtype) == ("int8", "uint8")
    for ours, theirs in ((tflite.input, onnx.input), (tflite.output, onnx.output)):
        assert theirs.scale == ours.scale
        assert theirs.zero_point == ours.zero_point + 128
    assert onnx.input.scale == pytest.approx(1 / 127.5, rel=0.2)  # drawn faces reach neither black nor white


def test_manifest_says_where_the_numbers_come_from(exported):
    manifest = load_bundle(exported.out).manifest
    assert manifest.task == "custom"
    assert manifest.labels == ("happy", "neutral", "sad")
    assert set(manifest.preprocess.framing) == {"full", "short", "yunet"}
    assert {(m["artefact"], m["split"]) for m in manifest.metrics} == {
        (name, split) for name in FILES if name.startswith("model.") for split in ("PublicTest", "PrivateTest")
    }
    assert all(m["n"] and len(m["interval95"]) == 2 and m["protocol"] == "single crop" for m in manifest.metrics)
    assert manifest.provenance["gate"]["split"] == "PublicTest"
    assert 0.05 <= manifest.golden.tolerance <= 0.5
    assert manifest.golden.tolerance >= exported.result["golden"]["kernel_spread"]
    assert manifest.provenance["calibration"]["usage"] == "Training"
    assert manifest.tools["tensorflow"]
    assert str(exported.run.parent) not in manifest.to_json()
    assert len(manifest.to_json()) < 20_000


def test_model_card_holds_law_numbers_and_origin(exported):
    card = (exported.out / "README.md").read_text()
    accuracy = exported.result["PrivateTest"]["artefacts"]["model.int8.tflite"]["accuracy"]
    assert card.startswith("---\nlicense: other\n")
    for text in (
        "Article 5(1)(f)",
        "50(3)",
        f"{accuracy:.2%}",
        "random weights",
        "Confusion",
        "looks like",
        "user's own",
    ):
        assert text in card
    assert "Kaggle" not in card


def test_temperature_is_fitted_on_publictest_and_carried_to_the_device(exported):
    bundle = load_bundle(exported.out).manifest
    found = exported.result["temperature"]
    assert bundle.temperature == found["value"]
    assert found["split"] == "PublicTest"
    assert found["ece"] <= found["ece_before"] + 0.02
    assert found["uncertain"]["below"] == bundle.uncertain_below
    assert all("ece" in metric for metric in bundle.metrics)


def test_sentences_tell_every_step(exported):
    said = "\n".join(exported.sentences)
    for text in (
        "Rebuilt cnn4",
        "all integer",
        "PublicTest",
        "Gate passed",
        "PrivateTest",
        "Framing of 'full'",
        "Wrote",
    ):
        assert text in said


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_bundle_with_one_changed_byte_is_refused(exported, tmp_path, name):
    broken = tmp_path / "bundle"
    shutil.copytree(exported.out, broken)
    content = bytearray((broken / name).read_bytes())
    content[len(content) // 2] ^= 1
    (broken / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_bundle(broken)


def test_gate_refuses_leaves_a_report_and_writes_no_bundle(exported, tmp_path, monkeypatch):
    out = tmp_path / "bundle"
    with pytest.raises(GateError, match=r"no bundle was written.*Try more epochs") as refusal:
        again(exported, monkeypatch, out=out, max_drop_points=-100)
    assert refusal.value.exit_code == 3
    assert not out.exists()
    report = json.loads((tmp_path / "bundle.rejected" / "parity.json").read_text())
    assert report["gate"]["passed"] is False
    assert "PrivateTest" not in report


def test_formats_that_disagree_are_refused_too(exported, tmp_path):
    from fer_edge_export.evaluate import Measured
    from fer_edge_export.gate import judge, reject

    labels = np.zeros(10, np.int64)
    sure, unsure = np.array([[0.9, 0.1]] * 10), np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]])
    measured = [
        Measured(name, precision, "", "PublicTest", found.astype(np.float32), {"accuracy": 1.0, "n": len(labels)})
        for name, precision, found in (("f", "float32", sure), ("t", "int8", sure), ("o", "int8", unsure))
    ]
    gate = judge(measured, 1.0, 0.98)
    assert (gate["passed"], gate["formats_agree"]) == (False, 0.9)
    assert judge(measured, 1.0, 0.9)["passed"]
    with pytest.raises(GateError, match=r"give only 90.00% of PublicTest the same label"):
        reject(tmp_path / "bundle", {"gate": gate}, "<p>page</p>")
    assert {entry.name for entry in (tmp_path / "bundle.rejected").iterdir()} == {"parity.json", "parity.html"}


def test_report_holds_latency_in_turns_and_the_tensors_furthest_off(exported):
    report = json.loads((exported.out / "parity.json").read_text())
    assert set(report["latency"]["artefacts"]) == {name for name in FILES if name.startswith("model.")}
    assert set(report["latency"]["int8_speedup"]) == {"tflite", "onnx"}
    profile = report["latency"]["profiles"]["model.int8.onnx"]
    assert {kind: row["count"] for kind, row in profile["operators"].items()} == report["checks"]["model.int8.onnx"][
        "operators"
    ]
    assert min(us for *_, us in profile["slowest"]) > 0
    assert "QLinearConv" in (exported.out / "parity.html").read_text()
    worst = report["checks"]["worst_tensors_db"]
    assert len(worst) == 5
    assert list(worst.values()) == sorted(worst.values())
    assert min(worst.values()) > 10  # decibels; a wrong pairing of tensors is around 0
    found = report["PublicTest"]["against_float32"]["model.int8.tflite"]
    assert 0 <= found["mean_kl"] < 0.1
    assert set(found["change_points"]["f1"]) == {"happy", "neutral", "sad"}


def test_half_precision_answers_as_float32_does(exported):
    bundle = load_bundle(exported.out)
    found = {}
    for artefact in bundle.manifest.artefacts:
        found[artefact.path] = bundle.open(artefact).run(
            to_input(bundle.crops, bundle.manifest.preprocess, artefact.input)
        )
    np.testing.assert_allclose(found["model.fp16.tflite"], found["model.fp32.tflite"], atol=0.01)
    np.testing.assert_allclose(found["model.fp32.onnx"], found["model.fp32.tflite"], atol=1e-4)


def test_export_into_a_bundle_needs_overwrite_and_then_replaces_it(exported, tmp_path, monkeypatch):
    out = tmp_path / "bundle"
    shutil.copytree(exported.out, out)
    (out / "README.md").write_text("old")
    with pytest.raises(ConfigError, match="already holds a bundle"):
        again(exported, monkeypatch, out=out)
    again(exported, monkeypatch, out=out, overwrite=True, name="second")
    assert load_bundle(out).manifest.name == "second"
    assert {entry.name for entry in out.iterdir()} == FILES - FLOATS
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_bundle_that_does_not_verify_leaves_the_old_one_in_place(exported, tmp_path, monkeypatch):
    import fer_edge_export.bundle_writer as writer

    out = tmp_path / "bundle"
    shutil.copytree(exported.out, out)
    before = (out / "manifest.json").read_bytes()

    def refuse(folder):
        raise BundleError(f"{folder} does not verify")

    monkeypatch.setattr(writer, "verify_bundle", refuse)
    with pytest.raises(BundleError, match="does not verify"):
        again(exported, monkeypatch, out=out, overwrite=True)
    assert (out / "manifest.json").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_folder_of_other_files_is_never_replaced(exported, tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="holds no bundle"):
        again(exported, monkeypatch, out=tmp_path, overwrite=True)
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"


def test_run_that_has_not_finished_is_refused(exported, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(exported.run, run)
    (run / "metrics.json").unlink()
    with pytest.raises(DataError, match="has not finished"):
        again(exported, monkeypatch, run=run, out=tmp_path / "bundle")


def test_other_data_than_the_run_was_trained_on_is_refused(exported, tmp_path, monkeypatch):
    other = tmp_path / "faces"
    shutil.copytree(exported.data, other)
    next((other / "train" / "happy").iterdir()).unlink()
    with pytest.raises(DataError, match="is not the data set"):
        again(exported, monkeypatch, data=other, out=tmp_path / "bundle")
    with pytest.raises(DataError, match="not at"):
        again(exported, monkeypatch, data=tmp_path / "missing", out=tmp_path / "bundle")


def test_rebuild_refuses_a_run_of_another_width(exported):
    from dataclasses import replace

    from fer_edge_export.errors import ExportError
    from fer_edge_export.rebuild import rebuild_classifier
    from fer_edge_train.run_folder import load_run

    run, config, _ = load_run(exported.run)
    with pytest.raises(ExportError, match="the first that differs"):
        rebuild_classifier(
            run.best_model, replace(config, width=0.5), classes=3, inputs=np.zeros((1, 32, 32, 3), np.float32)
        )


def test_name_of_the_bundle_is_text_in_the_page(exported, tmp_path, monkeypatch):
    again(exported, monkeypatch, out=tmp_path / "bundle", name="<script>mine")
    page = (tmp_path / "bundle" / "parity.html").read_text()
    assert "&lt;script&gt;mine" in page
    assert "<script>" not in page
