"""Sampling a generator that turns label maps into images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.networks.one_hot import one_hot_mask


@dataclass(eq=False)
class MaskToImageInferer(Inferer):
    """Label maps and classes to images in [-1, 1], with the weights and statistics of training held fixed.

    Attributes:
        mask_channels: classes of the one-hot mask, as in training.
        use_class: False for a generator without class.
    """

    mask_channels: int
    use_class: bool = True

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, class_index: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """Label map (B, 1, S, S) of 0..M-1 and class (B,) to images (B, C, S, S)."""
        mask = one_hot_mask(inputs, self.mask_channels)
        return network(mask, class_index if self.use_class else None).clamp(-1, 1)


@dataclass(eq=False)
class NoisyMaskToImageInferer(Inferer):
    """Label maps to images in [-1, 1] by a generator whose noise is its dropout (pix2pix, LcGAN).

    Each image's noise comes from its own seed, so it doesn't depend on the others in its batch.

    Attributes:
        mask_channels: classes of the one-hot mask, as in training.
    """

    mask_channels: int

    def __call__(
        self, inputs: torch.Tensor, network: Any, noise_seed: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """Label map (B, 1, S, S) of 0..M-1 and seeds (B,), 0 to B-1 by default, to images (B, C, S, S)."""
        seeds = range(len(inputs)) if noise_seed is None else noise_seed.tolist()
        mask = one_hot_mask(inputs, self.mask_channels)
        return network(mask, network.draw_noise(seeds)).clamp(-1, 1)


def prepare_mask_batch(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
    """A batch for `SupervisedEvaluator`: the label map is the input, the real image what it is compared with.

    Class and noise seed go to the inferer.
    """
    moved: dict[str, torch.Tensor] = {
        key: batch[key].to(device, non_blocking=non_blocking)
        for key in ("label", "image", "class_index", "noise_seed")
        if key in batch
    }
    return moved.pop("label"), moved.pop("image"), (), moved
