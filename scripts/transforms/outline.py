"""The outline class: where the head (or organ) is, for generators that would otherwise have to guess its shape."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage


class AddOutlineClassd(MapTransform):
    """Gives the pixels of the head that belong to no lesion a class of their own in the label map.

    The paper of Red-GAN does not mention it, but its authors' code adds a brain-outline class: a generator without
    noise input cannot know the brain's shape from a lesion mask alone. Head = median over channels above `threshold`
    (so that one channel with a bright background does no harm), opened by one pixel, largest component of each slice,
    holes filled.

    Args:
        keys: the label map, (1, X, Y[, Z]).
        outline_label: the number to write, one above the data set's last label.
        threshold: in the [-1, 1] range of `image`, (C, X, Y[, Z]) after `ToSignedRanged`.
    """

    def __init__(self, keys: KeysCollection, outline_label: int, threshold: float = -0.85) -> None:
        super().__init__(keys)
        self.outline_label = int(outline_label)
        self.threshold = float(threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        outlined: dict[Hashable, Any] = dict(data)
        middle = np.median(np.asarray(outlined["image"]), axis=0)  # (X, Y[, Z])
        head = torch.as_tensor(find_head(middle > self.threshold))
        for key in self.key_iterator(outlined):
            label = outlined[key].clone()
            label[0][head & (label[0] == 0)] = self.outline_label
            outlined[key] = label
        return outlined


def find_head(bright: np.ndarray) -> np.ndarray:
    """The largest filled component of each slice of a boolean array (X, Y[, Z])."""
    if bright.ndim == 3:
        return np.stack([find_head(bright[..., z]) for z in range(bright.shape[-1])], axis=-1)
    opened = ndimage.binary_opening(bright)
    return fill_slices(keep_largest(opened)) if opened.any() else opened


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """The largest component of a mask that is not empty; pixels join by edges, or faces."""
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return components == sizes.argmax()


def fill_slices(mask: np.ndarray) -> np.ndarray:
    """A mask (X, Y[, Z]) with the holes of each slice filled."""
    if mask.ndim == 3:
        return np.stack([fill_slices(mask[..., z]) for z in range(mask.shape[-1])], axis=-1)
    return ndimage.binary_fill_holes(mask)
