"""Every architecture and head that can be trained can be exported, with nothing but its recipe."""

import json

import numpy as np
import pytest
from command_line import fer_edge
from looks import NAMES, build_fast_settling, draw_face, write_faces
from marks import CONVERSION

from fer_edge_runtime.bundle import load_bundle
from fer_edge_runtime.manifest import Preprocess, TensorSpec
from fer_edge_runtime.preprocess import to_input

pytestmark = CONVERSION

EIGHT = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
WIDTHS = {"mobilenetv2": 0.35, "cnn4": 0.25, "nano": 0.25, "resnet14": 0.25}
WITH_ONE_INTEGER_OPERATOR = {
    "InputLayer", "Conv2D", "DepthwiseConv2D", "Dense", "ReLU", "Add", "Concatenate", "MaxPooling2D", "AveragePooling2D",
    "GlobalAveragePooling2D", "ZeroPadding2D", "Softmax",
}  # fmt: skip
STEADY = {"flip": False, "rotation_degrees": 0.0, "shift": 0.0, "zoom": 0.0, "brightness": 0.0, "contrast": 0.0}


def smallest(architecture, **options):
    """The recipe of an architecture at the smallest size it has."""
    from fer_edge_train.architectures import BACKBONES
    from fer_edge_train.config import TrainConfig

    size = BACKBONES[architecture].min_size
    return TrainConfig(architecture, input_size=size, width=WIDTHS.get(architecture, 1.0), **options)


def drawn_inputs(size, count=48):
    """(count, size, size, 3) float32 in [-1, 1]."""
    generator = np.random.default_rng(5)
    faces = np.stack([draw_face(NAMES[index % 3], generator) for index in range(count)])
    spec = Preprocess("grey", 48, size, 3, "linear", "eyes", 127.5, 127.5, {})
    return to_input(faces, spec, TensorSpec("faces", (size, size, 3), "float32", "HWC"))


def save_lively(config, inputs, path, classes=3):
    """A training graph whose random classifier answers every face differently, with batch statistics as after training."""
    import keras

    from fer_edge_train.network import build_training_model

    graph, classifier = build_training_model(config, classes)
    generator = np.random.default_rng(0)
    drawn = {"gamma": (0.7, 1.3), "beta": (-0.3, 0.3)}
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            layer.set_weights([
                generator.uniform(*drawn[weight.name], weight.shape) if weight.name in drawn else weight.numpy()
                for weight in layer.weights
            ])  # fmt: skip
    classifier(inputs, training=True)
    last = next(layer for layer in reversed(classifier.layers) if isinstance(layer, keras.layers.Dense))
    features = np.asarray(keras.Model(classifier.input, last.input)(inputs, training=False))
    kernel, _ = last.get_weights()
    kernel /= (features @ kernel).std(axis=0)
    last.set_weights([kernel, -(features @ kernel).mean(axis=0)])
    graph.save(path)


@pytest.mark.parametrize(
    "architecture",
    ["mobilenetv2", "inceptionv3", "inceptionresnetv2", "vgg16", "resnet50", "xception", "cnn4", "nano", "resnet14"],
)
def test_rebuilt_network_gives_the_trained_ones_answers(tmp_path, architecture):
    from fer_edge_export.graph import build_model, read_graph
    from fer_edge_export.rebuild import predict, rebuild_classifier
    from fer_edge_export.simplify import simplify

    config, path = smallest(architecture), tmp_path / "model.keras"
    inputs = drawn_inputs(config.input_size)
    save_lively(config, inputs, path)
    rebuilt, difference = rebuild_classifier(path, config, classes=3, inputs=inputs)
    path.unlink()  # up to 220 MB
    assert difference < 1e-3
    assert predict(rebuilt, inputs).std(axis=0).min() > 0.05  # else a wrong weight would not show
    simple = build_model(simplify(read_graph(rebuilt)))
    assert np.abs(predict(simple, inputs) - predict(rebuilt, inputs)).max() < 1e-3
    assert {type(layer).__name__ for layer in simple.layers} <= WITH_ONE_INTEGER_OPERATOR


def test_every_architecture_that_can_be_trained_is_rebuilt_here():
    from fer_edge_train.architectures import BACKBONES

    marks = test_rebuilt_network_gives_the_trained_ones_answers.pytestmark
    tried = next(mark.args[1] for mark in marks if mark.name == "parametrize")
    assert set(tried) >= {name for name, backbone in BACKBONES.items() if backbone.reference}


