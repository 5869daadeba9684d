"""Faces drawn with OpenCV whose mouth is the class, and the folders they are written to."""

import cv2
import numpy as np

NAMES = ("happy", "neutral", "sad")


def draw_face(name, generator):
    """(48, 48) uint8: eyes and a mouth, the mouth's bend is the class."""
    face = np.full((48, 48), generator.integers(40, 90), np.uint8)
    x, y = (int(v) for v in generator.integers(-3, 4, 2))
    cv2.ellipse(face, (24 + x, 24 + y), (17, 21), 0, 0, 360, int(generator.integers(170, 220)), -1)
    for eye in (17, 31):
        cv2.circle(face, (eye + x, 19 + y), 2, 20, -1)
    bend = {"happy": (0, 180, 30), "neutral": (0, 360, 34), "sad": (180, 360, 38)}[name]
    cv2.ellipse(face, (24 + x, bend[2] + y), (8, 1 if name == "neutral" else 5), 0, bend[0], bend[1], 20, 2)
    noise = generator.normal(0, 8, face.shape)
    return np.clip(face + noise, 0, 255).astype(np.uint8)


def write_faces(root, *, looks=None, train=90, test=30):
    """Class folders ``train/<name>`` and ``test/<name>`` of PNG files; ``looks`` is class name -> one of `NAMES`."""
    generator = np.random.default_rng(3)
    for part, count in (("train", train), ("test", test)):
        for name, look in (looks or dict(zip(NAMES, NAMES, strict=True))).items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                cv2.imwrite(str(folder / f"{index:03}.png"), draw_face(look, generator))
    return root


def build_fast_settling(*args):
    """The real network, its batch norm's averages moving fast enough for the few steps that a test has."""
    import keras

    from fer_edge_train.network import build_training_model

    graph, classifier = build_training_model(*args)
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.6
    return graph, classifier
