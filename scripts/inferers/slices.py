"""Running a 2D network on volumes and on plane images alike."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SliceInferer


class AnySliceInferer(SliceInferer):
    """MONAI's `SliceInferer` that also takes plane images, so one inference config serves both.

    Volumes (B, C, X, Y, Z) go through the network slice by slice along Z, plane images (B, C, X, Y) at once.

    Args:
        image_size: side of the square slices in pixels, as `FitInPlaned` made them.
        slice_batch: slices per forward pass.
    """

    def __init__(self, image_size: int, slice_batch: int = 8) -> None:
        super().__init__(roi_size=(image_size, image_size), spatial_dim=2, sw_batch_size=slice_batch, overlap=0.0)

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> Any:
        if inputs.ndim == 4:
            return network(inputs, *args, **kwargs)
        return super().__call__(inputs, network, *args, **kwargs)
