"""The loss of a deeply supervised network whose outputs come as one tensor."""

from __future__ import annotations

import torch
from monai.losses import DeepSupervisionLoss
from torch.nn.modules.loss import _Loss


class StackedDeepSupervisionLoss(DeepSupervisionLoss):
    """MONAI's `DeepSupervisionLoss` for the stacked outputs of `DynUNet`: the sum over depths d of .5^d times a loss.

    The PGGAN ensemble's paper, section 3.2: "the loss was applied on the five highest depth level with weighting
    0.5^d". The weights are not normalised: for five depths they are 1, .5, .25, .125, .0625. nnU-Net divides them by
    their sum and leaves the lowest out. All depths are compared with the full label map, since `DynUNet` has upsampled
    them to its size; nnU-Net shrinks the label map instead, in which thin labels vanish.

    Args:
        loss: of one depth, logits (B, C, X, Y) and labels (B, 1, X, Y) to a scalar.

    Raises:
        ValueError: logits without a dimension of depths, as networks in evaluation mode return them.
    """

    def __init__(self, loss: _Loss) -> None:
        super().__init__(loss, weight_mode="exp")

    def forward(  # type: ignore[override]
        self, logits: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        """Logits (B, depths, C, X, Y), highest depth first, and labels (B, 1, X, Y) to a scalar."""
        if logits.ndim != 5:
            raise ValueError(
                f"The logits have shape {tuple(logits.shape)}, expected (B, depths, C, X, Y). "
                "Train a network with deep supervision, in training mode."
            )
        return super().forward(list(logits.unbind(dim=1)), label)
