"""The U-Net whose features are generated and graded.

Mehra, Soliman and Sahoo, Data augmentation using feature generation for volumetric medical images, section 3.1 and
figure 1; Dong et al., Automatic brain tumor detection and segmentation using U-Net based fully convolutional networks,
2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import BasicUNet

from scripts.networks.recipe import remember_recipe

# Where features can be taken, in the order of computation -> how often the image is halved there. The shapes are those
# of the published widths at 240 x 240 pixels.
LEVELS = {
    "image": 0,  # what the network sees, in [-1, 1]: for the baseline that generates images
    "encoder_1": 0,  # 64x240x240
    "encoder_2": 1,  # 128x120x120
    "encoder_3": 2,  # 256x60x60
    "encoder_4": 3,  # 512x30x30
    "bottleneck": 4,  # 1024x15x15, the paper's
    "decoder_1": 3,  # 512x30x30
    "decoder_2": 2,  # 256x60x60
    "decoder_3": 1,  # 128x120x120, which the paper expects to be better, but had no memory for
    "decoder_4": 0,  # 64x240x240
}
IMAGE = "image"
LEVEL_COUNT = 5


@remember_recipe
class FeatureUNet(BasicUNet):
    """MONAI's `BasicUNet` in 2D with ReLU and transposed convolutions, whose inner features can be read.

    Each level has two 3x3 convolutions with norm and ReLU, so features are never below 0. Max-pooling halves an odd
    size downwards, and the decoder's features have the encoder's sizes.

    The paper names no norm. `BasicUNet`'s instance norm makes a slice's features independent of the others in the
    batch, also at the published batch size of 10 and in fine-tuning.

    Args:
        in_channels: number of image channels (4 in BraTS, 1 in REMBRANDT).
        out_channels: number of logits per pixel; 1 as published, the whole lesion.
        features: channels of the five levels, from the highest to the bottleneck.
        norm: as `monai.networks.blocks.ADN` takes it: a name, or a name and its arguments.

    Raises:
        ValueError: not five numbers of features.

    Shapes: (B, in_channels, X, Y), sides of at least 32 -> logits (B, out_channels, X, Y).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        norm: str | Sequence[Any] = ("instance", {"affine": True}),
    ) -> None:
        if len(features) != LEVEL_COUNT:
            raise ValueError(
                f"features is {list(features)}, expected {LEVEL_COUNT} numbers of channels: four levels and the "
                "bottleneck."
            )
        super().__init__(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            features=[*features, features[0]],
            act=("relu", {"inplace": True}),
            norm=norm if isinstance(norm, str) else tuple(norm),
            upsample="deconv",
        )
        self.in_channels = in_channels
        self.features = list(features)

    def extract(self, x: torch.Tensor, level: str) -> torch.Tensor:
        """Features of images at one of `LEVELS`, computed only as far as that level needs.

        Shapes: (B, in_channels, X, Y) -> (B, C, X', Y'), all >= 0 but at "image"; see `feature_shape`.

        Raises:
            ValueError: another level.
        """
        _check_level(level)
        if level == IMAGE:
            return x
        encoder = (self.conv_0, self.down_1, self.down_2, self.down_3, self.down_4)
        decoder = (self.upcat_4, self.upcat_3, self.upcat_2, self.upcat_1)
        names = iter([name for name in LEVELS if name != IMAGE])
        skips: list[torch.Tensor] = []
        for halve in encoder:
            x = halve(x)  # (B, features[d], X / 2**d, Y / 2**d)
            if next(names) == level:
                return x
            skips.append(x)
        skips.pop()
        for double in decoder:
            x = double(x, skips.pop())
            if next(names) == level:
                break
        return x

    def feature_shape(self, level: str, image_size: int) -> tuple[int, int, int]:
        """Shape (C, S', S') of the features of one image of S x S pixels, S at least 32, at one of `LEVELS`.

        Raises:
            ValueError: another level, or an image whose bottleneck would be a single pixel.
        """
        depth = _check_level(level)
        if image_size < 2**LEVEL_COUNT:
            raise ValueError(
                f"image_size is {image_size}, expected at least {2**LEVEL_COUNT} pixels: the network halves images "
                f"{LEVEL_COUNT - 1} times. Choose a larger size, best a multiple of 16."
            )
        channels = self.in_channels if level == IMAGE else self.features[depth]
        return channels, image_size >> depth, image_size >> depth


def level_minimum(level: str) -> float:
    """The least value that features of a level can have: 0, as every one ends in a ReLU, and -1 of images."""
    return -1.0 if level == IMAGE else 0.0


def _check_level(level: str) -> int:
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}, expected one of {', '.join(LEVELS)}. Choose one of these.")
    return LEVELS[level]
