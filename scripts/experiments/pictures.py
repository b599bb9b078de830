"""Pictures of real and synthetic slices for an experiment's report."""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.data.contract import Dataset
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd


def read_slice(dataset: Dataset, item: Any, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The slice of an item with most lesion: image (C, S, S) in [-1, 1] and label (S, S)."""
    keys = ["image", "label"]
    data: Any = LoadItemd(
        keys,
        channel_count=dataset.channel_count,
        foreground_count=dataset.foreground_count,
        label_values=dataset.label_values,
    )(item)
    for transform in (
        CanonicalOrientationd(keys),
        ToSignedRanged("image", dataset.intensity_range),
        FitInPlaned(keys, image_size),
    ):
        data = transform(data)
    image, label = np.asarray(data["image"]), np.asarray(data["label"])[0]
    if label.ndim == 2:
        return image, label
    z = int((label > 0).sum(axis=(0, 1)).argmax())
    return image[..., z], label[..., z]
