"""What training minimises, written with `keras.ops` so that every backend runs it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_SMALLEST = 1e-7


@keras.saving.register_keras_serializable(package="fer_edge")
class FaceLoss(keras.losses.Loss):
    """Cross-entropy with label smoothing, focal weighting and teachers.

    Args:
        smoothing: share of the target that is spread over all classes.
        focal: gamma of the focal loss (arXiv 1708.02002).
        teacher_weight: share of the teachers' part (arXiv 1503.02531).
        temperature: of that part.

    Targets are (N, classes) distributions, or (N, 2 * classes) when there are teachers: the label's distribution, then the
    teachers' one, already softened.
    """

    def __init__(
        self, smoothing: float = 0.0, focal: float = 0.0, teacher_weight: float = 0.0, temperature: float = 1.0,
        name: str = "face_loss", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, **kwargs)
        self._values = {
            "smoothing": smoothing, "focal": focal, "teacher_weight": teacher_weight, "temperature": temperature,
        }  # fmt: skip

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(N,) losses of (N, classes) probabilities."""
        smoothing, focal, teacher_weight, temperature = self._values.values()
        classes = y_pred.shape[-1]
        probabilities = ops.clip(y_pred, _SMALLEST, 1.0)
        log = ops.log(probabilities)
        target = y_true[:, :classes] * (1 - smoothing) + smoothing / classes
        certain = ops.power(1 - probabilities + _SMALLEST, focal) if focal else 1.0
        loss = -ops.sum(target * certain * log, axis=-1)
        if teacher_weight:
            soft = ops.log_softmax(log / temperature, axis=-1)
            taught = -ops.sum(y_true[:, classes:] * soft, axis=-1) * temperature**2
            loss = (1 - teacher_weight) * loss + teacher_weight * taught
        return loss

    def get_config(self) -> dict[str, Any]:
        """For Keras's saving."""
        return {**super().get_config(), **self._values}


@keras.saving.register_keras_serializable(package="fer_edge")  # type: ignore[untyped-decorator]
def label_accuracy(y_true: Any, y_pred: Any) -> Any:
    """(N,) 1 where the most likely class is the target's; teachers' columns are left out."""
    return keras.metrics.categorical_accuracy(y_true[:, : y_pred.shape[-1]], y_pred)
