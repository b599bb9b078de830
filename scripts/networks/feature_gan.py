"""Generators and discriminators of features: the AC-GAN, convolutional or a perceptron.

Mehra, Soliman and Sahoo, Data augmentation using feature generation for volumetric medical images, section 3.2; Odena,
Olah and Shlens, Conditional image synthesis with auxiliary classifier GANs, ICML 2017, appendix A; Xian et al., Feature
generating networks for zero-shot learning, CVPR 2018, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.recipe import remember_recipe

LEAKY_SLOPE = 0.2
INIT_STD = 0.02
HALVINGS = 3  # as published; 5 in Odena et al., for images
ARCHITECTURES = ("convolutional", "mlp")


class _Generator(nn.Module):
    """What both generators share: their input, and the least value of their output.

    Features are standardised, hence unbounded: the output is linear, where image generators have a tanh. After a ReLU
    no real feature is below 0, so none of these is below `floor`, a buffer (C,), -inf where there is none.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        class_count: int,
        layers: nn.Sequential,
        floor: Sequence[float] | torch.Tensor | None,
    ) -> None:
        super().__init__()
        channels = feature_shape[0]
        least = torch.as_tensor([-math.inf] * channels if floor is None else floor, dtype=torch.float32).flatten()
        if len(least) != channels:
            raise ValueError(
                f"floor has {len(least)} values, expected {channels}: the standardised value of a raw 0 for each "
                "channel of feature_shape, -mean / std. Take both from the same features."
            )
        self.class_count = class_count
        self.layers = layers
        self.register_buffer("floor", least)
        self.apply(_init_normal)

    def forward(self, latent: torch.Tensor, class_index: torch.Tensor) -> torch.Tensor:
        one_hot = F.one_hot(class_index, self.class_count).to(latent.dtype)
        features = self.layers(torch.cat([latent, one_hot], dim=1)).float()  # (B, C, H, W)
        return torch.maximum(features, self.floor[:, None, None])  # type: ignore[index]


class FeatureGenerator(_Generator):
    """Features of a class from noise, by transposed convolutions (Odena et al., appendix A; Mehra et al., 3.2).

    Three hidden layers of ``width`` feature maps: a linear one on noise and one-hot class, and two transposed 3x3
    convolutions of stride 2 with batch norm; a third such convolution makes the features. All hidden ones end in a
    LeakyReLU. Their sizes are those of `FeatureDiscriminator`, backwards: 2, 4, 8 and 15 for the published 15x15.

    Arguments, shapes and errors: see `build_feature_generator`. Batches of one have no batch statistics where a hidden
    layer is 1x1: train with larger ones.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        class_count: int,
        *,
        latent_dim: int = 100,
        width: int = 512,
        halvings: int = HALVINGS,
        floor: Sequence[float] | torch.Tensor | None = None,
    ) -> None:
        channels, *size = _check_shape(feature_shape)
        sizes = _halve_sizes(size, halvings)[::-1]  # from the smallest to (H, W)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim + class_count, width * math.prod(sizes[0])),
            nn.Unflatten(1, (width, *sizes[0])),  # (B, width, H / 8, W / 8), rounded up
            nn.LeakyReLU(LEAKY_SLOPE),
        ]
        for small, large in pairwise(sizes[:halvings]):
            layers += [
                _transposed(width, width, small, large, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(LEAKY_SLOPE),
            ]
        layers.append(_transposed(width, channels, sizes[-2], sizes[-1]))
        super().__init__(feature_shape, class_count, nn.Sequential(*layers), floor)


class _Discriminator(nn.Module):
    """What both discriminators share: hidden layers to `length` values, and a linear head each for source and class."""

    def __init__(self, layers: nn.Sequential, length: int, class_count: int) -> None:
        super().__init__()
        self.layers = layers
        self.source = nn.Linear(length, 1)
        self.classes = nn.Linear(length, class_count)
        self.apply(_init_normal)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.layers(x)  # (B, length)
        return self.source(x).squeeze(1), self.classes(x)  # (B,), (B, K)


class FeatureDiscriminator(_Discriminator):
    """Source and class of features, by convolutions (Odena et al., appendix A; Mehra et al., section 3.2).

    Three hidden layers of ``width`` feature maps, each a 3x3 convolution of stride 2 (which halves a size, rounding up:
    15, 8, 4, 2), batch norm in all but the first, LeakyReLU and dropout. Both heads are linear. Arguments, shapes and
    errors: see `build_feature_discriminator`.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        class_count: int,
        *,
        width: int = 512,
        halvings: int = HALVINGS,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ) -> None:
        channels, *size = _check_shape(feature_shape)
        sizes = _halve_sizes(size, halvings)
        layers: list[nn.Module] = []
        for index in range(halvings):
            normalised = batch_norm and index > 0
            kernel, stride = _kernel(sizes[index])
            layers.append(nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=not normalised))
            if normalised:
                layers.append(nn.BatchNorm2d(width))
            layers += [nn.LeakyReLU(LEAKY_SLOPE), nn.Dropout(dropout)]
            channels = width
        super().__init__(nn.Sequential(*layers, nn.Flatten()), width * math.prod(sizes[-1]), class_count)


