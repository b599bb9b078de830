"""Generator and patch discriminator of pix2pix, which LcGAN uses unchanged.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, 2017, appendix 6.1; Karki et al., LcGAN,
2020, figures 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.recipe import remember_recipe

LEAKY_SLOPE = 0.2
INIT_STD = 0.02
MAX_DEPTH = 8
MIN_IMAGE_SIZE = 24  # the least at which the discriminator has a logit
WIDTH_MULTIPLES = (1, 2, 4, 8, 8, 8, 8, 8)
DROPOUT_COUNT = 3


@remember_recipe
class Pix2PixGenerator(nn.Module):
    """U-Net from a mask to an image, whose only noise is dropout (pix2pix, appendix 6.1.1; LcGAN, figure 1).

    Each level halves the size by a 4x4 convolution on the way down and doubles it by a transposed one on the way up.
    There are as many levels as ``image_size`` divides by 2, at most 8 (as published, at 256). Dropout follows the first
    three decoder blocks (never the last). An innermost map of 1x1 has no norm, since that would erase it (their
    erratum).

    Deviation: the norm is instance norm in training and at synthesis. Batch norm with the statistics of the batch, as
    published, is exactly that at the published batch size of 1. At larger ones, an image here doesn't depend on those
    it shares its batch with.

    Args:
        image_channels: number of image channels C.
        image_size: pixels along each side; even, at least 24.
        width: channels of the outermost level; deeper ones have 2, 4 and then 8 times as many.
        dropout: share of features set to 0 in each of the dropout layers, in [0, 1).

    Raises:
        ValueError: ``image_size`` odd or under 24, a mask of another size, or noise for another number of layers.

    Shapes: (B, M, image_size, image_size) -> (B, C, image_size, image_size) in [-1, 1], in fp32 also under autocast.
    """

    def __init__(
        self,
        mask_channels: int,
        image_channels: int,
        *,
        image_size: int = 256,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.dropout = dropout
        depth = _count_levels(image_size)
        widths = [width * multiple for multiple in WIDTH_MULTIPLES[:depth]]
        self.encoder = nn.ModuleList([nn.Conv2d(mask_channels, width, kernel_size=4, stride=2, padding=1)])
        for level in range(1, depth):
            is_point = image_size == 2 ** (level + 1)
            self.encoder.append(_down_block(widths[level - 1], widths[level], normalised=not is_point))
        self.decoder = nn.ModuleList()
        for level in reversed(range(1, depth)):
            in_channels = widths[level] if level == depth - 1 else 2 * widths[level]
            self.decoder.append(_up_block(in_channels, widths[level - 1]))
        in_channels = width if depth == 1 else 2 * width
        last = nn.ConvTranspose2d(in_channels, image_channels, kernel_size=4, stride=2, padding=1)
        self.decoder.append(nn.Sequential(nn.ReLU(), last))
        self.dropout_shapes = [
            (widths[level - 1], image_size // 2**level, image_size // 2**level)
            for level in reversed(range(max(1, depth - DROPOUT_COUNT), depth))
        ]
        self.apply(_init_normal)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mask: torch.Tensor, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        """The image of a mask.

        Args:
            mask: (B, M, X, Y).
            noise: what ``draw_noise`` returns for B seeds; without it, dropout draws anew in training mode and is off
                in evaluation mode.
        """
        self._check(mask, noise)
        x = mask
        features: list[torch.Tensor] = []
        for block in self.encoder:
            x = block(x)  # (B, width * multiple, X / 2**(level + 1), Y / 2**(level + 1))
            features.append(x)
        for index, block in enumerate(self.decoder):
            if index:
                x = torch.cat([x, features[len(features) - 1 - index]], dim=1)
            x = block(x)  # (B, width * multiple, X / 2**level, Y / 2**level)
            if index < len(self.dropout_shapes):
                if noise is None:
                    x = F.dropout(x, p=self.dropout, training=self.training)
                else:
                    x = x * noise[index].to(x.dtype)
        return torch.tanh(x.float())  # (B, C, X, Y)

    def draw_noise(self, seeds: Sequence[int] | torch.Tensor) -> list[torch.Tensor]:
        """Dropout masks that follow each image's seed alone, not its batch or device.

        Returns:
            Per dropout layer a tensor (B, channels, x, y) of 0 and 1 / (1 - dropout), on the parameters' device.
        """
        draws: list[list[torch.Tensor]] = []
        for seed in torch.as_tensor(seeds).tolist():
            generator = torch.Generator().manual_seed(seed)
            uniform = [torch.rand(shape, generator=generator) for shape in self.dropout_shapes]
            draws.append([(u >= self.dropout).float() / (1 - self.dropout) for u in uniform])
        device = next(self.parameters()).device
        return [torch.stack(layer).to(device) for layer in zip(*draws, strict=True)]

    def _check(self, mask: torch.Tensor, noise: list[torch.Tensor] | None) -> None:
        size = self.image_size
        if mask.shape[-2] != size or mask.shape[-1] != size:
            raise ValueError(
                f"The mask has {mask.shape[-2]} x {mask.shape[-1]} pixels, but this generator was built for "
                f"{size} x {size}: resize the mask, or build it with another image_size."
            )
        if noise is not None and len(noise) != len(self.dropout_shapes):
            raise ValueError(
                f"noise has {len(noise)} tensors, but this generator has {len(self.dropout_shapes)} dropout layers: "
                "pass what its own draw_noise returns."
            )


@remember_recipe
class Pix2PixDiscriminator(nn.Module):
    """One logit for each overlapping patch of 70x70 pixels (pix2pix, appendix 6.1.2; LcGAN, figure 2).

    C64-C128-C256 of stride 2, C512 of stride 1 and a last convolution to one channel, all 4x4, with LeakyReLU. All but
    the first and last carry instance norm, for the reason that ``Pix2PixGenerator`` gives. The logits have no sigmoid.

    Args:
        in_channels: number of channels of mask and image together.
        width: channels of the first convolution.

    Shapes: (B, in_channels, X, Y), at least 24 x 24 -> (B, 1, X/8 - 2, Y/8 - 2), so 30 x 30 at 256.
    """

    def __init__(self, in_channels: int, *, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=4, stride=2, padding=1),
            _down_block(width, 2 * width, normalised=True),
            _down_block(2 * width, 4 * width, normalised=True),
            _down_block(4 * width, 8 * width, normalised=True, stride=1),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(8 * width, 1, kernel_size=4, padding=1),
        )
        self.apply(_init_normal)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)  # (B, 1, X/8 - 2, Y/8 - 2)


def _count_levels(image_size: int) -> int:
    if image_size < MIN_IMAGE_SIZE or image_size % 2:
        raise ValueError(
            f"image_size is {image_size}: expected an even number of pixels, at least {MIN_IMAGE_SIZE}. "
            "Choose a multiple of a high power of 2, such as 256; the images are resized to it."
        )
    depth = 0
    while depth < MAX_DEPTH and image_size % 2 == 0:
        image_size //= 2
        depth += 1
    return depth


def _down_block(in_channels: int, out_channels: int, *, normalised: bool, stride: int = 2) -> nn.Sequential:
    """LeakyReLU, convolution and, where asked for, norm; the activation of its output is left to what follows."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=stride, padding=1, bias=not normalised)
    layers: list[nn.Module] = [nn.LeakyReLU(LEAKY_SLOPE), conv]
    if normalised:
        layers.append(nn.InstanceNorm2d(out_channels, affine=True))
    return nn.Sequential(*layers)


def _up_block(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.InstanceNorm2d(out_channels, affine=True))


def _init_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, INIT_STD)
    elif isinstance(module, nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, INIT_STD)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
