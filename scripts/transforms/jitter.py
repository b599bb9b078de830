"""The random jitter and mirroring of slices and their label maps with which pix2pix and SPADE train by default."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.transforms import Compose, EnsureTyped, RandFlipd, RandSpatialCropd, Resized, Transform

KEYS = ("image", "label")
ENLARGEMENT = 286 / 256  # of the side, before the crop


def jitter_and_flips(
    *, image_size: int, jitter: bool = False, flip_probability: Sequence[float] = (0.5, 0.0)
) -> Compose:
    """Random transforms of a slice `image` (C, S, S) and its `label` (1, S, S), moved together.

    Isola et al., Image-to-image translation with conditional adversarial networks, 2017, section 6.2: from 256 pixels
    to 286, and a random crop back to 256; then a mirror image by chance. Images are interpolated linearly, label maps
    take the nearest value.

    Args:
        image_size: S, pixels.
        jitter: enlarges by 286/256, rounded to whole pixels, and crops S x S anywhere.
        flip_probability: chance of a flip along x (left and right in a picture) and along y, each in [0, 1].

    Raises:
        ValueError: other than two such probabilities.
    """
    if len(flip_probability) != 2 or not all(0 <= chance <= 1 for chance in flip_probability):
        raise ValueError(
            f"flip_probability is {list(flip_probability)}, expected the chances along x and y, each from 0 to 1, such "
            "as [0.5, 0.0]."
        )
    steps: list[Transform] = []
    if jitter:
        steps.append(Resized(KEYS, [round(image_size * ENLARGEMENT)] * 2, mode=["bilinear", "nearest-exact"]))
        steps.append(RandSpatialCropd(KEYS, [image_size] * 2, random_size=False))
    steps += [RandFlipd(KEYS, chance, spatial_axis=axis) for axis, chance in enumerate(flip_probability)]
    return Compose([*steps, EnsureTyped(KEYS, dtype=[torch.float32, torch.int64], track_meta=False)])
