from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from scripts.networks.spectral_norm import spectral_norm


def pair(*, kernel_size: int = 3, layout: torch.memory_format = torch.contiguous_format) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Ours and torch's spectral norm of one convolution, from the same singular vectors."""
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, kernel_size, bias=False)
    reference = parametrizations.spectral_norm(copy.deepcopy(conv))
    ours = spectral_norm(conv)
    ours.load_state_dict(reference.state_dict())
    return ours.to(memory_format=layout), reference


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_weight_gradient_and_vectors_agree_with_torch(kernel_size: int, layout: torch.memory_format) -> None:
    ours, reference = pair(kernel_size=kernel_size, layout=layout)
    weights = torch.randn(7, 5, kernel_size, kernel_size)
    for _ in range(3):
        for conv in (ours, reference):
            conv.zero_grad()
            (conv.weight * weights).sum().backward()
        torch.testing.assert_close(ours.weight, reference.weight)
        gradients = [conv.parametrizations.weight.original.grad for conv in (ours, reference)]
        torch.testing.assert_close(*gradients)
    for ours_buffer, reference_buffer in zip(ours.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours_buffer, reference_buffer)


def test_gradient_by_finite_differences() -> None:
    conv = spectral_norm(nn.Conv2d(2, 3, 2, bias=False).double()).eval()
    original = conv.parametrizations.weight.original.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(conv.parametrizations.weight[0], (original,))


def test_largest_singular_value_becomes_one() -> None:
    ours, _ = pair(layout=torch.channels_last)
    for _ in range(200):
        weight = ours.weight
    assert torch.linalg.svdvals(weight.detach().flatten(1))[0].item() == pytest.approx(1.0, abs=1e-4)


def test_no_power_iteration_in_eval_mode() -> None:
    ours, _ = pair()
    ours.eval()
    before = [buffer.clone() for buffer in ours.buffers()]
    first, second = ours.weight, ours.weight
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, ours.buffers(), strict=True))


def test_autocast_gives_a_bfloat16_weight_and_an_fp32_gradient() -> None:
    ours, reference = pair()
    with torch.autocast("cpu", torch.bfloat16):
        weight = ours.weight
    assert weight.dtype == torch.bfloat16
    torch.testing.assert_close(weight.float(), reference.weight, rtol=2**-7, atol=1e-6)  # rounded twice
    weight.sum().backward()
    assert ours.parametrizations.weight.original.grad.dtype == torch.float32


def test_state_dict_moves_between_layouts() -> None:
    ours, _ = pair(layout=torch.channels_last)
    for _ in range(3):
        _ = ours.weight
    other, _ = pair()
    other.load_state_dict(ours.state_dict())
    torch.testing.assert_close(other.eval().weight, ours.eval().weight)
