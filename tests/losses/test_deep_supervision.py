from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss
from torch.nn.modules.loss import _Loss

from scripts.losses.deep_supervision import StackedDeepSupervisionLoss
from scripts.networks.deep_unet import build_deep_unet


class MeanDifference(_Loss):
    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (logits - label).mean()


def dice_and_cross_entropy() -> DiceCELoss:
    """As in configs/pggan_ensemble_segmenter_train.json."""
    return DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)


def test_depths_weigh_half_of_the_one_above() -> None:
    values = torch.tensor([3.0, 5.0, 7.0, 11.0, 13.0])
    logits = values[:, None, None, None].expand(2, 5, 1, 4, 4)
    loss = StackedDeepSupervisionLoss(MeanDifference())(logits, torch.ones(2, 1, 4, 4))
    assert loss.item() == 2 + 4 / 2 + 6 / 4 + 10 / 8 + 12 / 16  # 7.5


def test_one_depth_is_the_plain_loss_by_hand() -> None:
    probability = torch.tensor([[0.8, 0.3], [0.2, 0.7]])  # of background and label, at two pixels
    logits = probability.log().reshape(1, 1, 2, 2, 1)
    label = torch.tensor([0, 1]).reshape(1, 1, 2, 1)
    cross_entropy = -(torch.tensor(0.8).log() + torch.tensor(0.7).log()) / 2
    dice = 2 * 0.7 / (0.2 + 0.7 + 1)
    loss = StackedDeepSupervisionLoss(dice_and_cross_entropy())(logits, label)
    assert loss.item() == pytest.approx(cross_entropy.item() + 1 - dice, rel=1e-4)


def test_the_same_loss_at_all_five_depths_counts_31_sixteenths() -> None:
    torch.manual_seed(0)
    one, label = torch.randn(2, 1, 3, 8, 8), torch.randint(0, 3, (2, 1, 8, 8))
    inner = dice_and_cross_entropy()
    loss = StackedDeepSupervisionLoss(inner)(one.expand(-1, 5, -1, -1, -1), label)
    assert loss.item() == pytest.approx(31 / 16 * inner(one[:, 0], label).item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
def test_gradients_reach_all_heads_whatever_the_type_of_the_label(dtype: torch.dtype) -> None:
    network = build_deep_unet(1, 3, filters=[4] * 6, image_size=64).train()
    label = torch.randint(0, 3, (2, 1, 64, 64)).to(dtype)
    StackedDeepSupervisionLoss(dice_and_cross_entropy())(network(torch.randn(2, 1, 64, 64)), label).backward()
    heads = [network.output_block, *network.deep_supervision_heads]
    assert len(heads) == 5
    assert all(p.grad is not None and p.grad.any() for head in heads for p in head.parameters())


def test_an_output_without_depths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\), expected \(B, depths, C, X, Y\)"):
        StackedDeepSupervisionLoss(dice_and_cross_entropy())(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))
