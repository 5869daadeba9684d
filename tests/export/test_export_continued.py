"""Training goes on from what export wrote: the float network of a bundle answers as its int8 model does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from marks import CONVERSION

from fer_edge_runtime.bundle import load_bundle

pytestmark = CONVERSION


def test_exported_cnn4_answers_the_same_when_its_training_begins_again(exported):
    from fer_edge_export.evaluate import engine_predictor
    from fer_edge_train.bundle_weights import start_from_bundle
    from fer_edge_train.data import load_for
    from fer_edge_train.network import build_training_model
    from fer_edge_train.run_folder import load_run

    _, recipe, record = load_run(exported.run)
    data = load_for(recipe, exported.data)
    faces, _ = data.part("PublicTest")
    bundle = load_bundle(exported.out)
    artefact = bundle.artefact("tflite")
    wanted = engine_predictor(bundle.open(artefact), artefact, bundle.manifest.preprocess, 1.0)(faces)
    config = replace(recipe, weights=str(exported.out))

    graph, classifier = build_training_model(config, len(record["labels"]))
    start_from_bundle(graph, classifier, config, tuple(record["labels"]), data.part("Training")[0])

    found = np.array(graph(faces[..., None], training=False))
    assert np.abs(found - wanted).mean() < 0.02
