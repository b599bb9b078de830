from __future__ import annotations

import math

import pytest
import torch

from scripts.losses.acgan import class_loss


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
