"""Marks of the tests that train and convert real networks: third-party libraries warn there."""

import pytest

TENSORS = pytest.mark.filterwarnings(  # TensorFlow's under numpy 2; nothing that we call
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
TRAINING = [pytest.mark.train, TENSORS]
CONVERSION = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:(keras|tf_keras|tensorflow|tf2onnx|onnx).*"),
]
