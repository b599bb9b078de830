from __future__ import annotations

import torch
from torch import nn

from scripts.inferers.boxes_to_image import BoxesToImageInferer, prepare_boxes_batch
from scripts.inferers.ensemble import draw_latents


class Painter(nn.Module):
    """The condition's first channel, plus a hundredth of the latent's first number."""

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor) -> torch.Tensor:
        assert (resolution, alpha) == (8, 1.0)
        return condition[:, :1] + z[:, :1, None, None] / 100


def test_images_follow_their_boxes_and_seeds_whatever_their_batch():
    batch = {
        "noise_seed": torch.tensor([3, 4]),
        "boxes": torch.tensor([[[1.0, 2, 3, 5], [0, 0, 0, 0]], [[0.0, 0, 8, 1], [6, 6, 8, 8]]]),
        "box_classes": torch.tensor([[0, -1], [0, 0]]),
    }
    inputs, _, args, options = prepare_boxes_batch(batch, torch.device("cpu"))
    inferer = BoxesToImageInferer(4, 8, 1, "uniform")
    images = inferer(inputs, Painter(), *args, **options)
    expected = torch.zeros(2, 8, 8)
    expected[0, 1:3, 2:5] = 1
    expected[1, :, :1] = expected[1, 6:, 6:] = 1
    noise = draw_latents([3, 4], 4, "uniform")[:, 0, None, None] / 100
    torch.testing.assert_close(images[:, 0], (expected + noise).clamp(-1, 1))
    alone = inferer(inputs[1:], Painter(), boxes=batch["boxes"][1:], box_classes=batch["box_classes"][1:])
    assert torch.equal(alone[0], images[1])
