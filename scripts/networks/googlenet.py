"""GoogLeNet, LcGAN's real/fake classifier.

Szegedy et al., Going Deeper with Convolutions, 2015, table 1; Karki et al., LcGAN, 2020, section 3.2.3.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.layers import init_he, scale_width
from scripts.networks.recipe import remember_recipe

# Per inception block: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; a stage starts with a max-pooling.
INCEPTION_STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


@remember_recipe
class GoogLeNet(nn.Module):
    """Classify an image by nine inception blocks, global average pooling and one linear layer (table 1).

    Deviations: batch norm after each convolution, in place of local response norm. There are no auxiliary heads: they
    were to carry gradients to the lower layers, which batch norm does.

    Args:
        width_multiplier: factor on every channel count of the table, rounded, at least 1 channel.
        dropout: share of the pooled features set to 0 in training.

    Raises:
        ValueError: an image under 32 x 32.

    Shapes: (B, in_channels, X, Y) -> (B, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int = 1, *, width_multiplier: float = 1.0, dropout: float = 0.4
    ) -> None:
        super().__init__()
        self.min_size = 32
        first, reduce, second = (scale_width(channels, width_multiplier) for channels in (64, 64, 192))
        self.stem = nn.Sequential(
            _convolution(in_channels, first, kernel_size=7, stride=2),
            _halving(),
            _convolution(first, reduce, kernel_size=1),
            _convolution(reduce, second, kernel_size=3),
        )
        self.stages = nn.ModuleList()
        channels = second
        for stage in INCEPTION_STAGES:
            layers: list[nn.Module] = [_halving()]
            for row in stage:
                widths = [scale_width(width, width_multiplier) for width in row]
                layers.append(Inception(channels, *widths))
                channels = widths[0] + widths[2] + widths[4] + widths[5]
            self.stages.append(nn.Sequential(*layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, out_channels)
        self.apply(partial(init_he, mode="fan_out"))
        nn.init.normal_(self.head.weight, 0.0, 0.01)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-2] < self.min_size or x.shape[-1] < self.min_size:
            raise ValueError(
                f"The image has {x.shape[-2]} x {x.shape[-1]} pixels: expected at least {self.min_size} x "
                f"{self.min_size}. Resize the images."
            )
        x = self.stem(x)  # (B, 192, X / 4, Y / 4)
        for stage in self.stages:
            x = stage(x)  # (B, 480, X / 8, Y / 8), (B, 832, X / 16, Y / 16), (B, 1024, X / 32, Y / 32)
        x = x.mean(dim=(2, 3))  # (B, 1024)
        return self.head(self.dropout(x))  # (B, out_channels)


class Inception(nn.Module):
    """1x1, 3x3 and 5x5 convolutions and a max-pooling side by side (Szegedy et al., figure 2b).

    A 1x1 convolution of so many channels stands before the 3x3 and the 5x5 (`reduce_`) and after the pooling.

    Shapes: (B, in_channels, X, Y) -> (B, width_1x1 + width_3x3 + width_5x5 + pool_projection, X, Y).
    """

    def __init__(
        self,
        in_channels: int,
        width_1x1: int,
        reduce_3x3: int,
        width_3x3: int,
        reduce_5x5: int,
        width_5x5: int,
        pool_projection: int,
    ) -> None:
        super().__init__()
        self.branch_1x1 = _convolution(in_channels, width_1x1, kernel_size=1)
        self.branch_3x3 = nn.Sequential(
            _convolution(in_channels, reduce_3x3, kernel_size=1), _convolution(reduce_3x3, width_3x3, kernel_size=3)
        )
        self.branch_5x5 = nn.Sequential(
            _convolution(in_channels, reduce_5x5, kernel_size=1), _convolution(reduce_5x5, width_5x5, kernel_size=5)
        )
        self.branch_pool = _convolution(in_channels, pool_projection, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        branches = [self.branch_1x1(x), self.branch_3x3(x), self.branch_5x5(x), self.branch_pool(pooled)]
        return torch.cat(branches, dim=1)


def _convolution(in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _halving() -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
