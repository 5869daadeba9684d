"""Golden crops come from the package's own clip; the configuration refuses nonsense."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge_export.config import ExportConfig
from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.manifest import Preprocess


def spec(color="grey"):
    from fer_edge_train.framing import FER2013_FRAMING

    return Preprocess(color, 48, 96, 3, "linear", "eyes", 127.5, 127.5, FER2013_FRAMING)


@pytest.mark.parametrize(("color", "shape"), [("grey", (6, 48, 48)), ("rgb", (6, 48, 48, 3))])
def test_golden_crops_are_the_same_every_time(color, shape):
    from fer_edge_export.golden import golden_crops

    first, second = golden_crops(spec(color), seed=7), golden_crops(spec(color), seed=7)
    assert first.shape == shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_golden_crops_need_a_face():
    from fer_edge_export.errors import ExportError
    from fer_edge_export.golden import golden_crops

    with pytest.raises(ExportError, match="finds no face"):
        golden_crops(spec(), seed=7, frame=np.zeros((120, 160, 3), np.uint8))


def test_import_of_the_package_is_light():
    import subprocess
    import sys

    code = "import sys, fer_edge_export; print([m for m in ('tensorflow', 'keras', 'onnx', 'numpy', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"calibration_faces": 0}, "calibration_faces"),
        ({"framing_faces": 0}, "framing_faces"),
        ({"max_drop_points": float("nan")}, "max_drop_points"),
        ({"uncertain_below": 1.5}, "uncertain_below"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"name": "two\nlines"}, "name"),
    ],
)
def test_config_refuses_values_that_no_export_can_use(change, named):
    with pytest.raises(ConfigError, match=named):
        ExportConfig(run=Path("run"), out=Path("out"), **change)


def test_bundle_is_called_after_the_run_unless_named():
    assert ExportConfig(run=Path("runs/x"), out=Path("out")).bundle_name == "x"
    assert ExportConfig(run=Path("runs/x"), out=Path("out"), name="y").bundle_name == "y"