class MLPFeatureGenerator(_Generator):
    """Features of a class from noise, by one hidden layer (Xian et al., section 4): 4096 units with LeakyReLU.

    Meant for pooled features (C, 1, 1); larger ones are flattened, which takes as many weights per value as the hidden
    layer has units. Published is a ReLU at the end; with ``floor`` it is the same in standardised features.

    Deviation: the class is one-hot, where Xian et al. have attributes of classes never seen, and the noise is as long
    as in `FeatureGenerator`. Arguments, shapes and errors: see `build_feature_generator`.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        class_count: int,
        *,
        latent_dim: int = 100,
        width: int = 4096,
        floor: Sequence[float] | torch.Tensor | None = None,
    ) -> None:
        shape = _check_shape(feature_shape)
        layers = nn.Sequential(
            nn.Linear(latent_dim + class_count, width),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(width, math.prod(shape)),
            nn.Unflatten(1, shape),
        )
        super().__init__(feature_shape, class_count, layers, floor)


class MLPFeatureDiscriminator(_Discriminator):
    """Source and class of flattened features, by one hidden layer without norm (Xian et al., section 4).

    Deviation: Xian et al. give the class to the discriminator, and keep a classifier apart, trained before. Here the
    class is a second head, so that this one and `FeatureDiscriminator` serve the same training step. Arguments, shapes
    and errors: see `build_feature_discriminator`.
    """

    def __init__(
        self, feature_shape: Sequence[int], class_count: int, *, width: int = 4096, dropout: float = 0.0
    ) -> None:
        hidden = nn.Linear(math.prod(_check_shape(feature_shape)), width)
        layers = nn.Sequential(nn.Flatten(), hidden, nn.LeakyReLU(LEAKY_SLOPE), nn.Dropout(dropout))
        super().__init__(layers, width, class_count)


@remember_recipe
def build_feature_generator(
    architecture: str,
    feature_shape: Sequence[int],
    class_count: int,
    *,
    latent_dim: int = 100,
    width: int = 512,
    halvings: int = HALVINGS,
    floor: Sequence[float] | torch.Tensor | None = None,
) -> FeatureGenerator | MLPFeatureGenerator:
    """The generator of an architecture, for configs.

    Args:
        architecture: "convolutional" as Mehra et al. have it, or "mlp" as Xian et al.
        feature_shape: (C, H, W) of the standardised features, any size from 1x1 on.
        class_count: K.
        latent_dim: length of the noise; 100 in Odena's code, the paper names none.
        width: feature maps of each hidden layer (64, 256 and 512 in the paper), or its units (4096 in Xian et al.).
        halvings: hidden layers of the convolutional one, 3 as published, 5 for images as in Odena et al.
        floor: per channel the standardised value of a raw 0, -mean / std, below which features that come out of a ReLU
            never are; outputs are clamped there. None for features of any sign. It is a buffer: loading weights
            brings the floor they were trained with.

    Raises:
        ValueError: another architecture, no (C, H, W), no hidden layer, or a floor for another number of channels.

    Shapes: latent (B, latent_dim), class_index (B,) in 0 .. K - 1 -> (B, C, H, W) in fp32.
    """
    _check_architecture(architecture)
    sizes = {"latent_dim": latent_dim, "width": width}
    if architecture == "mlp":
        return MLPFeatureGenerator(feature_shape, class_count, **sizes, floor=floor)
    return FeatureGenerator(feature_shape, class_count, **sizes, halvings=halvings, floor=floor)


@remember_recipe
def build_feature_discriminator(
    architecture: str,
    feature_shape: Sequence[int],
    class_count: int,
    *,
    width: int = 512,
    halvings: int = HALVINGS,
    batch_norm: bool = True,
    dropout: float = 0.5,
) -> FeatureDiscriminator | MLPFeatureDiscriminator:
    """The discriminator that belongs to `build_feature_generator`'s, for configs.

    Args:
        architecture, feature_shape, class_count, width, halvings: as the generator's.
        batch_norm: of the convolutional one; False for WGAN-GP, whose penalty is about each sample's gradient alone.
        dropout: share of values set to 0 after a hidden layer; .5 in Odena's table 1, none in Xian et al.

    Raises:
        ValueError: another architecture, no (C, H, W), or no hidden layer.

    Shapes: (B, C, H, W) -> source logits (B,), real above 0, and class logits (B, K).
    """
    _check_architecture(architecture)
    if architecture == "mlp":
        return MLPFeatureDiscriminator(feature_shape, class_count, width=width, dropout=dropout)
    return FeatureDiscriminator(
        feature_shape, class_count, width=width, halvings=halvings, batch_norm=batch_norm, dropout=dropout
    )


def _check_architecture(architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture is {architecture!r}, expected one of {list(ARCHITECTURES)}. Choose one.")


def _check_shape(feature_shape: Sequence[int]) -> tuple[int, int, int]:
    if len(feature_shape) != 3 or min(feature_shape) < 1:
        raise ValueError(
            f"feature_shape is {list(feature_shape)}, expected channels, height and width, each at least 1. "
            "Take it from the manifest of the extracted features."
        )
    channels, height, width = feature_shape
    return channels, height, width


def _halve_sizes(size: Sequence[int], halvings: int) -> list[tuple[int, ...]]:
    """A size and what each of so many convolutions of stride 2 leaves of it: halves, rounded up."""
    if halvings < 1:
        raise ValueError(f"halvings is {halvings}, expected 1 or more hidden layers: 3 for features, 5 for images.")
    sizes = [tuple(size)]
    for _ in range(halvings):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def _transposed(
    in_channels: int, out_channels: int, small: tuple[int, ...], large: tuple[int, ...], *, bias: bool = True
) -> nn.ConvTranspose2d:
    """The transposed convolution of stride 2 from one size to exactly the other, twice as large or one less."""
    rows, columns = (after - (2 * before - 1) for before, after in zip(small, large, strict=True))
    kernel, stride = _kernel(large)
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel, stride, padding=kernel // 2, output_padding=(rows, columns), bias=bias
    )


def _kernel(size: Sequence[int]) -> tuple[int, int]:
    """Kernel and stride between a size and its half: 3 and 2; 1 and 1 where both are one pixel: the same function.

    There the outer taps see nothing but padding, and PyTorch's bf16 kernels of stride 2 for CPUs (2.13) leave what
    memory held in their gradients: weights become NaN.
    """
    return (1, 1) if max(size) == 1 else (3, 2)


def _init_normal(module: nn.Module) -> None:
    """Weights N(0, .02), biases 0 (Odena et al., appendix A; Xian et al.'s code); batch norm keeps its 1 and 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, INIT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
