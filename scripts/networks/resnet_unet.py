"""U-Net with a ResNet-34 encoder: segmenter, and Red-GAN's third player.

Ronneberger et al., U-Net, 2015; He et al., Deep Residual Learning, 2015; decoder as in Yakubovskiy's
segmentation_models, which Red-GAN cites.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.layers import extend_image, init_he
from scripts.networks.recipe import remember_recipe

BLOCK_COUNTS = (3, 4, 6, 3)


@remember_recipe
class ResNetUNet(nn.Module):
    """Segment an image into per-class logits.

    Encoder: ResNet-34 (3, 4, 6, 3 basic blocks) from scratch. Decoder: five blocks, each nearest upsampling by 2,
    concatenation with the encoder's features of that size (the last block has none) and two 3x3
    convolutions with batch norm and ReLU. Red-GAN says "a convolutional layer with ReLU"; the authors' code has these
    two. The input is extended at its right and lower edge by repeating the last row and column to a multiple of 32, and
    the logits are cropped back, so every size works, also in TorchScript and ONNX.

    Args:
        encoder_widths: channels of the four encoder stages; the first is the stem's, too.
        decoder_widths: channels of the five decoder blocks.

    Raises:
        ValueError: where there aren't four encoder and five decoder widths.

    Shapes: (B, in_channels, X, Y) -> (B, out_channels, X, Y).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        encoder_widths: Sequence[int] = (64, 128, 256, 512),
        decoder_widths: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        if len(encoder_widths) != 4 or len(decoder_widths) != 5:
            raise ValueError(
                f"encoder_widths is {list(encoder_widths)} and decoder_widths {list(decoder_widths)}: "
                "expected 4 encoder widths and 5 decoder widths."
            )
        self.size_multiple = 2 ** len(decoder_widths)
        stem = encoder_widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, kernel_size=7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        previous = stem
        for index, (width, block_count) in enumerate(zip(encoder_widths, BLOCK_COUNTS, strict=True)):
            blocks = [BasicBlock(previous, width, stride=2 if index else 1)]
            blocks += [BasicBlock(width, width) for _ in range(block_count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            previous = width
        skip_widths = [*reversed(encoder_widths[:3]), stem, 0]
        self.decoder = nn.ModuleList()
        for width, skip_width in zip(decoder_widths, skip_widths, strict=True):
            self.decoder.append(_decoder_block(previous + skip_width, width))
            previous = width
        self.head = nn.Conv2d(previous, out_channels, kernel_size=1)
        self.apply(partial(init_he, mode="fan_out"))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[-2], x.shape[-1]
        features = self._encode_stages(x)  # (B, width, X' / 2, Y' / 2) .. (B, width, X' / 32, Y' / 32)
        x = features[4]
        for index, block in enumerate(self.decoder):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            if index < 4:
                x = torch.cat([x, features[3 - index]], dim=1)
            x = block(x)
        return self.head(x)[..., :rows, :columns]  # (B, out_channels, X, Y)

    @torch.jit.export
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features for image-quality metrics: the deepest stage averaged over space, (B, encoder_widths[-1])."""
        return self._encode_stages(x)[4].mean(dim=(2, 3))

    def _encode_stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = extend_image(x, self.size_multiple)  # (B, in_channels, X', Y')
        x = self.stem(x)  # (B, width, X' / 2, Y' / 2)
        features = [x]
        x = self.pool(x)  # (B, width, X' / 4, Y' / 4)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut (He et al., figure 2).

    Where size or channel count changes, the shortcut is a 1x1 convolution with batch norm (their option B).

    Shapes: (B, in_channels, X, Y) -> (B, out_channels, X / stride, Y / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm_0 = nn.BatchNorm2d(out_channels)
        self.conv_1 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = F.relu(self.norm_0(self.conv_0(x)))  # (B, out_channels, X / stride, Y / stride)
        residual = self.norm_1(self.conv_1(residual))
        return F.relu(residual + self.shortcut(x))


def _decoder_block(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
