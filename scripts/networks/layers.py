"""What several convolutional networks share: widths, He's initialisation, and images of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def scale_width(channels: int, multiplier: float) -> int:
    """A published number of channels times the width multiplier, rounded, at least 1."""
    return max(1, round(channels * multiplier))


def init_he(module: nn.Module, mode: str = "fan_in") -> None:
    """Convolution weights with variance 2 / fan, "fan_in" or "fan_out"; biases 0. For `Module.apply`."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")  # type: ignore[arg-type]
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def extend_image(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, X, Y) with its last row and column repeated until both sides are multiples; also for TorchScript."""
    pad_x = (multiple - x.shape[-2] % multiple) % multiple
    pad_y = (multiple - x.shape[-1] % multiple) % multiple
    return F.pad(x, [0, pad_y, 0, pad_x], mode="replicate")
