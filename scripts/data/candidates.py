"""Synthetic sets of several candidate generators, and their images beside real ones for a classifier of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.data.contract import DatasetError, Item, source_patients
from scripts.data.slices import SliceDataset
from scripts.data.splits import PARTS, patient_parts
from scripts.data.training import training_items


def candidate_items(candidates_dir: str | Path, dataset_dir: str | Path, **choice: Any) -> dict[str, list[Item]]:
    """Items of each candidate's synthetic set, by the name of its folder in `candidates_dir`, which has one for each.

    `choice` are `fold`, `patient_fraction` and `fraction_seed` of `training_items`, as the generator was trained with.

    Raises:
        DatasetError: no folder with a dataset.json, or what `training_items` refuses.
    """
    folders = sorted(file.parent for file in Path(candidates_dir).glob("*/dataset.json"))
    taken = [folder for folder in folders if folder.name in ("training", "held_out")]
    if taken:
        raise DatasetError(f"{taken[0]}: the name stands for real images. Give the candidate's folder another one.")
    if not folders:
        raise DatasetError(
            f"{candidates_dir} has no folder with a dataset.json. Synthesise there with configs/lcgan_inference.json, "
            "--output_dir being one folder per candidate."
        )
    return {
        folder.name: training_items(dataset_dir, synthetic_dir=folder, use_real=False, allow_memorised=folder, **choice)
        for folder in folders
    }


def candidate_slices(
    candidates: Mapping[str, list[Item]], preprocessing: Callable[[Item], Mapping[str, Any]], cache_dir: str | Path
) -> dict[str, SliceDataset]:
    """Slices of each candidate's images, see `SliceDataset`."""
    return {name: SliceDataset(items, preprocessing, cache_dir) for name, items in candidates.items()}


def authenticity_items(
    dataset_dir: str | Path, candidates_dir: str | Path, *, part: int, held_out: bool, **choice: Any
) -> list[Item]:
    """Real images and all candidates' images of one part's patients, see `candidate_items` and `patient_parts`.

    An image with the lesions of one part and the anatomy of the other is on neither side.

    Args:
        part: 0 or 1, the part that is held out of the training.
        held_out: True for the images of that part, False for those of the other.
    """
    if part not in range(PARTS):
        raise DatasetError(f"part is {part}, expected 0 or 1.")
    items = training_items(dataset_dir, **choice)
    home = patient_parts(items, dataset_dir)
    for made in candidate_items(candidates_dir, dataset_dir, **choice).values():
        items += made
    return [item for item in items if {home[patient] == part for patient in source_patients(item)} == {held_out}]


class RealOrSynthetic(SliceDataset):
    """Slices for a classifier: `image` (C, S, S), `label` (1,) float32, 1 for real and 0 for synthetic, and `patient`.

    Everything else is as for `SliceDataset`.
    """

    def _finish(self, element: dict[str, Any], position: int) -> dict[str, Any]:
        element, is_real = super()._finish(element, position), float(self._is_real(position))
        return {"image": element["image"], "label": torch.tensor([is_real]), "patient": element["patient"]}

    @property
    def class_indices(self) -> np.ndarray:
        """1 for each real slice, 0 for each synthetic one, (N,)."""
        return np.array([int(self._is_real(position)) for position in range(len(self))])

    def _is_real(self, position: int) -> bool:
        return not self.data[self.index[position][0]].get("synthetic")
