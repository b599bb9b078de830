from __future__ import annotations

import math

import pytest
import torch

from scripts.losses.adversarial import discriminator_bce, generator_bce


def test_discriminator_loss_by_hand() -> None:
    real = torch.tensor([[[[math.log(3.0), 0.0]]]])  # sigmoid 3/4, 1/2
    fake = torch.tensor([[[[-math.log(4.0)]]]])  # sigmoid 1/5
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2 - math.log(4 / 5)
    assert discriminator_bce(real, fake).item() == pytest.approx(expected)


def test_undecided_discriminator_pays_2_log_2() -> None:
    assert discriminator_bce(torch.zeros(2, 1, 3, 3), torch.zeros(1, 1, 2, 2)).item() == pytest.approx(2 * math.log(2))


def test_generator_loss_by_hand() -> None:
    fake = torch.tensor([math.log(3.0), -math.log(4.0)])
    assert generator_bce(fake).item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 5)) / 2)


def test_generator_gradient_does_not_saturate_where_it_is_caught() -> None:
    logits = torch.full((4,), -50.0, requires_grad=True)
    generator_bce(logits).backward()
    torch.testing.assert_close(logits.grad, torch.full((4,), -1 / 4))


def test_extreme_logits_stay_finite_and_linear() -> None:
    far = torch.tensor([1000.0])
    assert discriminator_bce(-far, far).item() == 2000.0
    assert discriminator_bce(far, -far).item() == 0.0


def test_half_precision_logits_are_averaged_in_fp32() -> None:
    logits = torch.full((1, 1, 64, 64), -100.0, dtype=torch.bfloat16)
    logits[0, 0, 0, 0] = -101.0
    loss = generator_bce(logits)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(100 + 1 / 4096, abs=1e-5)
