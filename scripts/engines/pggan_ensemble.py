"""Training step of a progressive GAN that makes image and annotation together, one member of an ensemble.

Larsson, Akbar and Eklund, Does an ensemble of GANs lead to better performance when training segmentation networks with
synthetic images?, 2022, section 3.1.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from scripts.engines.progressive import ProgressiveStep
from scripts.transforms.annotation import AnnotationChannels


@dataclass(eq=False)
class PGGANStep(ProgressiveStep):
    """The progressive step on images (B, C + A, R, R) whose last channels are the annotation.

    Attributes:
        annotation: how label maps become channels.
    """

    _: KW_ONLY
    annotation: AnnotationChannels

    @property
    def annotation_channels(self) -> int:
        return self.annotation.channel_count

    def read(self, batch: dict[str, Any], device: torch.device) -> tuple[torch.Tensor, None]:
        image = batch["image"].to(device, non_blocking=True)  # (B, C, S, S)
        channels = self.annotation.encode(batch["label"].to(device, non_blocking=True))  # (B, A, S, S)
        return torch.cat([image, channels], dim=1).contiguous(memory_format=torch.channels_last), None
