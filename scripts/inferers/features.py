"""From images to a network's inner features."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer

from scripts.networks.precision import autocast


@dataclass(eq=False)
class FeatureInferer(Inferer):
    """Calls a network's `extract`, such as `FeatureUNet`'s.

    Attributes:
        level: where the features are taken.
        precision: of the forward pass, see `choose_precision`.
        pooled_size: side to which features are averaged, 1 for what perceptrons take; None keeps their own.
    """

    level: str
    precision: torch.dtype = torch.float32
    _: KW_ONLY
    pooled_size: int | None = None

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Images (B, C, S, S) and a network with `extract(images, level)` to features (B, C', S', S')."""
        with autocast(inputs.device, self.precision):
            features = network.extract(inputs, self.level)
        return features if self.pooled_size is None else F.adaptive_avg_pool2d(features.float(), self.pooled_size)

    def feature_shape(self, network: Any, image_size: int) -> tuple[int, int, int]:
        """Shape (C, S', S') of what it makes of one image of S x S pixels.

        Raises:
            ValueError: as the network's `feature_shape`, or a pooled size that isn't from 1 to that of the features.
        """
        channels, side, _ = network.feature_shape(self.level, image_size)
        if self.pooled_size is None:
            return channels, side, side
        if not 1 <= self.pooled_size <= side:
            raise ValueError(
                f"pooled_size is {self.pooled_size}, expected 1 to {side}, the side of the features of "
                f"{self.level!r}, or None to keep them."
            )
        return channels, self.pooled_size, self.pooled_size
