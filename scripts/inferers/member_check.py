"""Which members of an ensemble have collapsed, found before any image is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.data.slices import SliceDataset
from scripts.metrics.nearest import make_thumbnail, mean_pairwise_distance
from scripts.scores.evidence import MemberCheck, MemberDiversity
from scripts.scores.json_files import write_dataclass

logger = logging.getLogger(__name__)


@torch.no_grad()
def check_members(
    inferer: Any,
    members: Sequence[Any],
    slices: SliceDataset,
    *,
    files: Sequence[str],
    image_channels: int,
    device: torch.device,
    output: str | Path,
    count: int = 32,
    minimum_diversity: float = 0.5,
) -> None:
    """Measures how much the images of each member differ, warns of collapsed ones by name, and writes `members.json`.

    Diversity is the mean absolute difference between thumbnails of two images of a member, over that between two real
    training images: 1 is as varied as the real ones, 0 the same image again and again.

    Args:
        inferer: how a member is sampled, see `EnsembleInferer`.
        members: generators.
        slices: real training slices.
        files: the members' weights, their names in the messages.
        image_channels: of the image, without the annotation.
        device: of the members.
        output: the file to write.
        count: images drawn from each member.
        minimum_diversity: below it a member counts as collapsed.
    """
    positions = np.linspace(0, len(slices) - 1, min(count, len(slices))).astype(int).tolist()
    real = mean_pairwise_distance(np.stack([make_thumbnail(slices[p]["image"].numpy()) for p in positions]))
    found = []
    for number, (member, file) in enumerate(zip(members, files, strict=True)):
        member.eval()
        images = inferer(torch.arange(count, device=device), [member])[:, :image_channels].float().cpu().numpy()
        diversity = mean_pairwise_distance(np.stack([make_thumbnail(image) for image in images])) / real
        collapsed = not diversity >= minimum_diversity  # NaN counts as collapsed
        found.append(MemberDiversity(number, "/".join(Path(file).parts[-2:]), round(diversity, 4), collapsed))
        if collapsed:
            logger.warning(
                f"Member {number} ({file}) has collapsed: its images differ {diversity:.2f} times as much as real "
                f"ones, expected {minimum_diversity} or more. Leave it out of --generator_files, or train another seed."
            )
    write_dataclass(Path(output), MemberCheck(minimum_diversity, found))
