"""Cross-entropy and Jaccard for segmentation, the loss of Red-GAN's segmenter (Yakubovskiy's segmentation_models)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SigmoidJaccardBCELoss(nn.Module):
    """Binary cross-entropy plus one minus the soft Jaccard index, over the foreground classes of a label map.

    With p = sigmoid(logits) and y the one-hot label without background,
    ``BCE + 1 - (sum(p y) + smooth) / (sum(p) + sum(y) - sum(p y) + smooth)``. As in the Red-GAN authors' code, the sums
    run over images, classes and pixels together, so large classes count most and a class absent from the batch adds
    nothing. Computes in fp32.

    Args:
        per_class: takes the Jaccard index of each class that the batch's labels hold, and their mean, so that a small
            class counts as much as a large one; the paper doesn't say which it means.
        smooth: keeps the quotient defined where neither the label nor the prediction has foreground.

    Raises:
        ValueError: where the label isn't a single-channel map of the logits' size.

    Shapes: logits (B, K, X, Y), label (B, 1, X, Y) with integers 0 .. K, 0 = background -> scalar.
    """

    def __init__(self, per_class: bool = False, smooth: float = 1e-7) -> None:
        super().__init__()
        self.per_class = per_class
        self.smooth = smooth

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        expected = (logits.shape[0], 1, *logits.shape[2:])
        if tuple(label.shape) != expected:
            raise ValueError(
                f"the label has shape {tuple(label.shape)}, but logits of shape {tuple(logits.shape)} need "
                f"{expected}: give one channel of integers, not one-hot."
            )
        logits = logits.float()
        classes = torch.arange(1, logits.shape[1] + 1, device=label.device).view(1, -1, *[1] * (logits.ndim - 2))
        target = (label == classes).float()  # (B, K, X, Y)
        probability = logits.sigmoid()  # (B, K, X, Y)
        over = [0, *range(2, logits.ndim)] if self.per_class else list(range(logits.ndim))
        intersection = (probability * target).sum(over)  # (K,) or ()
        union = probability.sum(over) + target.sum(over) - intersection
        jaccard = (intersection + self.smooth) / (union + self.smooth)
        if self.per_class:
            held = target.sum(over) > 0  # (K,)
            jaccard = torch.where(held, jaccard, 0).sum() / held.sum() if held.any() else jaccard.mean()
        return F.binary_cross_entropy_with_logits(logits, target) + 1 - jaccard
