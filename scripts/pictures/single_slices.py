"""Single slices of real and synthetic items, read and resampled the same way, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from scripts.data.boxes import find_boxes, fit_boxes
from scripts.data.contract import Dataset
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd


@dataclass(frozen=True)
class Slice:
    """A slice: image (C, X, Y) in [-1, 1], label (1, X, Y), and the item's boxes (N, 4), None where it gives none."""

    image: MetaTensor
    label: MetaTensor
    boxes: np.ndarray | None = None

    @property
    def side(self) -> int:
        """The longer side, in pixels."""
        return max(self.image.shape[1:])

    @property
    def has_lesion(self) -> bool:
        return bool((self.label > 0).any()) or (self.boxes is not None and len(self.boxes) > 0)

    def fit(self, size: int) -> Slice:
        """The slice as networks of this image size see it, size x size; see `FitInPlaned`."""
        fitted = FitInPlaned(["image", "label"], size)({"image": self.image, "label": self.label})
        if self.boxes is None:
            return Slice(fitted["image"], fitted["label"])
        return Slice(fitted["image"], fitted["label"], fit_boxes(self.boxes, self.image.shape[1:], size))

    def find_boxes(self) -> np.ndarray:
        """The item's boxes, else those around the connected parts of its label: (N, 4) x0, y0, x1, y1, half-open."""
        if self.boxes is not None:
            return self.boxes
        return find_boxes(np.asarray(self.label)[0].astype(np.int64))[0].astype(float)


def load_slice(dataset: Dataset, item: Any, z: int | None = None) -> Slice:
    """A slice of an item on the file's own grid, in canonical axes; of a plane image, the image.

    Args:
        dataset: that the item is from.
        item: labelled or not; without label map the slice's label is 0 everywhere.
        z: of a volume, from 0; None for the slice with most lesion.

    Raises:
        DatasetError: a file is missing or does not keep the contract.
    """
    keys = ["image", "label"] if item["label"] else ["image"]
    data: Any = LoadItemd.of(dataset, keys)(item)
    data = CanonicalOrientationd(keys, dataset.slice_axis)(data)
    data = ToSignedRanged("image", dataset.intensity_range)(data)
    image = data["image"]
    label = data["label"] if item["label"] else MetaTensor(torch.zeros_like(image.as_tensor()[:1]))
    if image.ndim == 4:
        z = int((label > 0).sum(dim=(0, 1, 2)).argmax()) if z is None else z
        image, label = (MetaTensor(array.as_tensor()[..., z]) for array in (image, label))
    boxes = None if item.get("boxes") is None else np.asarray(item["boxes"], dtype=float).reshape(-1, 4)
    return Slice(image, label, boxes)
