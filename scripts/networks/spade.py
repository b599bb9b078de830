"""Spatially adaptive normalisation and the Red-GAN generator built on it.

Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization (SPADE), 2019; Qasim et al., Red-GAN, 2020.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from scripts.networks.recipe import remember_recipe
from scripts.networks.spectral_norm import spectral_norm

UPSAMPLING_COUNT = 5
LEAKY_SLOPE = 0.2
XAVIER_GAIN = 0.02
MINIMUM_HIDDEN = 32  # channels between mask and modulation


class SPADE(nn.Module):
    """Normalise features without parameters, then scale and shift every pixel as the mask says (SPADE, equation 1).

    ``out = normalise(x) * (1 + gamma(mask)) + beta(mask)``. One convolution makes gamma (its first ``channels``
    outputs) and beta (the rest), where the published code has two: the same function, computed once.

    Args:
        hidden_channels: width of the layer between mask and modulation (128 as published).

    Shapes: x (B, C, X, Y) and mask (B, M, X', Y') of any size -> (B, C, X, Y).
    """

    def __init__(self, channels: int, mask_channels: int, hidden_channels: int = 128) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.hidden = nn.Conv2d(mask_channels, hidden_channels, kernel_size=3, padding=1)
        self.modulation = nn.Conv2d(hidden_channels, 2 * channels, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if mask.shape[-2:] != x.shape[-2:]:
            mask = F.interpolate(mask, size=x.shape[-2:], mode="nearest")  # (B, M, X, Y)
        hidden = F.relu(self.hidden(mask))  # (B, hidden, X, Y)
        # TorchScript's trace takes no autograd functions
        modulate = _Modulate.apply if torch.is_grad_enabled() else _modulate
        return modulate(self.norm(x), self.modulation(hidden))  # (B, C, X, Y)


class _Modulate(torch.autograd.Function):
    """``x * (1 + gamma) + beta``, whose gradient goes straight into gamma's and beta's halves of one tensor."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, modulation)
        return _modulate(x, modulation)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, modulation = ctx.saved_tensors
        (gradient,) = gradients
        gradient_of_modulation = torch.empty_like(modulation)
        of_gamma, of_beta = gradient_of_modulation.chunk(2, dim=1)
        torch.mul(gradient, x, out=of_gamma)
        of_beta.copy_(gradient)
        gamma = modulation.chunk(2, dim=1)[0]
        return torch.addcmul(gradient, gradient, gamma), gradient_of_modulation


