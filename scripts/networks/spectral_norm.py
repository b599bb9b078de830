"""Spectral normalisation whose cost doesn't show (Miyato et al., Spectral Normalization for GANs, 2018)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

INITIAL_ITERATIONS = 15


def spectral_norm(conv: nn.Conv2d) -> nn.Conv2d:
    """Divide a convolution's weight by its largest singular value, estimated by one power iteration per training pass.

    The same function, gradient and state-dict keys as ``torch.nn.utils.parametrizations.spectral_norm``. With the 78 M
    such weights of Red-GAN's generator that one spends much of a bf16 iteration on passes over memory; here the
    gradient is written out, the result has the autocast precision, and channels-last weights aren't copied. The
    convolution is changed in place and returned.
    """
    register_parametrization(conv, "weight", SpectralNorm(conv.weight))
    return conv


class SpectralNorm(nn.Module):
    """Parametrisation W -> W / sigma(W), W seen as a matrix with a row per output channel (equation 8).

    Buffers ``_u`` (rows) and ``_v`` (columns, in the order input channel, X, Y) estimate the first singular vectors.
    """

    _u: torch.Tensor
    _v: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        rows = weight.shape[0]
        self.register_buffer("_u", F.normalize(weight.new_empty(rows).normal_(), dim=0))
        self.register_buffer("_v", F.normalize(weight.new_empty(weight.numel() // rows).normal_(), dim=0))
        self._iterate(weight, INITIAL_ITERATIONS)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        kind = weight.device.type
        mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if mixed else weight.dtype
        with torch.autocast(kind, enabled=False) if mixed else nullcontext():  # sigma itself needs fp32
            if self.training:
                self._iterate(weight, 1)
            u, v = self._u.clone(), _to_memory_order(self._v, weight).clone()
            return _DivideBySigma.apply(weight, u, v, dtype)

    @torch.no_grad()
    def _iterate(self, weight: torch.Tensor, count: int) -> None:
        """Equation 18, in place, so that DDP and checkpoints see the vectors."""
        matrix, shape = _as_matrix(weight), weight.shape[1:]
        for _ in range(count):
            self._u.copy_(F.normalize(torch.mv(matrix, _to_memory_order(self._v, weight)), dim=0))
            v = F.normalize(torch.mv(matrix.t(), self._u), dim=0)
            if _is_channels_last(weight):
                v = v.view(*shape[1:], shape[0]).permute(2, 0, 1).reshape(-1)
            self._v.copy_(v)


class _DivideBySigma(torch.autograd.Function):
    """W / sigma with sigma = u' W v, and d/dW <G, W / sigma> = (G - <G, W / sigma> u v') / sigma (equation 12)."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, u: torch.Tensor, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        sigma = torch.dot(u, torch.mv(_as_matrix(weight), v))
        ctx.save_for_backward(weight, u, v, sigma)
        return weight.to(dtype) / sigma  # (O, I, X, Y)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        weight, u, v, sigma = ctx.saved_tensors
        gradient = torch.empty_like(weight).copy_(gradients[0]).div_(sigma)  # (O, I, X, Y), fp32
        matrix = _as_matrix(gradient)
        overlap = torch.dot(matrix.flatten(), _as_matrix(weight).flatten()) / sigma
        matrix.addmm_((overlap * u)[:, None], v[None], alpha=-1)
        return gradient, None, None, None


def _is_channels_last(weight: torch.Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    """(O, I, X, Y) -> (O, I X Y) with the columns in the order in which they lie in memory: a view, never a copy."""
    return (weight.permute(0, 2, 3, 1) if _is_channels_last(weight) else weight).flatten(1)


def _to_memory_order(v: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if not _is_channels_last(weight):
        return v
    return v.view(weight.shape[1:]).permute(1, 2, 0).reshape(-1)
