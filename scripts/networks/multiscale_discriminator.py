"""Patch discriminators on an image pyramid.

Wang et al., pix2pixHD, 2018; Park et al., SPADE, 2019; Miyato & Koyama, cGANs with Projection Discriminator, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.recipe import remember_recipe
from scripts.networks.spectral_norm import spectral_norm

LEAKY_SLOPE = 0.2
XAVIER_GAIN = 0.02


class PatchDiscriminator(nn.Module):
    """Three 4x4 convolutions of stride 2 with LeakyReLU, and a last one for a logit per patch (SPADE, appendix A).

    The inner two carry spectral norm and instance norm without parameters, and no bias. With classes, each logit gains
    the inner product of the class embedding and the patch's last features (projection discriminator, equation 4).

    Args:
        in_channels: number of input channels: mask, image and segmenter maps together.
        width: channels of the first convolution (64 as published); the next have 2 and 4 times as many.
        class_count: number of global classes; 0 (as in Red-GAN) makes a discriminator that ignores ``class_index``.

    Raises:
        ValueError: where there are classes, but no ``class_index``.

    Shapes: x (B, in_channels, X, Y), class_index (B,) -> features (B, width, X/2 + 1, Y/2 + 1), (B, 2 width, X/4 + 1,
    Y/4 + 1), (B, 4 width, X/8 + 1, Y/8 + 1) and logits (B, 1, X/8 + 2, Y/8 + 2), for multiples of 8.
    """

    def __init__(self, in_channels: int, *, width: int = 64, class_count: int = 0) -> None:
        super().__init__()
        self.class_count = class_count
        first = nn.Conv2d(in_channels, width, kernel_size=4, stride=2, padding=2)
        self.layers = nn.ModuleList(
            [
                nn.Sequential(first, nn.LeakyReLU(LEAKY_SLOPE)),
                _inner_layer(width, 2 * width),
                _inner_layer(2 * width, 4 * width),
            ]
        )
        self.logit = nn.Conv2d(4 * width, 1, kernel_size=4, padding=2)
        for conv in (first, self.logit):
            nn.init.xavier_normal_(conv.weight, gain=XAVIER_GAIN)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        if class_count:
            self.embedding = nn.Embedding(class_count, 4 * width)
            nn.init.xavier_normal_(self.embedding.weight, gain=XAVIER_GAIN)

    def forward(self, x: torch.Tensor, class_index: torch.Tensor | None = None) -> list[torch.Tensor]:
        outputs = []
        for layer in self.layers:
            x = layer(x)  # (B, width * 2**i, X / 2**(i + 1) + 1, Y / 2**(i + 1) + 1)
            outputs.append(x)
        logits = self.logit(x)  # (B, 1, X', Y')
        if self.class_count:
            logits = logits + self._project(x, class_index, size=logits.shape[-2:])
        return [*outputs, logits]

    def _project(self, x: torch.Tensor, class_index: torch.Tensor | None, *, size: Sequence[int]) -> torch.Tensor:
        if class_index is None:
            raise ValueError(
                f"class_index is missing, but this discriminator was built for {self.class_count} classes: "
                "give one index per image, or build it with class_count=0."
            )
        embedded = self.embedding(class_index)[:, :, None, None].to(x.dtype)  # (B, 4 width, 1, 1)
        projection = (embedded * x).sum(dim=1, keepdim=True)  # (B, 1, X' - 1, Y' - 1)
        return F.interpolate(projection, size=tuple(size), mode="nearest")  # (B, 1, X', Y')


@remember_recipe
class MultiScaleDiscriminator(nn.Module):
    """One ``PatchDiscriminator`` per scale, the input average-pooled between scales (pix2pixHD, section 3.2).

    Two scales of width 64 and 12 input channels have 1.34 M parameters.

    Args:
        in_channels, width, class_count: see ``PatchDiscriminator``.
        scale_count: number of scales; each sees half the resolution of the one before.

    Shapes: x (B, in_channels, X, Y), class_index (B,) -> per scale, finest first, the list of ``PatchDiscriminator``.
    """

    def __init__(self, in_channels: int, *, width: int = 64, scale_count: int = 2, class_count: int = 0) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(in_channels, width=width, class_count=class_count) for _ in range(scale_count)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, class_index: torch.Tensor | None = None) -> list[list[torch.Tensor]]:
        outputs = []
        for index, discriminator in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, kernel_size=3, stride=2, padding=1, count_include_pad=False)  # (B, C, X/2, Y/2)
            outputs.append(discriminator(x, class_index))
        return outputs


def split_outputs(
    outputs: Sequence[Sequence[torch.Tensor]],
) -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    """Part the outputs for two batches that went through the discriminator as one: first half, second half."""
    first = [[output.chunk(2)[0] for output in scale] for scale in outputs]
    second = [[output.chunk(2)[1] for output in scale] for scale in outputs]
    return first, second


def _inner_layer(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=2, bias=False)
    return nn.Sequential(spectral_norm(conv), nn.InstanceNorm2d(out_channels), nn.LeakyReLU(LEAKY_SLOPE))
