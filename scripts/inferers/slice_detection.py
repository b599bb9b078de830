"""Running a 2D detector on volumes and on plane images alike."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.inferers.detection import DetectionInferer, Detections


class SliceDetectionInferer(Inferer):
    """Calls a `DetectionInferer` on plane images, or on each slice of volumes along Z.

    Args:
        inferer: what finds boxes in images (B, C, S, S).
        slice_batch: slices per forward pass, which bounds the memory.

    Raises:
        ValueError: fewer than 1 slice at a time.
    """

    def __init__(self, inferer: DetectionInferer, slice_batch: int = 16) -> None:
        super().__init__()
        if slice_batch < 1:
            raise ValueError(f"slice_batch is {slice_batch}, expected 1 or more.")
        self.inferer = inferer
        self.slice_batch = slice_batch

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> list[Detections]:
        """Images (B, C, S, S) or volumes (B, C, S, S, Z) to one entry per image or slice, those of a volume in turn."""
        plain = inputs.as_tensor() if hasattr(inputs, "as_tensor") else inputs
        slices = plain if plain.ndim == 4 else plain.movedim(-1, 1).flatten(0, 1)  # (B * Z, C, S, S)
        found: list[Detections] = []
        for part in slices.split(self.slice_batch):
            part = part.contiguous(memory_format=torch.channels_last)
            found += self.inferer(part, network, *args, **kwargs)
        return found
