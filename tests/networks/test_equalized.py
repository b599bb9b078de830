from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.equalized import EqualizedConv2d


def test_equalised_weights_are_scaled_in_use() -> None:
    torch.manual_seed(0)
    layer = EqualizedConv2d(3, 32, 3, gain=1.0)
    assert layer.weight.std().item() == pytest.approx(1.0, abs=0.05)
    assert layer.bias.abs().max() == 0
    x = torch.zeros(1, 3, 3, 3)
    x[0, 2, 1, 1] = math.sqrt(27)  # fan_in 3 * 3 * 3: one over its root is what a weight counts
    torch.testing.assert_close(layer(x)[0, :, 1, 1], layer.weight[:, 2, 1, 1])


@pytest.mark.parametrize(("gain", "variance"), [(1.0, 1.0), (math.sqrt(2), 2.0)])
def test_equalised_layers_keep_the_variance(gain: float, variance: float) -> None:
    torch.manual_seed(0)
    y = EqualizedConv2d(64, 64, 3, padding=0, gain=gain)(torch.randn(4, 64, 10, 10))
    assert y.var().item() == pytest.approx(variance, rel=0.1)
    if gain > 1:  # half of 2, and 4% of the other half, after the LeakyReLU
        assert F.leaky_relu(y, 0.2).square().mean().item() == pytest.approx(1.04, rel=0.1)


@pytest.mark.parametrize(("kernel_size", "padding"), [(3, None), (1, None), (4, 0)])
def test_derivatives_of_equalised_layers(kernel_size: int, padding: int | None) -> None:
    torch.manual_seed(0)
    layer = EqualizedConv2d(2, 3, kernel_size, padding=padding).double()
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 5, 5, dtype=torch.double, requires_grad=True)
    weight = layer.weight * math.sqrt(2 / (2 * kernel_size**2))
    expected = F.conv2d(x, weight, layer.bias, padding=kernel_size // 2 if padding is None else padding)
    torch.testing.assert_close(layer(x), expected)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, layer.weight, layer.bias))

    def input_gradient(weight: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        y = torch.func.functional_call(layer, {"weight": weight}, (x,))
        return torch.autograd.grad(y, x, v, create_graph=True)[0]

    v = torch.randn(expected.shape, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(input_gradient, (layer.weight, v))


@pytest.mark.parametrize("size", [8, 16, 32])
def test_second_derivatives_are_right_in_bf16(size: int) -> None:
    torch.manual_seed(0)
    layer, x, v = EqualizedConv2d(8, 8, 3), torch.randn(4, 8, size, size, requires_grad=True), torch.randn(4, 8, 1, 1)
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(x)
        (gradient,) = torch.autograd.grad((y.float() * v).sum(), x, create_graph=True)
        (gradient * x.detach()).sum().backward()
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad.flatten().clone())
        layer.zero_grad()
    assert F.cosine_similarity(*gradients, dim=0).item() > 0.999
