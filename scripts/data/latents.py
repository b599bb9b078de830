"""The images that an ensemble of generators is asked for: a shared quota, each image with noise of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from scripts.data.contract import DatasetError
from scripts.data.synthesis import is_written


class PlannedLatents(Dataset):
    """One element per image that is not on the disk yet: `member`, `noise_seed`, `name`.

    N members share the quota, count / N images each (the first ones one more where it doesn't divide), as published.

    Args:
        member_count: N.
        image_count: images of all members together.
        output_dir: folder of the synthetic set.
        seed: of the latents; every member draws its own.

    Raises:
        DatasetError: no member, or fewer images than members.
    """

    def __init__(self, member_count: int, image_count: int, output_dir: str | Path, seed: int = 0) -> None:
        if member_count < 1 or image_count < member_count:
            raise DatasetError(
                f"image_count is {image_count} for {member_count} members, expected one image or more for each. "
                "Name the members' weights with --generator_files, and raise --image_count."
            )
        quotas = [image_count // member_count + (m < image_count % member_count) for m in range(member_count)]
        self.images: list[dict[str, Any]] = [
            {
                "class": None,
                "member": member,
                "name": f"member_{member:02d}_{n:06d}",
                "noise_seed": int(np.random.SeedSequence([seed, member, n]).generate_state(1)[0]),
            }
            for member, quota in enumerate(quotas)
            for n in range(quota)
        ]
        folder = Path(output_dir)
        self.missing = [image for image in self.images if not is_written(folder, image["name"])]

    def provenance(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """What `synthetic` says of one of `images`, beside the generator: no mask, so no source patient."""
        return {"member": image["member"], "noise_seed": image["noise_seed"]}

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, n: int) -> dict[str, Any]:
        return {key: self.missing[n][key] for key in ("member", "noise_seed", "name")}
