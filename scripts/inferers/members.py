"""The members of an ensemble: those that are to synthesise, and which of them have collapsed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.data.json_models import read_object, validated
from scripts.data.slices import SliceDataset
from scripts.metrics.nearest import make_thumbnail, mean_pairwise_distance
from scripts.networks.checkpoints import CheckpointError
from scripts.scores.evidence import MemberCheck, MemberDiversity
from scripts.scores.json_files import write_dataclass

logger = logging.getLogger(__name__)

SIDE = 32  # of the thumbnails whose differences are the diversity


def choose_files(
    files: Sequence[str | Path], choice_file: str | Path | None = None, count: int | None = None
) -> list[str]:
    """Weights of the members to sample.

    Args:
        files: the members' weights.
        choice_file: a `choice.json` of `MemberChoice`, which knows the members by their SHA-256; None takes all files.
        count: members taken, the first of the choice's order; None for all of them.

    Raises:
        CheckpointError: a choice that cannot be read or knows a member that is not among the files, a file that cannot
            be read, or a count out of range.
    """
    if choice_file is None:
        if count is not None:
            raise CheckpointError(
                f"chosen_count is {count}, but there is no choice_file to choose by. Name the choice.json that "
                "pggan_ensemble_evaluate.json writes, or fewer generator_files."
            )
        return [str(file) for file in files]
    try:
        content = read_object(Path(choice_file), "Evaluate the members first.")
        order = validated(list[str], content.get("sha256"), f"{choice_file}: sha256", "Evaluate the members again.")
        named = {hashlib.sha256(Path(file).read_bytes()).hexdigest(): str(file) for file in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"Cannot choose by {choice_file} among {list(map(str, files))} ({type(error).__name__}: {error}). Name the "
            "choice.json that pggan_ensemble_evaluate.json wrote, and weights that exist."
        ) from None
    wanted = len(order) if count is None else int(count)
    if not 1 <= wanted <= len(order):
        raise CheckpointError(f"chosen_count is {count}, expected 1 to {len(order)}, the members of {choice_file}.")
    missing = [sha for sha in order[:wanted] if sha not in named]
    if missing:
        raise CheckpointError(
            f"{choice_file} chose a member with the SHA-256 {missing[0][:12]}..., which none of the "
            f"{len(named)} generator_files has. Name all members that were compared."
        )
    return [named[sha] for sha in order[:wanted]]


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
    real = mean_pairwise_distance(np.stack([make_thumbnail(slices[p]["image"].numpy(), SIDE) for p in positions]))
    found = []
    for number, (member, file) in enumerate(zip(members, files, strict=True)):
        member.eval()
        images = inferer(torch.arange(count, device=device), [member])[:, :image_channels].float().cpu().numpy()
        diversity = mean_pairwise_distance(np.stack([make_thumbnail(image, SIDE) for image in images])) / real
        collapsed = not diversity >= minimum_diversity  # NaN counts as collapsed
        found.append(MemberDiversity(number, "/".join(Path(file).parts[-2:]), round(diversity, 4), collapsed))
        if collapsed:
            logger.warning(
                f"Member {number} ({file}) has collapsed: its images differ {diversity:.2f} times as much as real "
                f"ones, expected {minimum_diversity} or more. Leave it out of --generator_files, or train another seed."
            )
    write_dataclass(Path(output), MemberCheck(minimum_diversity, found))
