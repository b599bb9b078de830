"""Equalised learning rate (Karras et al., Progressive Growing of GANs, ICLR 2018, section 4.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

HE_GAIN = math.sqrt(2)


class EqualizedConv2d(nn.Module):
    """Convolution whose weights are drawn from N(0, 1) and scaled by ``gain / sqrt(fan_in)`` in use (section 4.1).

    Adam's step is the same for every weight, so scaled in use, they all learn at one speed. The bias starts at 0.

    Args:
        kernel_size: side of the kernel; fan_in is ``I * kernel_size**2``.
        padding: pixels of zeros on each side; None keeps the size.
        gain: sqrt(2) before a LeakyReLU, 1 for a layer without activation.

    Shapes: (B, I, X, Y) -> (B, O, X', Y').
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        padding: int | None = None,
        gain: float = HE_GAIN,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2 if padding is None else padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        x, bias = x.to(dtype), self.bias.to(dtype)
        weight = (self.weight * self.scale).to(dtype)  # (O, I, kernel_size, kernel_size)
        y = F.conv2d(x.detach(), weight, bias, padding=self.padding)  # (B, O, X', Y')
        if not torch.is_grad_enabled():  # TorchScript's trace takes no autograd functions
            return y
        return _InputGradient.apply(y, x, weight, self.padding)


class _InputGradient(torch.autograd.Function):
    """Gives a convolution's output its gradient towards the input, as a transposed convolution.

    PyTorch does the same, but takes for the second derivative, which the gradient penalty needs, a convolution whose
    kernel is as large as the image. In PyTorch 2.13 that is slow, and in bf16 on a CPU with AMX the weights' part comes
    out wrong at many sizes (16, 32 and 128 pixels among them), without a word. That of a transposed convolution is
    right and fast. Only derivatives of weight gradients towards the input are left out; no loss here has them.
    """

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, padding: int) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.padding = padding
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        (weight,) = ctx.saved_tensors
        (gradient,) = gradients
        if not ctx.needs_input_grad[1]:
            return gradient, None, None, None
        return gradient, F.conv_transpose2d(gradient, weight, padding=ctx.padding), None, None