def _modulate(x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
    gamma, beta = modulation.chunk(2, dim=1)  # (B, C, X, Y) each
    return torch.addcmul(x + beta, x, gamma)


class SPADEResnetBlock(nn.Module):
    """Residual block whose two convolutions each follow a SPADE layer and a LeakyReLU (SPADE, figure 4).

    Where the channel count changes, the shortcut is a SPADE layer and a 1x1 convolution without bias. The three
    convolutions carry spectral norm, those inside SPADE don't.

    Shapes: x (B, in_channels, X, Y) and mask (B, mask_channels, X', Y') -> (B, out_channels, X, Y).
    """

    def __init__(self, in_channels: int, out_channels: int, mask_channels: int, hidden_channels: int = 128) -> None:
        super().__init__()
        middle_channels = min(in_channels, out_channels)
        self.norm_0 = SPADE(in_channels, mask_channels, hidden_channels)
        self.conv_0 = _spectral_conv(in_channels, middle_channels, kernel_size=3)
        self.norm_1 = SPADE(middle_channels, mask_channels, hidden_channels)
        self.conv_1 = _spectral_conv(middle_channels, out_channels, kernel_size=3)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.norm_s = SPADE(in_channels, mask_channels, hidden_channels)
            self.conv_s = _spectral_conv(in_channels, out_channels, kernel_size=1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shortcut = self.conv_s(self.norm_s(x, mask)) if self.learned_shortcut else x  # (B, out_channels, X, Y)
        residual = self.conv_0(F.leaky_relu(self.norm_0(x, mask), LEAKY_SLOPE))  # (B, middle_channels, X, Y)
        residual = self.conv_1(F.leaky_relu(self.norm_1(residual, mask), LEAKY_SLOPE))  # (B, out_channels, X, Y)
        return shortcut + residual


@remember_recipe
class SPADEGenerator(nn.Module):
    """Turn a one-hot mask, and optionally a global class, into an image (Red-GAN, figure 1).

    Seven residual blocks, a nearest upsampling by 2 after five of them: image_size / 32 -> image_size. The class goes
    through an embedding and a linear layer and is concatenated with the mask features before the first block. At
    256 px with 5 mask channels, 10 classes, 4 image channels and width 64 it has 177.9 M parameters.

    Initial weights are those of the published code: Xavier normal with gain 0.02 and zero biases, and PyTorch's
    default for the convolutions under spectral norm (the published code meant Xavier there too, but on a GPU its
    call reaches a stale copy). Their scale doesn't change the output, but it sets how far one Adam step goes.

    Args:
        mask_channels: number of mask channels M, background and outline class included.
        image_channels: number of image channels C.
        class_count: number of global classes; 0 makes a generator without class, which ignores ``class_index``.
        image_size: side of the square image in pixels, a multiple of 32.
        width: channels of the last block (64 as published); the blocks have 16, 16, 16, 8, 4, 2, 1 times as many.
            The layers between mask and modulation have twice as many, at least 32.
        embedding_dim: length of the class embedding (1024 as published).
        output_scale: the image is ``output_scale * tanh + output_shift``: 1 and 0 give [-1, 1].
        output_shift: see ``output_scale``.

    Raises:
        ValueError: where ``image_size`` is no multiple of 32, the mask has another shape than these arguments say, or
            the class is missing.

    Shapes: mask (B, M, X, Y) with X = Y = image_size, class_index (B,) in 0 .. class_count - 1 -> (B, C, X, Y).
    """

    def __init__(
        self,
        mask_channels: int,
        image_channels: int,
        class_count: int,
        *,
        image_size: int = 256,
        width: int = 64,
        embedding_dim: int = 1024,
        output_scale: float = 1.0,
        output_shift: float = 0.0,
    ) -> None:
        super().__init__()
        if image_size < 1 or image_size % 2**UPSAMPLING_COUNT:
            raise ValueError(
                f"image_size is {image_size}, but the generator doubles its size {UPSAMPLING_COUNT} times: "
                f"give a positive multiple of {2**UPSAMPLING_COUNT}, such as 64, 128 or 256."
            )
        self.mask_shape = (mask_channels, image_size, image_size)
        self.class_count = class_count
        self.start_size = image_size // 2**UPSAMPLING_COUNT
        self.output_scale = output_scale
        self.output_shift = output_shift

        self.mask_conv = nn.Conv2d(mask_channels, 16 * width, kernel_size=3, padding=1)
        if class_count:
            self.embedding = nn.Embedding(class_count, embedding_dim)
            self.class_linear = nn.Linear(embedding_dim, 16 * width * self.start_size**2)
        hidden = max(MINIMUM_HIDDEN, 2 * width)
        start_channels = (32 if class_count else 16) * width
        self.head_0 = SPADEResnetBlock(start_channels, 16 * width, mask_channels, hidden)
        self.middle_0 = SPADEResnetBlock(16 * width, 16 * width, mask_channels, hidden)
        self.middle_1 = SPADEResnetBlock(16 * width, 16 * width, mask_channels, hidden)
        self.up_0 = SPADEResnetBlock(16 * width, 8 * width, mask_channels, hidden)
        self.up_1 = SPADEResnetBlock(8 * width, 4 * width, mask_channels, hidden)
        self.up_2 = SPADEResnetBlock(4 * width, 2 * width, mask_channels, hidden)
        self.up_3 = SPADEResnetBlock(2 * width, width, mask_channels, hidden)
        self.image_conv = nn.Conv2d(width, image_channels, kernel_size=3, padding=1)
        self.apply(_init_published)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mask: torch.Tensor, class_index: torch.Tensor | None = None) -> torch.Tensor:
        if tuple(mask.shape[1:]) != self.mask_shape:
            raise ValueError(
                f"the mask has shape {tuple(mask.shape)}, but this generator expects (batch, "
                f"{', '.join(map(str, self.mask_shape))}): resize or pad the mask, or build the generator for it."
            )
        sizes = [self.start_size * 2**step for step in range(UPSAMPLING_COUNT)]
        masks = [F.interpolate(mask, size=(size, size), mode="nearest") for size in sizes] + [mask]

        x = self.mask_conv(masks[0])  # (B, 16w, s, s)
        if self.class_count:
            x = torch.cat([x, self._encode_class(class_index).to(x.dtype)], dim=1)  # (B, 32w, s, s)
        x = self.head_0(x, masks[0])  # (B, 16w, s, s)
        x = self.middle_0(_upsample(x), masks[1])  # (B, 16w, 2s, 2s)
        x = self.middle_1(x, masks[1])  # (B, 16w, 2s, 2s)
        x = self.up_0(_upsample(x), masks[2])  # (B, 8w, 4s, 4s)
        x = self.up_1(_upsample(x), masks[3])  # (B, 4w, 8s, 8s)
        x = self.up_2(_upsample(x), masks[4])  # (B, 2w, 16s, 16s)
        x = self.up_3(_upsample(x), masks[5])  # (B, w, 32s, 32s)
        x = self.image_conv(F.leaky_relu(x, LEAKY_SLOPE))  # (B, C, X, Y)
        return self.output_scale * torch.tanh(x.float()) + self.output_shift  # (B, C, X, Y)

    def _encode_class(self, class_index: torch.Tensor | None) -> torch.Tensor:
        if class_index is None:
            raise ValueError(
                f"class_index is missing, but this generator was built for {self.class_count} classes: "
                "give one index per image, or build it with class_count=0."
            )
        with torch.autocast(class_index.device.type, enabled=False):  # 67 M weights for one row: the cast costs more
            features = self.class_linear(self.embedding(class_index))  # (B, 16w * s * s)
        return features.unflatten(1, (-1, self.start_size, self.start_size))  # (B, 16w, s, s)


def _upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")  # (B, C, X, Y) -> (B, C, 2X, 2Y)


def _spectral_conv(in_channels: int, out_channels: int, *, kernel_size: int) -> nn.Module:
    """Convolution of unchanged size under spectral norm; the 1x1 shortcut has no bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=kernel_size > 1)
    return spectral_norm(conv)


def _init_published(module: nn.Module) -> None:
    if isinstance(module, SPADE):
        for half in module.modulation.weight.data.chunk(2):  # as if gamma and beta had a convolution each
            nn.init.xavier_normal_(half, gain=XAVIER_GAIN)
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        if not is_parametrized(module, "weight"):
            nn.init.xavier_normal_(module.weight, gain=XAVIER_GAIN)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
