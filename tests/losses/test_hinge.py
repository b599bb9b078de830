from __future__ import annotations

import pytest
import torch

from scripts.losses.hinge import discriminator_hinge, generator_hinge


def outputs(*logits: torch.Tensor) -> list[list[torch.Tensor]]:
    """One scale per tensor, with a feature map in front that the loss must not look at."""
    return [[torch.full((1, 2, 3, 3), 1e6), scale] for scale in logits]


def test_discriminator_loss_by_hand() -> None:
    real = outputs(torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[-1.0]]]]))  # margins 0, 1 -> 0.5; 2
    fake = outputs(torch.tensor([[[[-3.0, 1.0]]]]), torch.tensor([[[[0.5]]]]))  # margins 0, 2 -> 1; 1.5
    assert discriminator_hinge(real, fake).item() == pytest.approx((0.5 + 2) / 2 + (1 + 1.5) / 2)


def test_discriminator_loss_is_zero_beyond_the_margins() -> None:
    loss = discriminator_hinge(outputs(torch.full((2, 1, 4, 4), 1.0)), outputs(torch.full((2, 1, 4, 4), -1.0)))
    assert loss.item() == 0.0


def test_generator_gradient_does_not_saturate_at_very_negative_logits() -> None:
    logits = torch.full((2, 1, 3, 3), -5.0, requires_grad=True)
    generator_hinge(outputs(logits)).backward()
    torch.testing.assert_close(logits.grad, torch.full_like(logits, -1 / 18), rtol=0, atol=0)


def test_scales_weigh_the_same_whatever_their_size() -> None:
    loss = generator_hinge(outputs(torch.full((1, 1, 8, 8), 3.0), torch.full((1, 1, 2, 2), -1.0)))
    assert loss.item() == -1.0


def test_half_precision_logits_are_averaged_in_fp32() -> None:
    logits = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    logits[0, 0, 0, 0] = 2.0
    loss = generator_hinge(outputs(logits))
    assert loss.dtype == torch.float32
    assert loss.item() == -(1 + 1 / 4096)
