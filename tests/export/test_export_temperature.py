"""The temperature is found where it is known, and the threshold's figures are counted right."""

import numpy as np
import pytest

from fer_edge_export.temperature import fit_temperature, uncertainty
from fer_edge_runtime.calibrate import calibrated
from fer_edge_train.metrics import calibration


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_a_known_temperature_is_found(truth):
    random = np.random.default_rng(1)
    honest = random.dirichlet(np.ones(7), 20_000).astype(np.float32)
    labels = np.array([random.choice(7, p=row / row.sum()) for row in honest.astype(float)])
    shown = calibrated(honest, 1 / truth)

    found = fit_temperature(labels, shown)

    assert found == pytest.approx(truth, rel=0.05)
    assert calibration(labels, calibrated(shown, found))["ece"] < 0.02


def test_uncertainty_counts_both_sides_of_the_threshold():
    answers = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.5, 0.5]], np.float32)
    found = uncertainty(np.array([0, 1, 0, 0]), answers, 0.6)

    assert found == {"below": 0.6, "share": 0.5, "accuracy_above": 0.5, "accuracy_under": 0.5}
    assert uncertainty(np.array([0, 1, 0, 0]), answers, 0.1)["accuracy_under"] is None
