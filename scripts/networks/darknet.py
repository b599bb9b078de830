"""Darknet-53, the backbone of YOLOv3 (Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018, table 1)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from scripts.networks.layers import init_he, scale_width
from scripts.networks.recipe import remember_recipe

STEM_WIDTH = 32
RESIDUAL_COUNTS = (1, 2, 8, 8, 4)
LEAKY_SLOPE = 0.1
DARKNET_MOMENTUM = 0.01


def build_convolution(
    in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, norm_momentum: float = DARKNET_MOMENTUM
) -> nn.Sequential:
    """Darknet's convolutional layer: convolution without bias, batch norm, LeakyReLU of slope .1."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size=kernel_size, stride=stride, padding=kernel_size // 2, bias=False
    )
    norm = nn.BatchNorm2d(out_channels, eps=1e-5, momentum=norm_momentum)
    return nn.Sequential(conv, norm, nn.LeakyReLU(LEAKY_SLOPE, inplace=True))


def fuse_norms(network: nn.Module) -> nn.Module:
    """The network for inference: each layer of `build_convolution` with its batch norm inside the convolution.

    With running mean m and variance v the weights become ``w gamma / sqrt(v + eps)`` and the bias
    ``beta - m gamma / sqrt(v + eps)``. It changes the network and can't be undone.
    """
    for layer in network.eval().modules():
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            assert isinstance(layer[0], nn.Conv2d)
            layer[0] = fuse_conv_bn_eval(layer[0], layer[1])
            layer[1] = nn.Identity()
    return network


@remember_recipe
class Darknet53(nn.Module):
    """Features at strides 8, 16 and 32: a stem, then five times a stride-2 convolution and residual blocks (table 1).

    Global pooling and the ImageNet classifier of table 1 are left out. Layers are registered in the order of the
    table, which is also that of the authors' weight files.

    Batch norm is as published: the statistics of the minibatch in training, running ones at inference. The authors'
    code moves the running ones by 1% per minibatch (``norm_momentum=0.01``), so after 200 minibatches they are
    still 13% their start; trainings of under a thousand minibatches want 0.1.

    Args:
        width_multiplier: factor on every channel count of the table, rounded, at least 1 channel.
        norm_momentum: share of the new minibatch in the running statistics of the batch norms.

    Raises:
        ValueError: an image whose sides are not multiples of 32.

    Shapes: (B, in_channels, X, Y) -> [(B, 256, X/8, Y/8), (B, 512, X/16, Y/16), (B, 1024, X/32, Y/32)], the channels
    at width 1; ``out_channels`` holds them.
    """

    def __init__(
        self, in_channels: int, *, width_multiplier: float = 1.0, norm_momentum: float = DARKNET_MOMENTUM
    ) -> None:
        super().__init__()
        self.size_multiple = 32
        self.width_multiplier = width_multiplier
        channels = scale_width(STEM_WIDTH, width_multiplier)
        self.stem = build_convolution(in_channels, channels, kernel_size=3, norm_momentum=norm_momentum)
        self.stages = nn.ModuleList()
        widths = []
        for index, count in enumerate(RESIDUAL_COUNTS):
            width = scale_width(STEM_WIDTH * 2 ** (index + 1), width_multiplier)
            hidden = scale_width(STEM_WIDTH * 2**index, width_multiplier)
            halving = build_convolution(channels, width, kernel_size=3, stride=2, norm_momentum=norm_momentum)
            blocks = [ResidualBlock(width, hidden, norm_momentum=norm_momentum) for _ in range(count)]
            self.stages.append(nn.Sequential(halving, *blocks))
            widths.append(width)
            channels = width
        self.out_channels = widths[2:]
        self.apply(init_he)  # as in the authors' code
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        if x.shape[-2] % self.size_multiple or x.shape[-1] % self.size_multiple:
            raise ValueError(
                f"The image has {x.shape[-2]} x {x.shape[-1]} pixels: expected multiples of {self.size_multiple}. "
                "Letterbox the images to such a size."
            )
        x = self.stem(x)  # (B, 32, X, Y)
        features: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)  # (B, 64, X/2, Y/2) ... (B, 1024, X/32, Y/32)
            features.append(x)
        return features[2:]


class ResidualBlock(nn.Module):
    """``x + conv3x3(conv1x1(x))``, the 1x1 convolution to ``hidden`` channels (table 1).

    Shapes: (B, channels, X, Y) -> the same.
    """

    def __init__(self, channels: int, hidden: int, *, norm_momentum: float = DARKNET_MOMENTUM) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            build_convolution(channels, hidden, kernel_size=1, norm_momentum=norm_momentum),
            build_convolution(hidden, channels, kernel_size=3, norm_momentum=norm_momentum),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.convolutions(x)