@pytest.mark.parametrize(("architecture", "operators", "apart"), [
    ("vgg16", {"CONV_2D": 14, "MAX_POOL_2D": 5}, 0),  # the first: the range of Caffe
    ("inceptionv3", {"CONV_2D": 94, "CONCATENATION": 15, "AVERAGE_POOL_2D": 9, "MAX_POOL_2D": 4}, 0),
    ("mobilenetv2", {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10}, 0.05),  # engines round sums differently
])  # fmt: skip
def test_large_networks_become_the_same_integers_in_both_formats(tmp_path, architecture, operators, apart):
    from fer_edge_export.calibration import choose_calibration
    from fer_edge_export.config import ExportConfig, QatConfig
    from fer_edge_export.models import INT8_ONNX, INT8_TFLITE, make_models
    from fer_edge_export.source import Source, base_spec
    from fer_edge_train.data import load_for

    config = smallest(architecture)
    data = load_for(config, write_faces(tmp_path / "faces", train=30, test=10))
    save_lively(config, drawn_inputs(config.input_size), tmp_path / "model.keras")
    source = Source(tmp_path / "model.keras", config, {}, {}, data)
    calibration = choose_calibration(data, faces=40, seed=7)
    models = make_models(
        source, base_spec(config.input_size), calibration, ExportConfig(tmp_path, tmp_path / "out", qat=QatConfig(0)),
        say=lambda text: None, progress=lambda title, done, total: None,
    )  # fmt: skip
    (tmp_path / "model.keras").unlink()
    ends = {"MEAN": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert models.checks[INT8_TFLITE]["operators"] == operators | ends
    onnx = models.checks[INT8_ONNX]
    linear = sum(operators.get(name, 0) for name in ("CONV_2D", "DEPTHWISE_CONV_2D"))
    assert onnx["operators"]["QLinearConv"] == linear
    assert onnx["operators"].get("Transpose", 0) <= 1
    assert not {"Reshape", "QuantizeLinear", "DequantizeLinear"} & set(onnx["operators"])
    assert onnx["tflite_difference"] <= apart


def trained_run(root, config, looks):
    """A run of the real trainer on drawn faces; ``looks`` is class name -> what is drawn."""
    import fer_edge_train.trainer as trainer
    from fer_edge_train.data import load_for

    data = load_for(config, write_faces(root / "faces", looks=looks, train=60, test=20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_training_model", build_fast_settling)
        trainer.train(config, data, root / "run", listener=trainer.Listener())
    return root / "run"


def cnn4_recipe(**options):
    from fer_edge_train.config import Augment, FineTuneStage, HeadStage, TrainConfig

    return TrainConfig(
        "cnn4", input_size=32, width=0.1, batch_size=16, dropout=0.0, augment=Augment(**STEADY), head=HeadStage(epochs=0),
        finetune=FineTuneStage(epochs=16, learning_rate=5e-3, unfreeze=1.0, patience=0, optimizer="adam"), **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def valence(tmp_path_factory):
    """``(bundle, recipe, data folder)`` of positive against negative: one logit, rows gathered, balanced and split anew."""
    from fer_edge_export import ExportConfig, export_bundle
    from fer_edge_export.config import QatConfig
    from fer_edge_train.config import Data, Top

    root = tmp_path_factory.mktemp("valence")
    config = cnn4_recipe(
        split="binary-60-20-20",
        data=Data(classes={"negative": ("angry", "sad"), "positive": ("happy",)}, per_class=75),
        top=Top(dense=(16, 8), l2=1e-4, sigmoid=True),
    )
    looks = {"angry": "sad", "sad": "sad", "happy": "happy", "neutral": "neutral"}
    run = trained_run(root, config, looks)
    export_bundle(
        ExportConfig(run, root / "bundle", calibration_faces=60, framing_faces=10, max_drop_points=10, qat=QatConfig(0))
    )
    return root / "bundle", config, root / "faces"


def test_one_logit_becomes_a_bundle_of_two_integer_probabilities(valence):
    bundle = load_bundle(valence[0])
    manifest = bundle.manifest
    assert (manifest.task, manifest.labels) == ("valence2", ("negative", "positive"))
    assert manifest.uncertain_below == 0.6
    assert {artefact.path for artefact in manifest.artefacts} == {"model.int8.tflite", "model.int8.onnx"}
    for artefact in manifest.artefacts:
        found = bundle.open(artefact).run(to_input(bundle.crops, manifest.preprocess, artefact.input))
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=0.01)
    operators = json.loads((valence[0] / "parity.json").read_text())["checks"]["model.int8.tflite"]["operators"]
    assert operators["FULLY_CONNECTED"] == 3
    assert not {"MUL", "CONCATENATION"} & set(operators)  # the halves of the logit are inside the last layer
    accuracy = {m["artefact"]: m["accuracy"] for m in manifest.metrics if m["split"] == "PrivateTest"}
    assert min(accuracy.values()) > 0.8


def test_manifest_holds_the_recipe_that_makes_the_same_rows_again(valence):
    from fer_edge_train.config import TrainConfig
    from fer_edge_train.data import load_for

    folder, config, faces = valence
    provenance = load_bundle(folder).manifest.provenance
    recipe = TrainConfig.from_dict(json.loads(json.dumps(provenance["recipe"])), where="manifest.json")
    assert recipe == config
    assert load_for(recipe, faces).digest() == provenance["dataset_digest"]


def test_card_says_what_the_two_labels_gather_and_leave_out(valence):
    card = (valence[0] / "README.md").read_text()
    for text in (
        "`negative`: faces that the data set labels angry, sad",
        "not how the person feels",
        "the model has no answer for them",
        "75 faces of each class",
        "60 % Training",
        "random weights",
    ):
        assert text in card


def test_command_line_runs_the_two_label_bundle(valence):
    done = fer_edge("run", "--source", "demo", "--model", valence[0], "--json", "--max-frames", 3, "-q", check=True)
    face = json.loads(done.stdout.splitlines()[0])["faces"][0]
    assert set(face["scores"]) == {"negative", "positive"}
    assert face["label"] in {"negative", "positive", "uncertain"}


def test_eight_emotions_on_a_flattened_map_with_batch_norm_export(tmp_path):
    from fer_edge_export import ExportConfig, export_bundle
    from fer_edge_export.config import QatConfig
    from fer_edge_train.config import Top

    config = cnn4_recipe(top=Top(pool="flatten", batch_norm=True, dense=(16, 8)))
    run = trained_run(tmp_path, config, {name: NAMES[index % 3] for index, name in enumerate(EIGHT)})
    out = tmp_path / "bundle"
    config = ExportConfig(
        run, out, calibration_faces=60, framing_faces=10, max_drop_points=100, onnx=False, qat=QatConfig(0)
    )
    export_bundle(config)
    manifest = load_bundle(out).manifest
    assert manifest.task == "emotion8"
    assert set(manifest.labels) == set(EIGHT)
    assert manifest.uncertain_below == 0.4
    assert "made from the TFLite one" not in (out / "README.md").read_text()
