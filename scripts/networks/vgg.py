"""The convolutions of VGG-16.

Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015, table 1, column D.
"""

from __future__ import annotations

import torch
from torch import nn

CONVOLUTION_COUNTS = (2, 2, 3, 3, 3)
WIDTH_MULTIPLES = (1, 2, 4, 8, 8)


class VGG16Trunk(nn.Module):
    """Five stages of 3x3 convolutions with ReLU, each closed by a 2x2 max-pooling.

    The convolutions keep their bias also before a batch norm, so that the layers are torchvision's, in its order.

    Args:
        in_channels: number of image channels.
        width: channels of the first stage (64 as published); the next have 2, 4, 8 and 8 times as many.
        batch_norm: whether a batch norm follows each convolution (not published; it trains without pretraining).

    Shapes: (B, in_channels, X, Y) -> per stage (B, width * multiple, X / 2**(stage + 1), Y / 2**(stage + 1)).
    """

    def __init__(self, in_channels: int, *, width: int = 64, batch_norm: bool = True) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = in_channels
        for count, multiple in zip(CONVOLUTION_COUNTS, WIDTH_MULTIPLES, strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width * multiple, kernel_size=3, padding=1))
                channels = width * multiple
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU(inplace=True))
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(kernel_size=2)))
        self.out_channels = channels

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        outputs: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)  # (B, width * multiple, X / 2**(stage + 1), Y / 2**(stage + 1))
            outputs.append(x)
        return outputs
