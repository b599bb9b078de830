"""U-Net with an extra level, instance norm and deep supervision: the PGGAN ensemble's downstream segmenter.

Larsson, Akbar and Eklund, Does an ensemble of GANs lead to better performance when training segmentation networks with
synthetic images?, 2022, section 3.2; after Isensee et al., nnU-Net, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import DynUNet

from scripts.networks.recipe import remember_recipe

SUPERVISED_LEVELS = 5
LEAST_LEVELS = 3


class DeepUNet(DynUNet):
    """MONAI's `DynUNet`, with the same names of weights, whose bottleneck serves as features of an image."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Features for image-quality metrics: the bottleneck averaged over space, (B, filters[-1])."""
        x = self.input_block(x)
        for block in self.downsamples:
            x = block(x)
        return self.bottleneck(x).mean(dim=(2, 3))


@remember_recipe
def build_deep_unet(in_channels: int, out_channels: int, *, filters: Sequence[int], image_size: int) -> DeepUNet:
    """MONAI's `DynUNet` as the paper describes its U-Net (section 3.2): one level per entry of `filters`.

    Two 3x3 convolutions per level, instance norm, LeakyReLU of slope .01, transposed convolutions. The usual U-Net has
    five levels, so six are the paper's "extra depth layer". The five highest levels of the decoder are supervised, or
    as many as there are: MONAI allows one less than there are levels.

    Args:
        out_channels: number of logits per pixel, K + 1 with the background (softmax).
        filters: channels of each level, from the highest to the bottleneck.
        image_size: side of the square images, in pixels.

    Returns:
        A network from (B, in_channels, S, S) to logits: when training (B, heads, out_channels, S, S), the output first
        and then the lower levels upsampled to its size (for `StackedDeepSupervisionLoss`); in evaluation mode the
        output alone, (B, out_channels, S, S).

    Raises:
        ValueError: fewer than three levels, or an image size that they cannot halve down to 2 pixels or more.
    """
    levels = len(filters)
    if levels < LEAST_LEVELS:
        raise ValueError(f"filters is {list(filters)}, expected {LEAST_LEVELS} numbers or more: one per level.")
    multiple = 2 ** (levels - 1)
    if image_size % multiple or image_size < 2 * multiple:  # instance norm needs more than one pixel
        raise ValueError(
            f"image_size is {image_size}, expected a multiple of {multiple} from {2 * multiple} on for the {levels} "
            "levels of filters. Choose another size, or fewer filters."
        )
    return DeepUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(filters),
        norm_name=("instance", {"affine": True}),
        act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
        deep_supervision=True,
        deep_supr_num=min(SUPERVISED_LEVELS, levels - 1) - 1,
    )
