"""Boxes as networks and images have them.

Boxes are (N, 4): x0, y0, x1, y1 in pixels, half-open. Arrays are (C, X, Y), so a box of whole numbers holds the pixels
``array[:, x0:x1, y0:y1]``. For flips take `monai.apps.detection.transforms.RandFlipBoxd`, which keeps both conventions.
"""

from __future__ import annotations

import torch


def clip_boxes(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The parts of boxes inside an image of `size` (X, Y) pixels, without boxes that have none.

    MONAI's `ClipBoxToImaged` also drops boxes thinner than a pixel, or keeps empty ones.

    Args:
        boxes: (N, 4).
        size: sides of the image in pixels.

    Returns:
        boxes (M, 4), M <= N, and which of the N were kept, (N,) bool, to select their labels.
    """
    clipped = boxes.clamp(min=0).minimum(boxes.new_tensor([*size, *size]))
    kept = (clipped[:, :2] < clipped[:, 2:]).all(dim=1)
    return clipped[kept], kept
