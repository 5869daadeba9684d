"""What the model card says follows from the recipe and the counts alone."""

import numpy as np
import pytest

from fer_edge_export.card import CardFacts, model_card
from fer_edge_export.evaluate import Measured
from fer_edge_train.config import Data, Distill, TrainConfig
from fer_edge_train.data import FER2013_LABELS
from fer_edge_train.metrics import evaluate

FER2013 = {"angry": 4953, "disgust": 547, "fear": 5121, "happy": 8989, "sad": 6077, "surprise": 4002, "neutral": 6198}


def card(recipe, *, labels=FER2013_LABELS, is_fer2013=True):
    truth = np.arange(2 * len(labels), dtype=np.int64) % len(labels)
    result = evaluate(truth, np.eye(len(labels), dtype=np.float32)[truth], labels)
    measured = Measured("model.int8.tflite", "int8", "litert", "PrivateTest", np.zeros((1, 1), np.float32), result)
    return model_card(
        CardFacts(
            name="x", version="1.0.0", labels=labels, recipe=recipe, dataset="fer2013.parquet", dataset_digest="0" * 64,
            is_fer2013=is_fer2013, counts={"Training": dict.fromkeys(labels, 3)}, measured=[measured],
            gate={"max_drop_points": 1.5, "drop_points": 0.1},
            temperature={"value": 0.8, "split": "PublicTest", "ece_before": 0.1, "ece": 0.02,
                         "uncertain": {"below": 0.4, "share": 0.125, "accuracy_above": 0.75, "accuracy_under": None}},
            calibration={"faces": 9, "seed": 7, "sha256": "1" * 64}, quantization={"method": "post-training", "rounding": {"chosen": "extremes", "held_out_faces": 5}},
            sizes={"model.int8.tflite": 5},
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "random weights"),
        ({"weights": "imagenet"}, "`keras.applications` for vgg16 (arXiv 1409.1556)"),
        ({"weights": "mobilenet_v2_notop.weights.h5"}, "Google's ImageNet MobileNetV2"),
        ({"weights": "inception_v3_notop.weights.h5"}, "nsfwjs 4.4.0 (MIT)"),
        ({"weights": "nano"}, "The bundle `nano` of the same toolkit, as it was when"),
        ({"weights": "mine.weights.h5"}, "`mine.weights.h5`: see its own documentation"),
        ({"data": Data(ferplus="soft7", ferplus_weight=0.3)}, "has a share of 0.3 in the training targets"),
        ({"data": Data(ferplus="soft8")}, "majority of FER+'s ten votes"),
        ({"data": Data(align="full")}, "straightened with the detector 'full'"),
        ({"distill": Distill(("big", "probabilities.npz"), 0.7, 3.0)}, "from `big`, `probabilities.npz`: weight 0.7"),
        ({"split": "80-20"}, "fifth of the training rows is PublicTest here"),
        ({}, "People agree with the seven labels"),
    ],
)
def test_card_tells_what_the_recipe_did(options, said):
    assert said in card(TrainConfig("vgg16", **options))


def test_card_of_gathered_classes_explains_them_and_claims_nothing_of_seven():
    recipe = TrainConfig("vgg16", data=Data(classes={"negative": ("sad", "fear"), "positive": ("happy",)}))
    text = card(recipe, labels=("negative", "positive"))
    assert "- `negative`: faces that the data set labels sad, fear" in text
    assert "not how the person feels" in text
    assert "seven labels" not in text
    assert "ONNX model is made" not in text


def test_card_says_what_a_score_and_uncertain_mean():
    text = card(TrainConfig("vgg16"))
    assert "temperature 0.8" in text
    assert "went from 0.100 to 0.020" in text
    assert "no score reaches 0.4: 12.5% of PublicTest; of the faces above it 75.0% are right." in text


@pytest.mark.train
@pytest.mark.parametrize(
    ("data", "counts", "expected"),
    [
        (Data(), FER2013, True),
        (Data(), {**FER2013, "sad": 6076}, False),
        (Data(), {"happy": 8989, "sad": 6077}, False),
        (Data(classes={"negative": ("angry", "fear", "sad"), "positive": ("happy",)}), {"negative": 16151, "positive": 8989}, True),
        (Data({"negative": ("angry", "fear", "sad"), "positive": ("happy",)}, 8500), {"negative": 8500, "positive": 8500}, True),
        (Data(classes={"good": ("smile",), "bad": ("frown",)}), {"good": 10, "bad": 10}, False),
        (Data(ferplus="soft8"), {"contempt": 5}, True),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fer2013_is_known_by_its_faces_whatever_the_recipe_makes_of_them(data, counts, expected):
    from fer_edge_export.contents import is_fer2013

    half = {name: faces // 2 for name, faces in counts.items()}
    rest = {name: faces - half[name] for name, faces in counts.items()}
    assert is_fer2013(TrainConfig("vgg16", data=data), {"Training": half, "PrivateTest": rest}) is expected
