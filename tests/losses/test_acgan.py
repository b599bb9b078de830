from __future__ import annotations

import math

import pytest
import torch

from scripts.losses.acgan import class_loss, fooling_loss, source_loss


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_source_loss_is_minus_equation_1() -> None:
    real, fake = torch.tensor([logit(0.75), logit(0.5)]), torch.tensor([logit(0.2)])
    expected = -(math.log(0.75) + math.log(0.5)) / 2 - math.log(1 - 0.2)
    assert source_loss(real, fake).item() == pytest.approx(expected)
    assert source_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(2 * math.log(2))


def test_fooling_loss_by_hand_and_without_saturation() -> None:
    fake = torch.tensor([logit(0.75), logit(0.2)])
    assert fooling_loss(fake).item() == pytest.approx(-(math.log(0.75) + math.log(0.2)) / 2)
    caught = torch.full((4,), -50.0, requires_grad=True)
    fooling_loss(caught).backward()
    torch.testing.assert_close(caught.grad, torch.full((4,), -1 / 4))


def test_class_loss_is_minus_equation_2() -> None:
    probabilities = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]
    logits = torch.tensor(probabilities).log() + 5  # a constant changes no probability
    assert class_loss(logits, torch.tensor([0, 2])).item() == pytest.approx(-(math.log(0.7) + math.log(0.4)) / 2)
    assert class_loss(torch.zeros(2, 3), torch.tensor([1, 2])).item() == pytest.approx(math.log(3))


def test_half_precision_logits_are_averaged_in_fp32() -> None:
    logits = torch.zeros(4096, 2, dtype=torch.bfloat16)
    logits[0, 0] = -64.0
    loss = class_loss(logits, torch.zeros(4096, dtype=torch.long))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((4095 * math.log(2) + 64) / 4096, rel=1e-5)
