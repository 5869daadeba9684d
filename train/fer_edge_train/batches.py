"""The faces of an epoch, in their order, as batches of numpy arrays: all that a Keras backend needs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge_train.camera import like_a_camera
from fer_edge_train.config import TrainConfig


class Batches(keras.utils.PyDataset):
    """One epoch; everything random follows from ``seed``.

    Rows that do not fill a batch are left out of the epoch (others in every epoch), so that a compiled step sees one shape.

    Args:
        images: (N, 48, 48) uint8.
        targets: (N, K) float32.
        weights: (N,) float32, loss weights.
        labels: (N,) class of every row, for balanced sampling.
        config: the recipe.
        seed: of this epoch.
    """

    def __init__(
        self, images: NDArray[np.uint8], targets: NDArray[np.float32], weights: NDArray[np.float32],
        labels: NDArray[np.int64], config: TrainConfig, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self._images, self._targets, self._weights = images, targets, weights
        self._size = min(config.batch_size, len(images))
        self._augment, self._seed = config.augment, seed
        random = np.random.default_rng(seed)
        self._order = _balanced(labels, random) if config.sampling == "balanced" else random.permutation(len(images))

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._order) // self._size

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        """(B, 48, 48, 1) uint8 faces, (B, K) targets, (B,) weights."""
        rows = self._order[index * self._size : (index + 1) * self._size]
        images, targets, weights = self._images[rows], self._targets[rows], self._weights[rows]
        random, augment = np.random.default_rng([self._seed, index]), self._augment
        if augment.camera:
            images = like_a_camera(images, augment.camera, random)
        if augment.mixup and not (augment.cutmix and random.random() < 0.5):
            images, targets, weights = _mix(images, targets, weights, augment.mixup, random)
        elif augment.cutmix:
            images, targets, weights = _cut(images, targets, weights, augment.cutmix, random)
        return images[..., None], targets, weights


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches of an epoch."""
    return rows // min(batch_size, rows)


def _balanced(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """As many rows as there are, drawn so that every class comes equally often."""
    share = 1 / np.bincount(labels)[labels]
    return random.choice(len(labels), len(labels), p=share / share.sum())


def _mix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], weights: NDArray[np.float32], alpha: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Mixup: every face blended with another of the batch, its target and weight likewise (arXiv 1710.09412)."""
    share = random.beta(alpha, alpha, len(images)).astype(np.float32)
    other = random.permutation(len(images))

    mixed = np.rint(_blend(images.astype(np.float32), share, other)).astype(np.uint8)
    return mixed, _blend(targets, share, other), _blend(weights, share, other)


def _cut(
    images: NDArray[np.uint8], targets: NDArray[np.float32], weights: NDArray[np.float32], alpha: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """CutMix: a rectangle of every face is another's of the batch, targets and weights by area (arXiv 1905.04899)."""
    rows, side = len(images), images.shape[1]
    length = np.sqrt(1 - random.beta(alpha, alpha, rows)) * side
    other = random.permutation(rows)
    middle = random.uniform(0, side, (2, rows))
    low, high = (np.clip(np.rint(middle + sign * length / 2), 0, side)[..., None] for sign in (-1, 1))
    place = np.arange(side)
    inside = (place >= low) & (place < high)  # (2, rows, side): by row, by column
    box = inside[0][:, :, None] & inside[1][:, None, :]
    share = (1 - box.mean(axis=(1, 2))).astype(np.float32)
    return np.where(box, images[other], images), _blend(targets, share, other), _blend(weights, share, other)


def _blend(array: NDArray[np.float32], share: NDArray[np.float32], other: NDArray[np.int64]) -> NDArray[np.float32]:
    """``share`` of every row, the rest from the row ``other`` names."""
    own = share.reshape(-1, *[1] * (array.ndim - 1))
    return array * own + array[other] * (1 - own)
