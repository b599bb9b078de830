"""Generator and discriminator that grow from 4x4 pixels to the full image, one doubling at a time.

Karras et al., Progressive Growing of GANs for Improved Quality, Stability, and Variation, ICLR 2018: sections 2 to 4,
table 2. Each doubling is a level: level 0 has 4x4 pixels, level l has 4 * 2^l. The weights of all levels are there from
the start, so that checkpoints and optimisers keep one shape; growing only chooses how many levels run. Those that don't
run get no gradient, so ``DistributedDataParallel`` needs ``find_unused_parameters=True``.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.equalized import HE_GAIN, EqualizedConv2d
from scripts.networks.recipe import remember_recipe

LEAKY_SLOPE = 0.2
EPSILON = 1e-8  # under the root of pixel norm and of the minibatch standard deviation
START_SIZE = 4
PYRAMID_SIDES = (4, 2, 1)  # areas along each side, from fine to coarse
MAX_SIZE = 1024


@remember_recipe
class PGGANGenerator(nn.Module):
    """Latent vectors to images, at any resolution from 4x4 to the full one (table 2).

    A 4x4 and a 3x3 convolution make level 0, a nearest upsampling and two 3x3 convolutions each further one; all are
    followed by LeakyReLU and pixel norm. A linear 1x1 convolution per level turns features into an image. At 2^r pixels
    there are ``min(feature_base / 2^(r-1), feature_max)`` feature channels. As published, with 3 channels and 1024
    pixels, it has 23.1 M parameters. The image isn't bounded: its range is learned.

    Args:
        image_channels: number of image channels C, any label channels among them.
        image_size: side of the full image in pixels; a power of two from 4 to 1024.
        latent_dim: length of a latent vector; its scale doesn't matter, since it is normalised first.
        feature_base: sets the number of feature channels, see above.
        feature_max: most feature channels of any level.
        condition_channels: number K of channels of a condition image, which joins the features at the start of each
            level (on level 0 after the 4x4 convolution), max-pooled to its size: even one pixel stays visible at 4x4.
            CPGGAN's boxes are one; 0 for none.

    Raises:
        ValueError: ``image_size`` or ``resolution`` no such power of two, ``alpha`` outside [0, 1], a condition with
            other channels than ``condition_channels``, or a ``feature_base`` too small for the image.

    Shapes: (B, latent_dim) -> (B, C, resolution, resolution), in fp32 also under autocast.
    """

    def __init__(
        self,
        image_channels: int,
        *,
        image_size: int = 256,
        latent_dim: int = 512,
        feature_base: int = 8192,
        feature_max: int = 512,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        counts = _feature_counts(image_size, feature_base, feature_max)[1:]
        self.image_size = image_size
        self.condition_channels = condition_channels
        self.start = _LatentConv(latent_dim, counts[0])
        self.blocks = nn.ModuleList([_GeneratorBlock([counts[0], counts[0]], condition_channels)])
        for before, after in pairwise(counts):
            self.blocks.append(_GeneratorBlock([before, after, after], condition_channels))
        self.to_image = nn.ModuleList([EqualizedConv2d(n, image_channels, kernel_size=1, gain=1.0) for n in counts])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, z: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The images of latent vectors.

        Args:
            z: (B, latent_dim), from N(0, 1).
            resolution: side of the images in pixels, a power of two from 4 to ``image_size``.
            alpha: weight of the newest level in [0, 1]; the rest is the upsampled image of the one before (figure 2).
                At 0 and 1 only what counts is computed. Level 0 has none before it and ignores alpha.
            condition: (B, K, S, S), where the generator was built for one.
        """
        level = _find_level(resolution, self.image_size, alpha)
        _check_condition(condition, self.condition_channels)
        x = self.start(pixel_norm(z))  # (B, F, 4, 4)
        for index in range(level):
            x = self._grow(index, x, condition)  # (B, F, resolution / 2, resolution / 2) in the end
        if level == 0 or alpha == 1:
            return self._show(level, self._grow(level, x, condition))  # (B, C, resolution, resolution)
        image = _upsample(self._show(level - 1, x))  # (B, C, resolution, resolution)
        if alpha == 0:
            return image
        return torch.lerp(image, self._show(level, self._grow(level, x, condition)), alpha)

    def _grow(self, level: int, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        return self.blocks[level](_upsample(x) if level else x, condition)  # (B, F, X, X)

    def _show(self, level: int, x: torch.Tensor) -> torch.Tensor:
        return self.to_image[level](x).float()  # (B, C, X, X)


@remember_recipe
class PGGANDiscriminator(nn.Module):
    """Images of any resolution from 4x4 to the full one to a score each, unbounded (table 2).

    The generator's mirror, without norm: a 1x1 convolution per level turns an image into features, each level is two
    3x3 convolutions and an average pooling, and level 0 is the minibatch standard deviation, a 3x3, a 4x4 and a dense
    layer. All but the last are followed by LeakyReLU. As published, it has 23.1 M parameters.

    Real and generated images need a pass each: in one, the minibatch standard deviation would mix them.

    Deviation from the published code: it pools before the second convolution's LeakyReLU, table 2 after it, as here.

    Args:
        image_channels, image_size, feature_base, feature_max, condition_channels: as the generator's.
        group_size: number of images over which the standard deviation is taken; 4 in the published code.
        spatial_pyramid: whether the largest value of each of 4x4, 2x2 and 1x1 areas of the last features, rather than
            these alone, goes to the dense layer (He et al., Spatial pyramid pooling, 2015; CPGGAN, section 2.1).

    Raises:
        ValueError: as the generator's, or images that aren't of ``resolution``.

    Shapes: (B, C, resolution, resolution) -> (B, 1), in fp32 also under autocast.
    """

    def __init__(
        self,
        image_channels: int,
        *,
        image_size: int = 256,
        feature_base: int = 8192,
        feature_max: int = 512,
        group_size: int = 4,
        condition_channels: int = 0,
        spatial_pyramid: bool = False,
    ) -> None:
        super().__init__()
        last_count, *counts = _feature_counts(image_size, feature_base, feature_max)
        self.image_size = image_size
        self.group_size = group_size
        self.condition_channels = condition_channels
        self.from_image = nn.ModuleList([EqualizedConv2d(image_channels, n, kernel_size=1) for n in counts])
        self.blocks = nn.ModuleList(
            _DiscriminatorBlock(after, before, condition_channels) for before, after in pairwise(counts)
        )
        self.conv = EqualizedConv2d(counts[0] + condition_channels + 1, counts[0], kernel_size=3)
        self.spatial_pyramid = spatial_pyramid
        if spatial_pyramid:
            areas = sum(side**2 for side in PYRAMID_SIDES)
            self.dense = EqualizedConv2d(areas * counts[0], last_count, kernel_size=1)
        else:
            self.dense = EqualizedConv2d(counts[0], last_count, kernel_size=START_SIZE, padding=0)
        self.score = EqualizedConv2d(last_count, 1, kernel_size=1, gain=1.0)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, images: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The scores of images.

        Args:
            images: (B, C, resolution, resolution).
            resolution: as the generator's.
            alpha: weight of the newest level's features in [0, 1]; the rest are those of the average-pooled image.
            condition: (B, K, S, S), where the discriminator was built for one.
        """
        level = _find_level(resolution, self.image_size, alpha)
        _check_condition(condition, self.condition_channels)
        if images.shape[-2] != resolution or images.shape[-1] != resolution:
            raise ValueError(
                f"The images have {images.shape[-2]} x {images.shape[-1]} pixels, but resolution is {resolution}: "
                "pass them through shrink_images, or name their resolution."
            )
        x = self._read(level, images)  # (B, F, resolution, resolution)
        for index in reversed(range(level)):
            is_newest = index == level - 1
            if is_newest and alpha < 1:
                before = self._read(index, F.avg_pool2d(images, 2))  # (B, F', resolution / 2, resolution / 2)
                x = before if alpha == 0 else torch.lerp(before, self.blocks[index](x, condition), alpha)
            else:
                x = self.blocks[index](x, condition)  # (B, F', X / 2, X / 2)
        deviation = minibatch_stddev(x, self.group_size)  # (B, 1, 4, 4)
        x = torch.cat([_join_condition(x, condition), deviation], dim=1)  # (B, F + K + 1, 4, 4)
        x = F.leaky_relu(self.conv(x), LEAKY_SLOPE)  # (B, F, 4, 4)
        if self.spatial_pyramid:
            x = pool_pyramid(x)  # (B, 21 F, 1, 1)
        x = F.leaky_relu(self.dense(x), LEAKY_SLOPE)  # (B, F, 1, 1)
        with torch.autocast(x.device.type, enabled=False):  # rounded scores would cancel in their differences
            return self.score(x.float()).flatten(1)  # (B, 1)

    def _read(self, level: int, images: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self.from_image[level](images), LEAKY_SLOPE)  # (B, F, X, X)


class _LatentConv(nn.Module):
    """Table 2's 4x4 convolution of a latent vector: each pixel has its own matrix, a channel's pixels one bias.

    Seen as a convolution of a 1x1 map padded with zeros, fan_in is ``16 * latent_dim``, as in the published code.
    """

    def __init__(self, latent_dim: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels * START_SIZE**2, latent_dim))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = HE_GAIN / math.sqrt(latent_dim * START_SIZE**2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = F.linear(z, self.weight * self.scale)  # (B, F * 16)
        x = x.unflatten(1, (-1, START_SIZE, START_SIZE)) + self.bias[:, None, None].to(x.dtype)  # (B, F, 4, 4)
        return pixel_norm(F.leaky_relu(x, LEAKY_SLOPE).contiguous(memory_format=torch.channels_last))


class _GeneratorBlock(nn.Module):
    """3x3 convolutions between the given counts of channels, the first of which the condition joins."""

    def __init__(self, counts: list[int], condition_channels: int) -> None:
        super().__init__()
        inputs = [counts[0] + condition_channels, *counts[1:-1]]
        self.convs = nn.ModuleList(EqualizedConv2d(i, o, 3) for i, o in zip(inputs, counts[1:], strict=True))

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        x = _join_condition(x, condition)  # (B, F + K, X, X)
        for conv in self.convs:
            x = pixel_norm(F.leaky_relu(conv(x), LEAKY_SLOPE))  # (B, F', X, X)
        return x


class _DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions and an average pooling: (B, in_channels, X, X) -> (B, out_channels, X / 2, X / 2)."""

    def __init__(self, in_channels: int, out_channels: int, condition_channels: int) -> None:
        super().__init__()
        self.conv_0 = EqualizedConv2d(in_channels + condition_channels, in_channels, kernel_size=3)
        self.conv_1 = EqualizedConv2d(in_channels, out_channels, kernel_size=3)

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        x = F.leaky_relu(self.conv_0(_join_condition(x, condition)), LEAKY_SLOPE)  # (B, in_channels, X, X)
        x = F.leaky_relu(self.conv_1(x), LEAKY_SLOPE)  # (B, out_channels, X, X)
        return F.avg_pool2d(x, 2)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    """``x / sqrt(mean(x^2) + 1e-8)``, the mean over the channels of each pixel (section 4.2); computed in fp32.

    Shapes: (B, C, ...) -> the same, in the same precision.
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.rms_norm(x.movedim(1, -1), (x.shape[1],), eps=EPSILON).movedim(-1, 1)


def minibatch_stddev(x: torch.Tensor, group_size: int) -> torch.Tensor:
    """How much the images of a group differ: one value per group, on every pixel of its images (section 3).

    The standard deviation over the group, ``sqrt(variance + 1e-8)``, averaged over channels and pixels. As in the
    published code, image n of B belongs to group n modulo the number of groups. Where B isn't divisible by the group
    size, the largest divisor of B below it takes its place. Computed in fp32.

    Shapes: (B, C, X, Y) -> (B, 1, X, Y), in the same precision.
    """
    batch_size = len(x)
    size = max(n for n in range(1, min(group_size, batch_size) + 1) if batch_size % n == 0)
    groups = x.float().unflatten(0, (size, -1))  # (size, B / size, C, X, Y)
    deviation = torch.sqrt(groups.var(dim=0, correction=0) + EPSILON)  # (B / size, C, X, Y)
    per_image = deviation.mean(dim=(1, 2, 3)).repeat(size)  # (B,)
    return per_image[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)


def pool_pyramid(x: torch.Tensor) -> torch.Tensor:
    """The largest values of 4x4, 2x2 and 1x1 areas: (B, F, X, Y) of any size -> (B, 21 F, 1, 1)."""
    pooled = [F.adaptive_max_pool2d(x, side).flatten(1) for side in PYRAMID_SIDES]  # (B, F * side^2) each
    return torch.cat(pooled, dim=1)[:, :, None, None]


def shrink_images(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Images average-pooled to a resolution: (B, C, S, S) -> (B, C, resolution, resolution).

    Raises:
        ValueError: where S isn't a multiple of ``resolution``.
    """
    if images.shape[-2] != images.shape[-1] or images.shape[-1] % resolution:
        raise ValueError(
            f"The images have {images.shape[-2]} x {images.shape[-1]} pixels: expected squares whose side is a "
            f"multiple of the resolution, {resolution}. Pad them to the next power of two."
        )
    factor = images.shape[-1] // resolution
    return F.avg_pool2d(images, factor) if factor > 1 else images


def fade_images(images: torch.Tensor, alpha: float) -> torch.Tensor:
    """Real images faded in like generated ones (figure 2): ``alpha * x + (1 - alpha) * upsample(pool(x))``.

    Shapes: (B, C, X, X) with X even -> the same.
    """
    if alpha == 1:
        return images
    return torch.lerp(_upsample(F.avg_pool2d(images, 2)), images, alpha)


def check_image_size(image_size: int) -> None:
    """Raises ValueError where ``image_size`` isn't a power of two from 4 to 1024."""
    if image_size not in {2**exponent for exponent in range(2, 11)}:
        chosen = next((2**e for e in range(2, 11) if 2**e >= image_size), MAX_SIZE)
        fitted = "smaller images are padded" if image_size <= MAX_SIZE else "larger ones are shrunk"
        raise ValueError(
            f"image_size is {image_size}: a progressive GAN needs a power of two from {START_SIZE} to {MAX_SIZE} "
            f"pixels. Choose {chosen}, to which {fitted}."
        )


def _feature_counts(image_size: int, feature_base: int, feature_max: int) -> list[int]:
    """Feature channels at 2, 4, 8 ... image_size pixels; those at 2 are the discriminator's last."""
    check_image_size(image_size)
    if 2 * feature_base < image_size or feature_max < 1:
        raise ValueError(
            f"feature_base is {feature_base} and feature_max {feature_max}: at {image_size} pixels that leaves no "
            f"feature channels. Choose feature_base >= {image_size // 2} and feature_max >= 1."
        )
    return [min(feature_base // 2**stage, feature_max) for stage in range(image_size.bit_length() - 1)]


def _find_level(resolution: int, image_size: int, alpha: float) -> int:
    if not START_SIZE <= resolution <= image_size or resolution.bit_count() != 1:
        raise ValueError(
            f"resolution is {resolution}: expected a power of two from {START_SIZE} to {image_size}, the image size "
            "that this network was built for. Correct it, or build the network for larger images."
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: expected the newest level's weight, from 0 to 1. Clip it to that range.")
    return resolution.bit_length() - START_SIZE.bit_length()


def _check_condition(condition: torch.Tensor | None, condition_channels: int) -> None:
    channels = 0 if condition is None else condition.shape[1]
    if channels != condition_channels:
        raise ValueError(
            f"The condition has {channels} channels, but this network was built for {condition_channels}: pass such a "
            "condition (none for 0), or build the network with another condition_channels."
        )


def _join_condition(x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    if condition is None:
        return x
    resized = F.adaptive_max_pool2d(condition, x.shape[-2:])  # (B, K, X, Y)
    return torch.cat([x, resized.to(x.dtype)], dim=1)  # (B, F + K, X, Y)


def _upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")  # (B, C, X, Y) -> (B, C, 2X, 2Y)
