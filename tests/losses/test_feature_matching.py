from __future__ import annotations

import pytest
import torch

from scripts.losses.feature_matching import feature_matching


def scale(*values: float, size: int = 4) -> list[torch.Tensor]:
    return [torch.full((1, 2, size, size), value, requires_grad=True) for value in values]


def test_by_hand_over_two_scales() -> None:
    real = [scale(1.0, 2.0, 50.0), scale(0.0, 0.0, 50.0)]
    fake = [scale(1.5, 0.0, -50.0), scale(-3.0, 1.0, -50.0)]
    assert feature_matching(real, fake).item() == pytest.approx((0.5 + 2.0 + 3.0 + 1.0) / 2)  # the logits don't count


def test_no_gradient_reaches_the_real_side() -> None:
    real, fake = [scale(1.0, 0.0)], [scale(0.0, 0.0)]
    feature_matching(real, fake).backward()
    assert real[0][0].grad is None
    torch.testing.assert_close(fake[0][0].grad, torch.full((1, 2, 4, 4), -1 / 32))


def test_layers_weigh_the_same_whatever_their_size() -> None:
    real = [[*scale(1.0, size=8), *scale(1.0, size=2), *scale(0.0)]]
    fake = [[*scale(0.0, size=8), *scale(0.0, size=2), *scale(0.0)]]
    assert feature_matching(real, fake).item() == 2.0


def test_different_scale_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        feature_matching([scale(1.0, 1.0)], [scale(1.0, 1.0), scale(1.0, 1.0)])
