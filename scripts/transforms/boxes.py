"""Boxes as networks and images have them.

Boxes are (N, 4): x0, y0, x1, y1 in pixels, half-open. Arrays are (C, X, Y), so a box of whole numbers holds the pixels
``array[:, x0:x1, y0:y1]``. For flips take `monai.apps.detection.transforms.RandFlipBoxd`, which keeps both conventions.
"""

from __future__ import annotations

import torch


def clip_boxes(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The parts (M, 4) of boxes (N, 4) inside an image of `size` (X, Y) pixels, and which of the boxes have one, (N,).

    MONAI's `ClipBoxToImaged` also drops boxes thinner than a pixel, or keeps empty ones.
    """
    clipped = boxes.clamp(min=0).minimum(boxes.new_tensor([*size, *size]))
    kept = (clipped[:, :2] < clipped[:, 2:]).all(dim=1)
    return clipped[kept], kept
