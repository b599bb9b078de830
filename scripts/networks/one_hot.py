"""Label maps as the mask channels that networks see."""

from __future__ import annotations

import torch
from torch.nn import functional


def one_hot_mask(label: torch.Tensor, mask_channels: int) -> torch.Tensor:
    """Label map (B, 1, S, S) of 0..M-1 to float32 (B, M, S, S).

    With one mask channel the label itself is the mask (ISIC: lesion or not).
    """
    if mask_channels == 1:
        return (label > 0).float()
    return functional.one_hot(label[:, 0].long(), mask_channels).permute(0, 3, 1, 2).float()
