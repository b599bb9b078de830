"""Sampling a progressive generator that is asked to put lesions into boxes."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer

from scripts.data.boxes import draw_boxes
from scripts.inferers.ensemble import draw_latents


class BoxesToImageInferer(Inferer):
    """Noise seeds and boxes to images. An image's latent vector comes from its own seed, see `EnsembleInferer`.

    Args:
        latent_dim: of the generator.
        resolution: side of the images in pixels, in which the boxes are given.
        class_count: K, channels of the condition.
        latent_distribution: as in the generator's training.
    """

    def __init__(self, latent_dim: int, resolution: int, class_count: int, latent_distribution: str = "normal") -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.resolution = resolution
        self.class_count = class_count
        self.latent_distribution = latent_distribution

    def __call__(
        self, inputs: torch.Tensor, network: Any, boxes: torch.Tensor, box_classes: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Seeds (B,), boxes (B, M, 4) and their classes (B, M), -1 for padding, to images (B, C, R, R) in [-1, 1]."""
        latents = draw_latents(inputs.tolist(), self.latent_dim, self.latent_distribution).to(inputs.device)
        condition = draw_boxes(boxes, box_classes, self.resolution, self.class_count)  # (B, K, R, R)
        return network(latents, resolution=self.resolution, alpha=1.0, condition=condition).clamp(-1, 1)


def prepare_boxes_batch(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
    """A batch for `SupervisedEvaluator`: the noise seeds are the input; there is nothing to compare with."""
    keys = ("noise_seed", "boxes", "box_classes")
    seeds, boxes, classes = (batch[key].to(device, non_blocking=non_blocking) for key in keys)
    return seeds, seeds, (), {"boxes": boxes, "box_classes": classes}
