"""Copy-paste of lesions: what is carved out of one slice, and how it is put into another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from scripts.transforms.outline import find_head

HEAD_THRESHOLD = -0.85  # as for the outline class
SMALLEST_INSIDE = 0.9  # of the lesion; with less inside both heads it would be another lesion
MOST_COVERED = 0.5  # of a box; with more under what is pasted its lesion is gone


def signed_distance(lesion: np.ndarray) -> np.ndarray:
    """Distance to a lesion's border in pixels: negative inside, where all around the image is outside; (X, Y) float64.

    Args:
        lesion: (X, Y) bool, with a pixel at least; each lesion pixel is -1 or less, each other one 1 or more.
    """
    inside = ndimage.distance_transform_edt(np.pad(lesion, 1))[1:-1, 1:-1]
    return ndimage.distance_transform_edt(~lesion) - inside


def carve(lesion: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The region that is carved with a lesion, (X, Y) bool: D(v) <= t, D the signed distance to the lesion's border.

    CarveMix (Zhang et al., MICCAI 2021): with d = |min D|, the depth of the lesion, t is drawn from
    U(-d / 2, 0) or from U(0, d), each with probability 1/2, so that the region is somewhat smaller than the lesion or
    takes some of its surroundings with it. All lesions of a slice are carved at once.

    Args:
        lesion: (X, Y) bool, with a pixel at least; the deepest one is always carved.
        generator: of t.
    """
    distance = signed_distance(lesion)
    depth = -distance.min()
    shrinks = generator.random() < 0.5
    return distance <= generator.uniform(*((-depth / 2, 0) if shrinks else (0, depth)))


def draw_rectangles(boxes: np.ndarray, size: int, grown: float = 0.0) -> np.ndarray:
    """The pixels (S, S) bool that any of the boxes (n, 4) touches, each grown on all sides.

    Args:
        boxes: (n, 4) in pixels.
        size: S.
        grown: by so many times half the shorter side, the depth of the box.
    """
    region = np.zeros((size, size), dtype=bool)
    for box in boxes:
        margin = grown * min(box[2:] - box[:2]) / 2
        first, last = np.floor(box[:2] - margin).astype(int).clip(0), np.ceil(box[2:] + margin).astype(int)
        region[first[0] : last[0], first[1] : last[1]] = True
    return region


def crop_covered(boxes: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of boxes under a region that was pasted: boxes (m, 4), and which of the n they are, (n,) bool.

    A box of which more than half is covered is dropped; any other is cropped to the rectangle of its uncovered pixels.

    Args:
        boxes: (n, 4) in pixels.
        region: (S, S) bool.
    """
    left, kept = [], np.zeros(len(boxes), dtype=bool)
    for number, box in enumerate(boxes):
        first, last = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
        rest = ~region[first[0] : last[0], first[1] : last[1]]
        kept[number] = 1 - rest.mean() <= MOST_COVERED
        if kept[number]:
            uncovered = first + np.argwhere(rest)
            low, high = uncovered.min(axis=0), uncovered.max(axis=0) + 1
            left.append(np.concatenate([np.maximum(box[:2], low), np.minimum(box[2:], high)]))
    return np.array(left, dtype=boxes.dtype).reshape(-1, 4), kept


def find_tissue(image: torch.Tensor, lesion: np.ndarray) -> np.ndarray:
    """The head of a slice with its lesions, (S, S) bool; everything where there is no head.

    Args:
        image: (C, S, S) in [-1, 1].
        lesion: (S, S) bool.
    """
    head = find_head(np.median(image.numpy(), axis=0) > HEAD_THRESHOLD)
    return head | lesion if head.any() else np.ones_like(head)


def paste(
    target: Mapping[str, Any], donor: Mapping[str, Any], region: np.ndarray, lesion: np.ndarray
) -> tuple[dict[str, Any], np.ndarray] | None:
    """A slice with a region of another one at the same place (CarveMix), and what was pasted.

    All channels of the image and the label are the donor's inside the region, intensities as they are: harmonisation
    came later, for images of several sources (NeuroImage 2023). The paper's volumes lie on each other, slices of two
    heads do not: here what lies outside one of the heads stays as it was.

    Args:
        target, donor: dictionaries with `image` (C, S, S) in [-1, 1] and `label` (1, S, S).
        region: of the donor, (S, S) bool.
        lesion: of the donor inside the region, (S, S) bool.

    Returns:
        None where less than 0.9 of the lesion lies inside both heads.
    """
    tissue = [find_tissue(slice_["image"], slice_["label"][0].numpy() > 0) for slice_ in (target, donor)]
    region = region & tissue[0] & (tissue[1] | lesion)
    if (lesion & region).sum() < SMALLEST_INSIDE * lesion.sum():
        return None
    inside = torch.from_numpy(region)
    pasted = {key: torch.where(inside, donor[key], target[key]) for key in ("image", "label")}
    return {**target, **pasted}, region
