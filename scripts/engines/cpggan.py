"""Training step of CPGGAN: a progressive GAN that puts lesions where bounding boxes ask for them.

Han et al., Learning more with less: GAN-based medical image augmentation, 2019, section 3.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch

from scripts.data.boxes import BoxedSlices, draw_boxes
from scripts.engines.progressive import ProgressiveStep


@dataclass(eq=False)
class CPGGANStep(ProgressiveStep):
    """The progressive step whose condition is the image of a slice's boxes, the same for real and generated images.

    Attributes:
        class_count: K, channels of the condition, one per box class.
    """

    _: KW_ONLY
    class_count: int

    def read(self, batch: dict[str, Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        image = batch["image"].to(device, memory_format=torch.channels_last, non_blocking=True)  # (B, C, S, S)
        boxes, classes = (batch[key].to(device, non_blocking=True) for key in ("boxes", "box_classes"))
        return image, draw_boxes(boxes, classes, image.shape[-1], self.class_count)  # (B, K, S, S)


def spread_conditions(slices: BoxedSlices, count: int) -> torch.Tensor:
    """Condition images of slices evenly spread over a data set, (count, K, S, S), for pictures of what is learned."""
    places = np.linspace(0, len(slices) - 1, count).astype(int).tolist()
    size = slices.image_of(0).shape[-1]
    found = [slices.boxes_of(n) for n in places]
    return torch.stack([draw_boxes(torch.tensor(b), torch.tensor(c), size, slices.class_count) for b, c in found])
