"""Marks of the tests that convert a real network: slow, and third-party libraries warn there."""

import pytest

CONVERSION = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:(keras|tf_keras|tensorflow|tf2onnx|onnx).*"),
]
